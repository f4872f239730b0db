"""Gaps between teeth: where the head has them, and on teeth that the networks drew."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.signal import find_peaks

from discontrolface.editing.editor import Editor
from discontrolface.editing.person import Person
from discontrolface.editing.teeth import with_gaps
from discontrolface.face.parameters import FaceParameters
from discontrolface.render.rig import UPPER_TEETH
from discontrolface.render.source import to_pixels
from discontrolface.render.warp import Preview
from discontrolface.synthetic.portraits import HELD_OUT, make_pair

SIZE = 512
FloatArray = NDArray[np.float32]


@pytest.fixture(scope="module")
def person() -> Person:
    """A drawn person, looking straight ahead with closed lips."""
    pair = make_pair(HELD_OUT + 3, SIZE)
    geometry = Editor.load("open").reader.geometry
    calm = pair.source_parameters.edit(turn=(0, 0, 0), expression=dict.fromkeys(pair.source_parameters.expression_names, 0.0))
    return Person.known((pair.source * 255).astype(np.uint8), calm, geometry)


def smiling(person: Person, yaw: float = 0.0) -> FaceParameters:
    return person.parameters.edit(expression={"smile": 0.9, "jawOpen": 0.35}, yaw=yaw)


@pytest.mark.parametrize("yaw", [0.0, 25.0])
def test_gaps_lie_where_the_heads_teeth_meet(person: Person, yaw: float) -> None:
    """The middle of the shadow in the row of the biting edges is where the mesh has the place between two teeth: its vertices there, projected."""
    target = smiling(person, yaw)
    mouth = person.warp(person.geometry.view(target), SIZE).mouth
    rig, view = person.geometry.rig, person.geometry.view(target)
    inside = mouth[..., 0] > 0.5
    assert inside.sum() > 300
    row = int(np.flatnonzero(inside.sum(1) == inside.sum(1).max())[0])
    found = find_peaks(np.where(inside[row], mouth[row, :, 1], 0), height=0.2)[0]
    pixels = to_pixels(np.asarray(view.vertices, np.float32), SIZE, SIZE)
    teeth = rig.vertex_layer == UPPER_TEETH
    middle = pixels[teeth & (np.abs(rig.teeth[:, 0]) < 1.5) & (rig.teeth[:, 1] > 2)][:, 0].mean()
    assert np.abs(found - middle).min() < 2.5
    for side in (-1, 1):  # between the first and the second tooth
        near = teeth & (np.abs(rig.teeth[:, 0] - side * 8.5) < 1.5) & (rig.teeth[:, 1] > 2)
        place = pixels[near][:, 0].mean()
        if inside[row, int(place)]:
            assert np.abs(found - place).min() < 3.5
    assert 3 <= len(found) <= 9


def test_a_closed_mouth_has_none(person: Person) -> None:
    for target in (person.parameters.edit(yaw=10), person.parameters.edit(expression={"blink": 1.0})):
        assert not person.warp(person.geometry.view(target), SIZE).mouth[..., 0].any()


def drawn_mouth(teeth: tuple[float, float, float]) -> tuple[FloatArray, Preview]:
    """Skin, red lips, an opening with a pale band in it and a dark rest; and a preview whose opening is dark, with gaps every 14 pixels."""
    skin = np.ones((SIZE, SIZE, 3), np.float32) * np.array([0.8, 0.6, 0.5], np.float32)
    skin[280:360, 180:330] = (0.7, 0.4, 0.4)
    opening = np.zeros((SIZE, SIZE), np.float32)
    opening[300:340, 200:310] = 1
    dark = np.where(opening[..., None] > 0, np.float32([0.1, 0.06, 0.06]), skin).astype(np.float32)
    edited = dark.copy()
    edited[302:322, 202:308] = teeth
    shadow = np.exp(-0.5 * (((np.arange(SIZE) - 255 + 7) % 14 - 7) / 0.8) ** 2)
    mouth = np.dstack([opening, np.broadcast_to(shadow, (SIZE, SIZE))]).astype(np.float32)
    still = Preview.unchanged(dark)
    return np.asarray(gaussian_filter(edited, (1, 1, 0)), np.float32), dataclasses.replace(still, mouth=mouth)


def test_a_pale_band_is_parted() -> None:
    edited, preview = drawn_mouth((0.8, 0.75, 0.7))
    out = with_gaps(edited, preview)
    row = out[312, 215:295].mean(-1)
    shadows = find_peaks(-row, prominence=0.1)[0] + 215
    assert np.all(np.diff(shadows) == 14)
    assert 255 in shadows
    assert 4 <= len(shadows) <= 6
    outside = preview.mouth[..., 0] == 0
    assert np.array_equal(out[outside], edited[outside])
    assert np.abs(out - edited)[330:340].max() < 0.01, "what is dark in the mouth is no tooth"


def test_what_is_no_tooth_is_not_parted() -> None:
    tongue, preview = drawn_mouth((0.75, 0.42, 0.42))
    assert np.abs(with_gaps(tongue, preview) - tongue).max() < 0.01
    grey, preview = drawn_mouth((0.8, 0.8, 0.8))
    grey = np.repeat(grey.mean(-1, keepdims=True), 3, -1)
    assert np.array_equal(with_gaps(grey, preview), grey), "no colours say what is a tooth"
    same, preview = drawn_mouth((0.8, 0.75, 0.7))
    assert np.array_equal(with_gaps(same, dataclasses.replace(preview, image=same)), same), "the preview has its own teeth"
