"""A mouth that opens wide is the preview's, lips that part are the networks'."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from discontrolface.editing.carried import carried
from discontrolface.editing.editor import Editor
from discontrolface.editing.open_mouth import with_open_mouth
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import PreparedEdit, prepare
from discontrolface.render.warp import Preview
from discontrolface.synthetic.portraits import make_scene, random_parameters, render_scene

SIZE = 256


@pytest.fixture(scope="module")
def person() -> Person:
    """Drawn, with closed lips."""
    scene = make_scene(1000003)
    neutral = random_parameters(scene, np.random.default_rng(3)).edit(neutral=True, yaw=0, pitch=0, roll=0)
    photo = (render_scene(scene, neutral, SIZE).image * 255).astype(np.uint8)
    return Person.known(photo, neutral, Editor.load("open").reader.geometry)


def opened(person: Person, jaw: float) -> PreparedEdit:
    return prepare(person, person.parameters.edit(expression={"jawOpen": jaw}), SIZE, ("normals",))


@pytest.mark.parametrize(("jaw", "previews"), [(0.2, False), (1.0, True)])
def test_only_a_wide_mouth_is_the_previews(person: Person, jaw: float, previews: bool) -> None:
    """The networks' picture: the preview, with mist in the mouth."""
    edit = opened(person, jaw)
    inside = edit.preview.mouth[..., 0] > 0.95
    assert inside.sum() > 40
    mist = np.float32((0.6, 0.5, 0.5))
    weight = edit.preview.mouth[..., :1]
    out, _ = carried(edit, edit.preview.image + weight * (mist - edit.preview.image))
    kept = np.abs(out - edit.preview.image)[inside].mean() / np.abs(mist - edit.preview.image)[inside].mean()
    assert kept < 0.25 if previews else kept > 0.9, kept  # the preview is laid on the picture, by a pixel or two


def test_nothing_outside_the_opening_changes(person: Person) -> None:
    preview = opened(person, 0.8).preview
    other = np.zeros_like(preview.image)
    out = with_open_mouth(other, preview, teeth=False)
    assert np.array_equal(out[preview.mouth[..., 0] == 0], other[preview.mouth[..., 0] == 0])
    assert np.array_equal(with_open_mouth(preview.image, preview, teeth=True), preview.image)


def test_a_closed_mouth_and_a_turn_have_none(person: Person) -> None:
    for target in (person.parameters, person.parameters.edit(yaw=15)):
        preview: Preview = prepare(person, target, SIZE, ("normals",)).preview
        other = np.zeros_like(preview.image)
        assert with_open_mouth(other, preview, teeth=True) is other


@pytest.mark.parametrize(("share", "plain", "toothy"), [(0.03, 0, 0), (0.2, 0, 1), (0.45, 1, 1)])
def test_teeth_that_the_photo_shows_are_believed_earlier(person: Person, share: float, plain: float, toothy: float) -> None:
    """Of an opening that is 100 pixels wide."""
    preview = opened(person, 0.8).preview
    mouth = np.zeros_like(preview.mouth)
    mouth[100 : 100 + round(100 * share), 50:150, 0] = 1
    preview = dataclasses.replace(preview, mouth=mouth)
    other = np.zeros_like(preview.image)
    for teeth, expected in ((False, plain), (True, toothy)):
        out = with_open_mouth(other, preview, teeth)
        assert np.array_equal(out, other + expected * mouth[..., :1] * preview.image)
