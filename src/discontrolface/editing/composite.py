"""The edited crop's way back into the photo, at the photo's own resolution. A pixel p of the photo becomes

    out = photo + m * (W(edited - seam) + keep * gain * (photo(p + flow) - W(source moved by flow)) - photo)

W brings the crop's grid to the photo's. `source` is the crop as it was, and photo(p + flow) - W(source moved by flow) is what the crop's grid
does not hold of the photo: pores, hair, grain, and what two resamplings of the crop would have softened. It goes where the edit moved it
(`Motion`), each pixel read once, between the photo's. `keep` says how far the edit shows the photo at p + flow; `gain`, how much brighter it
shows it. Without a motion all stays in its place, gain is 1, and `keep` is 1 where the edit is none or smooth, 0 where something must have
moved. `seam` is the smooth part of edited - source along the border of the mask, carried inwards and fading over a short way. Poisson blending
would carry it all the way (a membrane without decay), which undoes a relighting that reaches the border; with the decay the middle of the face
stays as edited. m is the mask with a soft inner border. Where m is 0 the photo is untouched,
to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.pixels import channel_mean, channel_sum, resize_planes, to_float
from discontrolface.face.crop import Crop
from discontrolface.render.blur import gaussian
from discontrolface.render.carry import VISIBLE, Filled, Place, Planes, carry_over
from discontrolface.render.flow import moved_by
from discontrolface.render.smoothstep import smoothstep

FEATHER: Final = 0.02  # width of the soft inner border of the mask / side of the crop
SEAM_REACH: Final = 0.05  # how far the seam's correction reaches inwards / side of the crop
KEEP_BELOW, DROP_ABOVE = 1.5 / 255, 6 / 255  # edges in edited - source up to which the photo's own detail stays, from which it goes
WORK_SIZE: Final = 256  # grid on which the smooth quantities (feather, seam, keep, gain) are computed
GAIN_RADIUS: Final = 0.01  # of the local means whose ratio is the gain / side of the crop
BRIGHTEST, DARK = 2.0, 0.05  # gains lie from 1 / BRIGHTEST to BRIGHTEST; DARK is added to both means


@dataclass(frozen=True)
class Motion:
    """Where the edit took the photo's pixels from. flow: (S, S, 2) pixels of the crop, x right, y down: the edit shows at p what the crop showed at
    p + flow. shown: (S, S) in [0, 1], how far it does. carried: (S, S, C), the crop at p + flow (`moved_by`), if computed before. swept: (S, S) in
    [0, 1], how far the photo stays although the mask is open (`render/sweep.py`)."""

    flow: NDArray[np.float32]
    shown: NDArray[np.float32]
    carried: NDArray[np.float32] | None = None
    swept: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Patch:
    """What an edit changes of a photo: the rectangle at (left, top). pixels: (h, w, C), as the photo's. mask: (h, w) in [0, 1]."""

    left: int
    top: int
    pixels: NDArray[Any]
    mask: NDArray[np.float32]

    @property
    def place(self) -> tuple[slice, slice]:
        """Rows and columns of the photo."""
        height, width = self.mask.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def over(self, photo: NDArray[Any]) -> Patch:
        """Of that photo: where the mask is 0, it has its pixels."""
        own = photo[self.place]
        return replace(self, pixels=np.where(self.mask[..., None] > 0, self.pixels, own))

    def on(self, photo: NDArray[Any]) -> NDArray[Any]:
        """The edited photo (H, W, C)."""
        out = photo.copy()
        out[self.place] = self.pixels
        return out

    def mask_on(self, photo: NDArray[Any]) -> NDArray[np.float32]:
        """(H, W): where it is 0 the edited photo is the photo to the bit."""
        out = np.zeros(photo.shape[:2], np.float32)
        out[self.place] = self.mask
        return out


def paste_back(
    photo: NDArray[Any],
    edited_crop: NDArray[np.floating],
    crop: Crop,
    mask: NDArray[np.floating],
    motion: Motion | None = None,
    seamless: bool = True,
) -> Patch:
    """Put an edited crop into its photo.

    photo: (H, W, C) uint8 or uint16, the photo of the crop, C = 3 or 1. edited_crop: (S, S, C) in [0, 1], at any size S; a crop of that size saves
    sampling the photo again. mask: (S, S) in [0, 1], what may change. motion: of that size; None: nothing moved.
    seamless: False leaves out the seam's correction, for what is no colour.
    An edited crop that equals `crop.resize(S).image` returns the photo.
    """
    size, channels = edited_crop.shape[0], photo.shape[2]
    if edited_crop.shape != (size, size, channels) or mask.shape != (size, size):
        raise ValueError(f"expected (S, S, {channels}) and (S, S), got {edited_crop.shape} and {mask.shape}")
    at_size = crop.resize(size)
    source = to_float(at_size.image)
    edited = np.asarray(np.clip(np.nan_to_num(edited_crop), 0, 1), dtype=np.float32)
    beyond = at_size.beyond
    feathered, seam = _blend_maps(source, edited, np.clip(mask.astype(np.float32), 0, 1), beyond)
    seam = seam if seamless else np.zeros_like(seam)
    if motion is None:
        flow, keep = np.zeros((size, size, 2), np.float32), _kept_in_place(source, edited)
    else:
        flow, keep = _in_photo(motion.flow, at_size), np.clip(motion.shown, 0, 1)
        keep = keep * _comes_from_photo(flow, at_size, photo.shape)
        source = moved_by(source, motion.flow) if motion.carried is None else motion.carried
        keep = keep * _gain(edited, source)
        if motion.swept is not None:
            feathered = feathered * (1 - motion.swept)
    planes = np.concatenate([edited - seam, source, keep[..., None], flow, feathered[..., None]], axis=-1)
    matrix = at_size.photo_to_crop
    if at_size.scale >= 2:  # the crop is much finer than the photo: average first, down to one to two pixels per photo pixel
        coarse = max(2, math.ceil(size / math.floor(at_size.scale)))
        planes = resize_planes(planes, coarse, Image.Resampling.BOX)
        matrix = matrix * (coarse / size)

    left, top, right, bottom = _bounds(at_size.to_photo(_corners(feathered)), photo.shape)
    pixels = photo[top:bottom, left:right].copy()
    used = np.zeros(pixels.shape[:2], np.float32)
    parts = Planes(np.ascontiguousarray(planes[..., : 2 * channels]), np.ascontiguousarray(planes[..., 2 * channels :]))
    carry_over(photo, parts, Place(np.ascontiguousarray(matrix, np.float64), left, top), Filled(pixels, used))
    return Patch(left, top, pixels, used)


def _in_photo(flow: NDArray[np.float32], crop: Crop) -> NDArray[np.float32]:
    """A motion (S, S, 2) in pixels of the crop as one in pixels of the photo."""
    return (flow @ crop.crop_to_photo[:, :2].T.astype(np.float32)).astype(np.float32)


def _comes_from_photo(flow: NDArray[np.float32], crop: Crop, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """(S, S) 1 where a motion (S, S, 2) in pixels of the photo leads to a place well within it, 0 where it leads beyond its border."""
    centres, matrix = np.arange(crop.size) + 0.5, crop.crop_to_photo
    least = np.full(flow.shape[:2], np.inf, np.float32)
    for axis, length in enumerate((shape[1], shape[0])):
        along, down = matrix[axis, 0] * centres + matrix[axis, 2], matrix[axis, 1] * centres
        where = flow[..., axis] + (along[None, :] + down[:, None]).astype(np.float32)
        np.minimum(least, np.minimum(where, length - where), out=least)
    return np.clip(least * np.float32(crop.scale) - 1, 0, 1)


def _gain(edited: NDArray[np.float32], moved: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, S): how many times brighter the edit is than the photo that it shows, on a local mean."""
    size = len(edited)
    work = min(size, WORK_SIZE)
    both = resize_planes(np.stack([channel_mean(edited), channel_mean(moved)], axis=-1), work, Image.Resampling.BOX)
    near = gaussian(both, GAIN_RADIUS * work) + DARK
    ratio = np.clip(near[..., 0] / near[..., 1], 1 / BRIGHTEST, BRIGHTEST)
    return np.clip(resize_planes(ratio[..., None], size, Image.Resampling.BILINEAR)[..., 0], 1 / BRIGHTEST, BRIGHTEST)


def _blend_maps(
    source: NDArray[np.float32], edited: NDArray[np.float32], mask: NDArray[np.float32], beyond: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Feathered mask (S, S) and seam (S, S, C) as in the head of this file. beyond: (S, S), not in the photo."""
    from scipy.ndimage import distance_transform_edt

    size, channels = mask.shape[0], source.shape[2]
    work = min(size, WORK_SIZE)
    small = resize_planes(np.concatenate([edited - source, mask[..., None], beyond[..., None]], axis=-1), work, Image.Resampling.BOX)
    change, inside, absent = small[..., :channels], small[..., -2] > VISIBLE, small[..., -1] > 0.5
    # Distance from the border of the mask. Beyond the photo there is no seam to hide, so that the mask may end there hard.
    distance = np.asarray(distance_transform_edt(np.pad(inside | absent, 1)), dtype=np.float32)[1:-1, 1:-1]
    feather = smoothstep((distance - 0.5) / max(FEATHER * work, 1))

    reach = SEAM_REACH * work
    band = (inside & ~absent & (distance <= max(FEATHER * work, 2))).astype(np.float32)
    squares = channel_sum(change**2)[..., None]
    near = gaussian(band[..., None] * np.concatenate([change, squares, np.ones_like(squares)], axis=-1), reach)
    near /= np.maximum(near[..., -1:], 1e-4).copy()
    mean, square = near[..., :channels], near[..., channels]
    # Only what the border agrees on is colour; where something moved across it, the changes there have both signs and cancel.
    agreement = channel_sum(mean**2) / (square + 1e-5)
    seam = mean * (np.clip(agreement, 0, 1) * np.exp(-0.5 * (distance / reach) ** 2))[..., None]

    full = resize_planes(np.concatenate([feather[..., None], seam], axis=-1), size, Image.Resampling.BILINEAR)
    return mask * np.clip(full[..., 0], 0, 1), full[..., 1:]


def _kept_in_place(source: NDArray[np.float32], edited: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, S), keep of an edit without a motion: a smooth change (light, tone) leaves the detail in its place, one with edges of its own has moved
    something."""
    size = len(source)
    work = min(size, WORK_SIZE)
    change = resize_planes(edited - source, work, Image.Resampling.BOX)
    smooth = gaussian(change, 0.02 * work)
    moved = gaussian(channel_mean(np.abs(change - smooth)), 0.01 * work)
    keep = 1 - smoothstep((moved - KEEP_BELOW) / (DROP_ABOVE - KEEP_BELOW))
    return resize_planes(keep[..., None], size, Image.Resampling.BILINEAR)[..., 0]


def _corners(mask: NDArray[np.float32]) -> NDArray[np.float64]:
    """Corners (4, 2) of the box around the pixels of a mask that are not 0, a pixel wider; all in one point when there is none."""
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if not len(rows):
        return np.zeros((4, 2))
    x0, x1, y0, y1 = columns[0] - 1, columns[-1] + 2, rows[0] - 1, rows[-1] + 2
    return np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], dtype=np.float64)


def _bounds(points: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """left, top, right, bottom of the whole pixels of a photo around points (N, 2), with a margin of two."""
    low, high = np.floor(points.min(axis=0)).astype(int) - 2, np.ceil(points.max(axis=0)).astype(int) + 2
    left, right = (int(np.clip(v, 0, shape[1])) for v in (low[0], high[0]))
    top, bottom = (int(np.clip(v, 0, shape[0])) for v in (low[1], high[1]))
    return left, top, right, bottom
