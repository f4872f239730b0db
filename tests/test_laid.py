"""The preview, laid on what the networks drew."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from discontrolface.common.pixels import to_float
from discontrolface.editing.detail import down
from discontrolface.editing.laid import LIMIT, laid_on
from discontrolface.editing.registration import displaced
from discontrolface.render.flow import moved_by
from discontrolface.render.warp import Preview

SIZE = 256
FloatArray = NDArray[np.float32]


@pytest.fixture(scope="module")
def crop() -> FloatArray:
    """Blobs of several sizes."""
    rng = np.random.default_rng(0)
    out = sum(gaussian_filter(rng.normal(size=(SIZE, SIZE, 3)), (s, s, 0), mode="wrap") * s for s in (1, 4, 10))
    return ((out - np.min(out)) / np.ptp(out)).astype(np.float32)


def a_preview(crop: FloatArray, flow: FloatArray) -> tuple[Preview, FloatArray]:
    """A head in the middle half that moved by a flow, darker by a tenth; the wall around it stays. And the crop at the flow."""
    moved = moved_by(crop, flow)
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[32:-32, 32:-32] = 1
    image = np.clip(moved - np.float32(0.1) * gaussian_filter(mask, 8)[..., None], 0, 1)
    plain = np.zeros_like(mask)
    return Preview(image, plain + 1, mask, flow, plain, np.zeros_like(flow)), moved


def test_a_picture_that_is_the_preview_moves_nothing(crop: FloatArray) -> None:
    fine, moved = a_preview(crop, np.full((SIZE, SIZE, 2), 3.3, np.float32))
    for picture in (fine.image, down(fine.image, SIZE // 2)):
        same, again, _ = laid_on(picture, fine, crop, moved)
        assert same is fine
        assert again is moved


def test_it_lies_on_a_soft_picture_that_was_drawn_aside_and_is_as_sharp_as_before(crop: FloatArray) -> None:
    """The picture shows the head 4 pixels of 256 to the right. Laid on it, the preview is what a motion that is longer by them shows, read once."""
    fine, moved = a_preview(crop, np.full((SIZE, SIZE, 2), 2.5, np.float32))
    aside = np.zeros((SIZE, SIZE, 2), np.float32) + np.float32([-4, 0])
    picture = gaussian_filter(displaced(fine.image, aside), (2, 2, 0))
    laid, again, _ = laid_on(picture, fine, crop, moved)
    inner = np.s_[80:-80, 80:-80]
    off = laid.flow - fine.flow - aside
    assert np.abs(off[inner]).mean() < 0.3, "pixels of 4; measured 0.17"
    wanted = moved_by(crop, laid.flow) - np.float32(0.1)
    assert np.abs(laid.image - wanted)[inner].max() < 0.02
    assert np.array_equal(again, moved_by(crop, laid.flow))
    before, after = (np.abs(p - displaced(fine.image, aside))[inner].mean() for p in (fine.image, laid.image))
    assert after < 0.4 * before, "measured 0.33: half a pixel is left"


def test_nothing_moves_beyond_the_mask_nor_where_the_photo_showed_nothing(crop: FloatArray) -> None:
    fine, moved = a_preview(crop, np.zeros((SIZE, SIZE, 2), np.float32))
    picture = displaced(fine.image, np.zeros((SIZE, SIZE, 2), np.float32) + np.float32([3, 3]))
    laid = laid_on(picture, fine, crop, moved).preview
    assert np.abs(laid.flow[64:-64, 64:-64]).max() > 2
    outside = fine.mask == 0
    for name in ("image", "flow", "visibility"):
        assert np.array_equal(getattr(laid, name)[outside], getattr(fine, name)[outside]), name
    assert np.array_equal(laid.mask, fine.mask)
    hidden = dataclasses.replace(fine, visibility=np.zeros_like(fine.mask))
    assert laid_on(picture, hidden, crop, moved).preview is hidden


def test_nothing_is_moved_further_than_the_limit(crop: FloatArray) -> None:
    fine, moved = a_preview(crop, np.zeros((SIZE, SIZE, 2), np.float32))
    picture = displaced(fine.image, np.zeros((SIZE, SIZE, 2), np.float32) + np.float32([14, 0]))
    laid = laid_on(picture, fine, crop, moved).preview
    assert np.hypot(*np.moveaxis(laid.flow, -1, 0)).max() <= LIMIT * SIZE


def test_a_blurred_picture_of_the_same_place_hardly_moves_it(crop: FloatArray) -> None:
    levels = (crop * 255).astype(np.uint8)
    image = to_float(levels)
    fine, moved = a_preview(image, np.zeros((SIZE, SIZE, 2), np.float32))
    laid = laid_on(gaussian_filter(fine.image, (1.5, 1.5, 0)), fine, image, moved).preview
    assert np.abs(laid.flow).max() < 0.3
    assert np.abs(laid.image - fine.image).mean() < 0.01
