"""A head has an outline: a mist between head and wall becomes one of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter

from discontrolface.common.pixels import resize_planes
from discontrolface.editing.carried import carried
from discontrolface.editing.editor import Editor
from discontrolface.editing.outline import Slack, slack_of, with_outline
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import prepare
from discontrolface.geometry.rotations import head_rotation
from discontrolface.render.smooth_wall import SmoothWall
from discontrolface.synthetic.portraits import HELD_OUT, make_pair

SIZE = 256
DARK, PALE = 0.15, 0.75
FloatArray = NDArray[np.float32]
NO_FACE = np.zeros((SIZE, SIZE), np.float32)
POINTS = np.array([[SIZE / 2, SIZE / 2, 0.0]])


@pytest.fixture(scope="module")
def wall() -> SmoothWall:
    tone = np.full((SIZE, SIZE, 3), PALE, np.float32)
    return SmoothWall(tone, np.full_like(tone, DARK), np.ones((SIZE, SIZE), np.float32))


def disc(radius: float) -> FloatArray:
    """(S, S) 1 inside."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    return (np.hypot(rows - SIZE / 2, columns - SIZE / 2) < radius).astype(np.float32)


def picture(share: FloatArray) -> FloatArray:
    """A dark head before a pale wall."""
    return np.repeat((PALE + share * (DARK - PALE))[..., None], 3, axis=2).astype(np.float32)


def turned(degrees: float) -> Slack:
    slack = slack_of(head_rotation(0, 0, 0), head_rotation(degrees, 0, 0), POINTS, SIZE)
    assert slack is not None
    return slack


def unsure(share: FloatArray) -> float:
    """Pixels that are neither head nor wall."""
    return float(((share > 0.1) & (share < 0.9)).sum())


def test_mist_becomes_an_edge_where_the_networks_have_half_of_each(wall: SmoothWall) -> None:
    preview, mist = picture(disc(64)), gaussian_filter(disc(68), 8)
    out = with_outline(picture(mist), preview, wall, NO_FACE, Slack(1.0, np.full((SIZE, SIZE), 1e6, np.float32)))
    share = (PALE - out[..., 0]) / (PALE - DARK)
    assert unsure(share) < 0.4 * unsure(mist)
    assert np.abs(share - (mist > 0.5)).mean() < 0.4 * np.abs(mist - (mist > 0.5)).mean()
    assert abs(np.sqrt((share > 0.5).sum() / (mist > 0.5).sum()) - 1) * 68 < 2, (
        "the outline stays where the networks have it, to two pixels"
    )


def test_the_preview_fills_a_notch_and_clears_a_ghost(wall: SmoothWall) -> None:
    """Deep inside the preview's head the networks drew wall, far outside a ghost, more head than wall."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    notch = np.hypot(rows - 64, columns - 100) < 24
    ghost = (np.hypot(rows - 156, columns - 54) < 16) & (disc(81) == 0)
    grain = 0.1 * disc(80)[..., None] * ((rows // 2 + columns // 2) % 2)[..., None].astype(np.float32)
    textured = picture(disc(80)) + grain
    drawn = picture(np.where(notch, 0, np.where(ghost, 0.6, disc(80))).astype(np.float32))
    out = with_outline(drawn, textured, wall, NO_FACE, turned(15))
    deep = notch & (distance_transform_edt(disc(80)) > 18)
    assert deep.sum() > 300
    assert np.abs(out - textured)[deep].max() < 0.01, "the preview's own pixels, with their grain"
    assert np.abs(out - PALE)[ghost & (disc(93) == 0)].max() < 0.02
    assert np.abs(drawn - textured)[deep].min() > 0.4, "before"
    assert np.abs(drawn - PALE)[ghost].min() > 0.3, "before"


def test_the_side_that_turns_away_is_the_networks(wall: SmoothWall) -> None:
    """The preview's outline is believed more towards the viewer: the same dent is filled there, and stays on the far side."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    dents = [np.hypot(rows - SIZE / 2, columns - (SIZE / 2 + side * 80)) < 16 for side in (-1, 1)]
    drawn = picture(np.where(dents[0] | dents[1], 0, disc(80)).astype(np.float32))
    out = with_outline(drawn, picture(disc(80)), wall, NO_FACE, turned(15))  # the face turns to the right
    deep = distance_transform_edt(disc(80)) > 10
    filled = [float((out[..., 0] < 0.2)[dent & deep].mean()) for dent in dents]
    assert filled[0] > 0.95, filled
    assert filled[1] < 0.35, filled


def test_an_outline_that_is_the_networks_own_stays_where_it_is(wall: SmoothWall) -> None:
    """A mist around the preview's own outline becomes an edge there, to half a pixel."""
    mist = gaussian_filter(disc(64), 6)
    out = with_outline(picture(mist), picture(gaussian_filter(disc(64), 1)), wall, NO_FACE, turned(15))
    area = ((PALE - out[..., 0]) / (PALE - DARK)).sum()
    assert abs(np.sqrt(area / np.pi) - np.sqrt(mist.sum() / np.pi)) < 0.5


@pytest.mark.parametrize("contrast", [0.06, 0.12, 0.14, 0.2])
def test_a_pale_head_gets_no_colours_that_nobody_has(wall: SmoothWall, contrast: float) -> None:
    """A bald crown before a wall of nearly its brightness, with a notch: what it becomes lies between the two."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    preview = np.repeat((PALE - contrast / np.sqrt(3) * disc(80))[..., None], 3, axis=2).astype(np.float32)
    drawn = np.where((np.hypot(rows - 64, columns - 100) < 24)[..., None], np.float32(PALE), preview)
    out = with_outline(drawn, preview, wall, NO_FACE, turned(15))
    assert out.min() > preview.min() - 0.01
    assert out.max() < PALE + 0.01
    if contrast < 0.1:
        assert np.array_equal(out, drawn), "nothing can be told"


def test_what_is_no_mist_stays(wall: SmoothWall) -> None:
    """What is as in the preview, to the bit; a face; other colours; anything before a rough wall."""
    preview, mist, slack = picture(gaussian_filter(disc(64), 2)), picture(gaussian_filter(disc(68), 8)), turned(15)
    assert np.array_equal(with_outline(preview, preview, wall, NO_FACE, slack), preview)
    assert np.array_equal(with_outline(mist, preview, wall, NO_FACE + 1, slack), mist)
    assert np.array_equal(with_outline(mist, preview, wall._replace(smooth=NO_FACE), NO_FACE, slack), mist)
    ribbon = (disc(80) - disc(70)) > 0
    drawn = np.where(ribbon[..., None], np.float32((0.75, 0.3, 0.75)), picture(disc(64))).astype(np.float32)
    assert np.abs(with_outline(drawn, picture(disc(64)), wall, NO_FACE, slack) - drawn)[ribbon].max() < 0.02


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll", "amount"), [(0, 0, 30, 0), (3, 0, 0, 0), (7, 0, 0, 0.5), (0, -15, 0, 1), (28, 0, 0, 0.5), (45, 0, 0, 0)]
)
def test_only_turns_out_of_the_picture_count(yaw: float, pitch: float, roll: float, amount: float) -> None:
    slack = slack_of(head_rotation(0, 0, 0), head_rotation(yaw, pitch, roll), POINTS, SIZE)
    assert (0 if slack is None else slack.amount) == pytest.approx(amount, abs=1e-6)


def test_slack_grows_with_the_turn_and_away_from_the_viewer() -> None:
    small, large = turned(10).pixels, turned(20).pixels
    assert np.all(large > small)
    assert np.allclose(large / small, np.sin(np.radians(20)) / np.sin(np.radians(10)), rtol=1e-5)
    assert large[128, -1] / large[128, 0] == pytest.approx(1.5 / 0.4, rel=1e-3)
    up = slack_of(head_rotation(0, 0, 0), head_rotation(0, 15, 0), POINTS, SIZE)
    assert up is not None
    assert up.pixels[0, 128] > up.pixels[-1, 128], "a face that looks up: its crown turns away"


@pytest.mark.parametrize(("yaw", "filled"), [(15, True), (45, False)])
def test_an_edit_fills_notches_at_small_turns(yaw: float, filled: bool) -> None:
    """The networks' picture is the preview with a bite of wall in the hair on the near side: at 15 degrees it is filled, at 45 the networks are
    believed."""
    pair = make_pair(HELD_OUT + 3, SIZE)
    geometry = Editor.load("open").reader.geometry
    known = Person.known((pair.source * 255).astype(np.uint8), pair.source_parameters, geometry)
    photo = known.preview_source(SIZE)
    matte = resize_planes(photo.matte[..., None], SIZE, Image.Resampling.BILINEAR)
    share = np.where(np.isneginf(photo.depth)[..., None], matte, 1).clip(0, 1)
    wall = np.array([0.75, 0.8, 0.85])
    person = Person.known(np.uint8(255 * (share * photo.image + (1 - share) * wall)), pair.source_parameters, geometry)
    edit = prepare(person, person.parameters.edit(yaw=person.parameters.yaw + yaw), SIZE, ("normals",))
    apart = np.abs(edit.preview.image - wall).max(-1)
    head = gaussian_filter((apart > 0.2).astype(np.float32), 2) > 0.5
    row = int(edit.person.geometry.landmarks(edit.target, SIZE)[:, 1].min()) - 10  # above the brows
    side = int(np.nonzero(head[row])[0][0])
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    apart_from = np.hypot(rows - row, columns - side)
    bite = (apart_from < 18) & head & (distance_transform_edt(head) > 13)
    assert bite.sum() > 40
    drawn = np.where((apart_from < 22)[..., None], wall, edit.preview.image).astype(np.float32)
    out, _ = carried(edit, drawn)
    left = np.abs(out - edit.preview.image)[bite].mean() / np.abs(drawn - edit.preview.image)[bite].mean()
    assert left < 0.3 if filled else left > 0.6, left
