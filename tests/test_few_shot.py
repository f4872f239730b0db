"""Several photos of a person: each is the true answer of an edit of another; the networks learn from that."""

import copy
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_personalize import make_preset
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.common.errors import UserError
from discontrolface.diffusion.loss import diffusion_loss
from discontrolface.diffusion.training_pair import joined
from discontrolface.editing.editor import Editor
from discontrolface.editing.person import Person
from discontrolface.editing.personalize import FEW_SHOT, OneShot, falling_rate, first_step, mirrored, true_pairs
from discontrolface.editing.same_person import true_look, with_one_albedo
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.synthetic.portraits import HELD_OUT, make_scene, random_parameters, render_scene

TINY = dataclasses.replace(FEW_SHOT, iterations=60, batch=4, lr=3e-3, mask_patch=4, keep=1.0)


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Editor:
    folder = tmp_path_factory.mktemp("preset")
    return Editor.load(make_preset(folder, 0), cache=folder / "cache")


@pytest.fixture(scope="module")
def photos(editor: Editor) -> list[Person]:
    """One drawn person, from the front, from one side and from the other (known, not read)."""
    scene = make_scene(HELD_OUT + 4, detail=0.3)
    front = random_parameters(scene, np.random.default_rng(4)).edit(yaw=0, pitch=0, roll=0)
    people = []
    for k, yaw in enumerate((0, 20, -45)):
        looks = front.edit(yaw=yaw)
        picture = (render_scene(scene, looks, 256).image * 255 + 0.5).astype(np.uint8)
        people.append(Person.known(picture, looks, editor.reader.geometry, f"photo{k}.png"))
    return people


def test_the_other_photo_is_the_answer(photos: list[Person]) -> None:
    """Where the preview shows the photo's own pixels, the truth agrees with it better than the source does."""
    look = true_look(photos[0], photos[1], 128)
    assert look is not None
    assert abs(look.parameters.yaw - photos[1].parameters.yaw) < 1e-3
    shown = (look.preview.visibility > 0.8) & (np.abs(look.preview.image - look.source).max(-1) > 0.03)
    moved, still = (np.abs(x - look.target).mean(-1)[shown].mean() for x in (look.preview.image, look.source))
    assert moved < 0.5 * still
    assert true_look(photos[1], photos[2], 128) is None


def test_photos_of_one_person_share_the_albedo(photos: list[Person]) -> None:
    """Each photo keeps its brightness and tint (its skin's colour); lips that one photo shows in another colour are outvoted."""
    names = photos[0].geometry.head.region_names
    skin, lips = names.index("skin"), names.index("lips")
    true = photos[0].parameters.albedo
    exposures = np.array([[1.0, 1.0, 1.0], [0.5, 0.55, 0.6], [0.9, 0.8, 0.7]], np.float32)
    albedos = [true * e for e in exposures]
    albedos[1][lips] = (0.9, 0.1, 0.1)
    known = [dataclasses.replace(p, parameters=p.parameters.with_(albedo=a)) for p, a in zip(photos, albedos, strict=True)]
    shared = with_one_albedo(known)
    for one, exposure in zip(shared, exposures, strict=True):
        np.testing.assert_allclose(one.parameters.albedo, true * exposure, atol=1e-5)
        np.testing.assert_allclose(one.parameters.albedo[skin], true[skin] * exposure, atol=1e-6)
    np.testing.assert_array_equal(shared[1].parameters.shape, known[1].parameters.shape)


def test_a_mirror_image_is_a_pair_too(editor: Editor, photos: list[Person]) -> None:
    """Twice is once; a normal that points left points right, everything else is only flipped."""
    control = editor.preset.control
    pair, other, *_ = true_pairs(photos[:2], control)
    assert torch.equal(other.source, pair.source.flip(-1))
    again = mirrored(other, control.spec)
    for name in ("source", "target", "snapshot", "weight"):
        assert torch.equal(getattr(again, name), getattr(pair, name))
    normals = control.spec.slice("normals")
    assert torch.equal(other.snapshot[:, normals.start], -pair.snapshot[:, normals.start].flip(-1))
    assert torch.equal(other.snapshot[:, normals.start + 1 :], pair.snapshot[:, normals.start + 1 :].flip(-1))


@torch.no_grad()
def edit_loss(editor: Editor, photos: list[Person], control: ExpFaceNet) -> float:
    """Of an edit's first step towards the true photos, over 32 draws of noise."""
    generator = torch.Generator().manual_seed(3)
    batch = joined(true_pairs(photos, control) * 8)
    given = first_step(editor.preset.model, len(batch.source), generator, torch.device("cpu"))
    return float(diffusion_loss(editor.preset.model, batch.target, control, batch.snapshot, source=batch.source, **given).loss)


def test_it_learns_the_edits_that_the_photos_answer(editor: Editor, photos: list[Person]) -> None:
    two = photos[:2]
    personal = editor.personalize(two[0], TINY, also=two[1:]).personal
    assert personal is not None
    control = copy.deepcopy(editor.preset.control)
    before = edit_loss(editor, two, control)
    personal.apply(control, editor.base_id)
    assert edit_loss(editor, two, control) < 0.9 * before
    again = editor.personalize(two[0], TINY, also=two[1:], progress=lambda *_: pytest.fail("not cached")).personal
    assert again is not None
    assert all(torch.equal(again.difference[k], v) for k, v in personal.difference.items())
    paths = {editor.personal_path(two[0], TINY, also=also) for also in ((), two[1:], photos[1:])}
    assert len(paths) == 3


def test_heads_too_far_from_each_other_are_named(editor: Editor, photos: list[Person]) -> None:
    with pytest.raises(UserError, match=r"photo1\.png 20, photo2\.png -45 degrees; give one in between"):
        editor.personalize(photos[1], TINY, also=[photos[2]])


def test_half_of_what_was_learned_is_half_the_difference(editor: Editor, photos: list[Person]) -> None:
    few = dataclasses.replace(TINY, iterations=5)
    all_of_it, half = (editor.personalize(photos[0], dataclasses.replace(few, keep=k), also=photos[1:2]).personal for k in (1.0, 0.5))
    assert all_of_it is not None
    assert half is not None
    for name, value in all_of_it.difference.items():
        assert torch.allclose(half.difference[name].float(), value.float() / 2, atol=2e-5)


def test_settings_of_the_first_step() -> None:
    with pytest.raises(UserError, match="whole pictures; write crop: 0, not 128"):
        OneShot(1, 1, 1e-4, 0, crop=128, first_step=True)
    with pytest.raises(UserError, match="final_lr is 2"):
        OneShot(1, 1, 1e-4, 0, final_lr=2)
    assert falling_rate(FEW_SHOT, 0) == FEW_SHOT.lr
    assert math.isclose(falling_rate(FEW_SHOT, 40), FEW_SHOT.lr / 2)
    assert falling_rate(OneShot(10, 1, 1e-4, 0), 9) == 1e-4


def test_also_goes_with_one_face_and_with_personalizing(tmp_path: Path, photos: list[Person]) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(photos[0].photo.array).save(file)
    for options, said in ((["--no-personal"], "--no-personal"), (["--personal", str(file)], "--personal")):
        result = CliRunner().invoke(
            app, ["edit", str(file), "-o", str(tmp_path / "out.png"), "--expression", "smile=0.5", "--also", str(file), *options]
        )
        assert result.exit_code == 2
        assert f"--also {file} and {said}" in " ".join(result.output.split())
