"""The edited crop's way back into the photo, at the photo's own resolution: the photo gets what the edit *changed*,

    out = photo + m * (W(edited - seam) - W(source) - (1 - keep) * (photo - W(source)))

W warps the crop's grid to the photo's; `source` is the crop as it was; photo - W(source) is the fine detail that the crop's grid does
not hold: it stays where the edit is none or smooth (keep = 1), and goes where something moved. `seam` is the smooth part of
edited - source along the border of the mask, carried inwards and fading over a short way. Poisson blending would carry it all the way
(a membrane without decay), which undoes a relighting that reaches the border; with the decay the middle of the face stays as edited.
m is the mask with a soft inner border. Where m is 0 the photo is untouched, to the bit.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.pixels import resize_planes, to_float
from discontrolface.face.crop import Crop, distance_beyond
from discontrolface.render.smoothstep import smoothstep

FEATHER: Final = 0.02  # width of the soft inner border of the mask / side of the crop
SEAM_REACH: Final = 0.05  # how far the seam's correction reaches inwards / side of the crop
KEEP_BELOW, DROP_ABOVE = 1.5 / 255, 6 / 255  # edges in edited - source up to which the photo's own detail stays, from which it goes
WORK_SIZE: Final = 256  # grid on which the smooth quantities (feather, seam, keep) are computed
STRIP_ROWS: Final = 256  # rows of the photo warped at a time: bounds the memory
VISIBLE: Final = 1 / 512  # a mask value below changes no 8-bit level


def paste_back(
    photo: NDArray[np.uint8],
    edited_crop: NDArray[np.floating],
    crop: Crop,
    mask: NDArray[np.floating],
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Put an edited crop into its photo.

    photo: (H, W, 3) uint8, the photo of the crop. edited_crop: (S, S, 3) in [0, 1], at any size S; a crop of that size saves sampling
    the photo again.
    mask: (S, S) in [0, 1], what may change.
    Returns the picture (H, W, 3) uint8 and the mask that was used (H, W) float32: where it is 0 the picture is the photo to the bit.
    An edited crop that equals `crop.resize(S).image` returns the photo.
    """
    size = edited_crop.shape[0]
    if edited_crop.shape != (size, size, 3) or mask.shape != (size, size):
        raise ValueError(f"expected (S, S, 3) and (S, S), got {edited_crop.shape} and {mask.shape}")
    at_size = crop.resize(size)
    source = to_float(at_size.image)
    edited = np.asarray(np.clip(np.nan_to_num(edited_crop), 0, 1), dtype=np.float32)
    beyond = distance_beyond(photo.shape, at_size.photo_to_crop, size) > 0
    feathered, seam, keep = _blend_maps(source, edited, np.clip(mask.astype(np.float32), 0, 1), beyond)

    planes = np.concatenate([edited - seam, source, keep[..., None], feathered[..., None]], axis=-1)
    matrix = at_size.photo_to_crop
    if at_size.scale >= 2:  # the crop is much finer than the photo: average first, down to one to two pixels per photo pixel
        coarse = max(1, math.ceil(size / math.floor(at_size.scale)))
        planes = resize_planes(planes, coarse, Image.Resampling.BOX)
        matrix = matrix * (coarse / size)

    out = photo.copy()
    photo_mask = np.zeros(photo.shape[:2], dtype=np.float32)
    left, top, right, bottom = _bounds(at_size.to_photo(_corners(feathered)), photo.shape)
    for y in range(top, bottom, STRIP_ROWS):
        rows, columns = slice(y, min(y + STRIP_ROWS, bottom)), slice(left, right)
        strip = to_float(photo[rows, columns])
        warped = _warp_planes(planes, matrix, left, y, strip.shape[1], strip.shape[0])
        new, old, stay, m = warped[..., :3], warped[..., 3:6], np.clip(warped[..., 6:7], 0, 1), np.clip(warped[..., 7], 0, 1)
        m = np.where(m < VISIBLE, np.float32(0), m)
        blended = strip + m[..., None] * (new - old - (1 - stay) * (strip - old))
        levels = np.rint(np.clip(blended, 0, 1) * 255).astype(np.uint8)
        out[rows, columns] = np.where(m[..., None] > 0, levels, photo[rows, columns])
        photo_mask[rows, columns] = m
    return out, photo_mask


def _blend_maps(
    source: NDArray[np.float32], edited: NDArray[np.float32], mask: NDArray[np.float32], beyond: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Feathered mask (S, S), seam (S, S, 3) and keep (S, S) as in the head of this file. beyond: (S, S), not in the photo."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    size = mask.shape[0]
    work = min(size, WORK_SIZE)
    small = resize_planes(np.concatenate([edited - source, mask[..., None], beyond[..., None]], axis=-1), work, Image.Resampling.BOX)
    change, inside, absent = small[..., :3], small[..., 3] > VISIBLE, small[..., 4] > 0.5
    # Distance from the border of the mask. Beyond the photo there is no seam to hide, so that the mask may end there hard.
    distance = np.asarray(distance_transform_edt(np.pad(inside | absent, 1)), dtype=np.float32)[1:-1, 1:-1]
    feather = smoothstep((distance - 0.5) / max(FEATHER * work, 1))

    reach = SEAM_REACH * work
    band = (inside & ~absent & (distance <= max(FEATHER * work, 2))).astype(np.float32)
    weight = gaussian_filter(band, reach)
    mean = np.stack([gaussian_filter(band * change[..., c], reach) for c in range(3)], axis=-1) / np.maximum(weight, 1e-4)[..., None]
    # Only what the border agrees on is colour; where something moved across it, the changes there have both signs and cancel.
    square = gaussian_filter(band * (change**2).sum(axis=-1), reach) / np.maximum(weight, 1e-4)
    agreement = (mean**2).sum(axis=-1) / (square + 1e-5)
    seam = mean * (np.clip(agreement, 0, 1) * np.exp(-0.5 * (distance / reach) ** 2))[..., None]

    # A smooth change (light, tone) leaves the detail in its place; a change with edges of its own has moved something.
    smooth = np.stack([gaussian_filter(change[..., c], 0.02 * work) for c in range(3)], axis=-1)
    moved = gaussian_filter(np.abs(change - smooth).mean(axis=-1), 0.01 * work)
    keep = 1 - smoothstep((moved - KEEP_BELOW) / (DROP_ABOVE - KEEP_BELOW))

    full = resize_planes(np.concatenate([feather[..., None], seam, keep[..., None]], axis=-1), size, Image.Resampling.BILINEAR)
    return mask * np.clip(full[..., 0], 0, 1), full[..., 1:4], full[..., 4]


def _warp_planes(
    planes: NDArray[np.float32], photo_to_planes: NDArray[np.float64], left: int, top: int, width: int, height: int
) -> NDArray[np.float32]:
    """The rectangle of the photo's grid at (left, top), filled from planes (S, S, C): pictures bicubically, the last two maps linearly."""
    matrix = photo_to_planes.copy()
    matrix[:, 2] += matrix[:, :2] @ np.array([left, top])
    out = np.empty((height, width, planes.shape[-1]), dtype=np.float32)
    for c in range(planes.shape[-1]):
        resample = Image.Resampling.BILINEAR if c >= planes.shape[-1] - 2 else Image.Resampling.BICUBIC
        plane = Image.fromarray(np.ascontiguousarray(planes[..., c]))
        out[..., c] = np.asarray(plane.transform((width, height), Image.Transform.AFFINE, tuple(matrix.ravel()), resample=resample))
    return out


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
