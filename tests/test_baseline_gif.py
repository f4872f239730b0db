"""GIF as a method: what it sees of FLAME, the style that it finds, edits of a synthetic FLAME with random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.flame_person import flame_person
from helpers.goldens import golden_input

from discontrolface import Editor
from discontrolface.baselines.gif_condition import gif_condition
from discontrolface.baselines.gif_method import GifMethod, gif_method
from discontrolface.baselines.gif_style import fit_style, mean_style, pyramid_distance
from discontrolface.common.errors import UserError
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.method import MethodContext
from discontrolface.editing.pipeline import PreparedEdit, prepare
from discontrolface.face.geometry import DetailGeometry, Geometry
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.nets.gif import GIF
from discontrolface.weights.assets import import_asset
from discontrolface.weights.gif import official_key

SIZE = 32


def small(seed: int = 0, condition: int = 6) -> GIF:
    torch.manual_seed(seed)
    return GIF(condition, 8, (8, 8, 8, 8), 2, 4).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def edit(tmp_path_factory: pytest.TempPathFactory) -> PreparedEdit:
    person = flame_person(tmp_path_factory.mktemp("flame"), SIZE)
    target = person.parameters.edit(expression={"jawOpen": 0.7}, yaw=10, light="left")
    return prepare(person, target, SIZE, ("normals",))


def test_the_condition_is_textured_flame_and_its_positive_normals(edit: PreparedEdit) -> None:
    geometry = edit.person.geometry
    assert isinstance(geometry, DetailGeometry)
    condition = gif_condition(geometry, edit.target, 64)
    assert condition.shape == (1, 6, 64, 64)
    plain = geometry.coarse().snapshot(edit.target, 64, ("normals",))
    off = plain.mask[0, 0] == 0
    border = torch.nn.functional.max_pool2d(plain.mask, 5, 1, 2)[0, 0] == 0  # well off the head: inside of the mouth may be drawn here
    assert (condition[0][:, border & off] == -1).all(), "-1 off the head, as black pictures are"
    on = -torch.nn.functional.max_pool2d(-plain.mask, 5, 1, 2)[0, 0] == 1
    expected = torch.floor(plain.image[0].clamp(0, 1) * 255) / 127.5 - 1
    assert ((condition[0, 3:] - expected)[:, on]).abs().median() < 0.02
    assert (condition * 127.5 - (condition * 127.5).round()).abs().max() < 0.51
    other = gif_condition(geometry, edit.target.edit(light="right"), 64)
    assert torch.equal(other[:, 3:], condition[:, 3:])
    assert not torch.equal(other[:, :3], condition[:, :3])
    open_head = HeadModel.open()
    with pytest.raises(UserError, match="renderings of FLAME, not of head model 'open'; give --preset paper"):
        gif_condition(Geometry(open_head), FaceParameters.default(open_head), 64)


def test_a_style_is_found_again() -> None:
    """A picture that the network made itself: the search comes near it, and nearer than where it begins."""
    network, condition = small(), golden_input("gif.fit", (1, 6, SIZE, SIZE))
    mean, spread = mean_style(network)
    w = mean + spread * golden_input("gif.w", (1, 8), 1.5)
    with torch.no_grad():
        photo = network(condition, step=3, w=w)
        begun = pyramid_distance(network(condition, step=3, w=mean), photo)
        found = fit_style(network, condition, photo, 3, 60)
        reached = pyramid_distance(network(condition, step=3, w=found), photo)
    assert reached < 0.35 * begun
    assert not found.requires_grad
    assert torch.equal(found, fit_style(network, condition, photo, 3, 60))
    assert pyramid_distance(photo, photo) == 0


def test_edits_end_to_end(edit: PreparedEdit, tmp_path: Path) -> None:
    """From a file as the authors wrote it, imported, to the picture of an edit; the search is made once for a photo."""
    state = {f"module.{official_key(key)}": value for key, value in small().state_dict().items()}
    torch.save({"generator_running": state, "generator": {}}, tmp_path / "x.model")
    status = import_asset(tmp_path / "x.model", tmp_path / "assets")
    assert (status.state, status.asset.key) == ("ok", "gif")
    context = MethodContext(Editor.load("open"), Sampling(), {"gif": status.path})
    made = gif_method(context)
    assert isinstance(made, GifMethod)
    method = replace(made, iterations=4)
    (picture,) = method([edit])
    assert (picture.shape, picture.dtype) == ((SIZE, SIZE, 3), np.uint8)
    assert np.array_equal(method([edit])[0], picture)
    style = method.style(edit)
    assert style is method.style(replace(edit, target=edit.person.parameters))
    unedited, relit = (replace(edit, target=t) for t in (edit.person.parameters, edit.target.edit(light="right")))
    several = method([edit, unedited, relit])
    assert len({p.tobytes() for p in several}) == 3
    assert np.abs(several[0].astype(int) - picture.astype(int)).max() <= 1, "a batch makes the pictures that single edits make"
    same = gif_method(replace(context, weights={"gif": tmp_path / "x.model"}))
    assert isinstance(same, GifMethod)
    again = replace(same, iterations=4)([edit])[0].astype(int)  # weights lie in another order in memory: sums round differently
    assert np.abs(again - picture).max() <= 2


def test_what_it_cannot_do(edit: PreparedEdit) -> None:
    with pytest.raises(UserError, match="makes pictures of 32x32, not 64x64"):
        GifMethod(small(), 1)([replace(edit, crop=torch.zeros(1, 3, 64, 64))])
    with pytest.raises(UserError, match="sees 3 channels"):
        GifMethod(small(condition=3), 1)
