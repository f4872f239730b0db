"""No halo beside a head."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from discontrolface.common.pixels import resize_planes
from discontrolface.editing.editor import Editor
from discontrolface.editing.halo import without_halo
from discontrolface.editing.person import Person
from discontrolface.render.smooth_wall import SmoothWall
from discontrolface.synthetic.portraits import HELD_OUT, make_pair

SIZE = 256
FloatArray = NDArray[np.float32]


@pytest.fixture(scope="module")
def wall() -> SmoothWall:
    """A pale wall that grows darker to the right; dark hair before it."""
    tone = (0.8 - 0.1 * np.linspace(0, 1, SIZE)[None, :, None] * np.ones((SIZE, 1, 3))).astype(np.float32)
    return SmoothWall(tone, np.full_like(tone, 0.15), np.ones((SIZE, SIZE), np.float32))


def head() -> FloatArray:
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    return (np.hypot(rows - SIZE / 2, columns - SIZE / 2) < SIZE / 4).astype(np.float32)


def test_a_bright_rim_becomes_wall_and_a_soft_outline_stays(wall: SmoothWall) -> None:
    inside, none = gaussian_filter(head(), 3)[..., None], np.zeros((SIZE, SIZE), np.float32)
    soft = wall.tone + inside * (wall.head - wall.tone)  # as a network that is not sure draws it
    rim = (gaussian_filter(head(), 12) * (1 - inside[..., 0]))[..., None]
    preview = np.roll(soft, 40, axis=1)
    with_rim = (soft + 0.15 * rim).astype(np.float32)
    out = without_halo(with_rim, preview, wall, none)
    beside = (inside[..., 0] < 0.02) & (rim[..., 0] > 0.1) & (np.abs(with_rim - preview).mean(-1) > 0.1)
    assert beside.sum() > 300
    assert np.abs(out - wall.tone)[beside].mean() < 0.25 * np.abs(with_rim - wall.tone)[beside].mean()
    assert np.abs(without_halo(soft.astype(np.float32), preview, wall, none) - soft).max() < 0.02, (
        "the soft side is a guess that may be right"
    )


def test_what_is_no_halo_stays(wall: SmoothWall) -> None:
    """A white collar, a face, what is as in the preview, anything before a rough wall."""
    none = np.zeros((SIZE, SIZE), np.float32)
    bright = (wall.tone + 0.08).astype(np.float32)
    collar = bright.copy()
    collar[150:] = (1.0, 1.0, 1.0)
    assert np.array_equal(without_halo(collar, wall.tone, wall, none)[160:], collar[160:])
    assert np.array_equal(without_halo(bright, wall.tone, wall, none + 1), bright)
    assert np.array_equal(without_halo(bright, bright, wall, none), bright)
    assert np.array_equal(without_halo(bright, wall.tone, wall._replace(smooth=none), none), bright)
    assert np.abs(without_halo(bright, wall.tone, wall, none) - wall.tone).max() < 0.02


def test_the_wall_of_a_picture_is_found_and_a_rough_one_is_none() -> None:
    """A drawn portrait before a wall that is painted in: a gradient is found to within a level or two; wallpaper is no smooth wall."""
    pair = make_pair(HELD_OUT + 3, SIZE)
    person = Person.known((pair.source * 255).astype(np.uint8), pair.source_parameters, Editor.load("open").reader.geometry)
    source = person.preview_source(SIZE)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    gradient = np.stack([0.75 - 0.1 * columns, 0.7 - 0.1 * rows, 0.7 + 0 * rows], -1).astype(np.float32)
    wallpaper = gradient + np.float32(0.2) * np.sign(np.sin(60 * columns) * np.sin(60 * rows))[..., None].astype(np.float32)
    matte = resize_planes(source.matte[..., None], SIZE, Image.Resampling.BILINEAR)[..., 0]
    ground, painted = (np.isneginf(source.depth) & (matte < least) for least in (0.02, 0.5))
    assert ground.mean() > 0.1
    smooth, rough = (
        dataclasses.replace(source, image=np.where(painted[..., None], picture, source.image).astype(np.float32)).smooth_wall
        for picture in (gradient, wallpaper)
    )
    assert smooth is not None
    assert (smooth.smooth > 0.9)[ground].mean() > 0.9
    assert np.abs(smooth.tone - gradient)[ground].mean() < 0.01
    assert rough is None or rough.smooth[ground].mean() < 0.05
    nowhere = dataclasses.replace(source, matte=np.full_like(source.matte, 0.5))
    assert nowhere.smooth_wall is None, "no colours of a background were found"
