"""The preview, laid on what the networks drew: where both show the same a pixel or two apart, the photo's own pixels can stand for the networks'.

A network learned from pairs whose hair, ears and outlines never lay quite where the mesh warp puts them, so it is soft where the preview is sharp.
Where such a thing belongs the network knows better, what it looks like the photo does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.pixels import resize_planes
from discontrolface.editing.detail import down, legible
from discontrolface.editing.registration import motion
from discontrolface.render.blur import gaussian
from discontrolface.render.flow import moved_by
from discontrolface.render.warp import Preview

FloatArray = NDArray[np.float32]

# Lengths are shares of the picture's side. Wider than between two readings of a person (registration.py): a network may have other hair in mind.
WINDOW: Final = 0.03  # standard deviation over which a motion is one
LIMIT: Final = 0.03  # nothing is moved further
ROUNDS: Final = 4  # of the search; with six nothing is nearer to true pictures
WORK_SIZE: Final = 128  # grid on which the motion is found, at most: 0.03 dB less than with 256, a tenth to a fifth more frames of a clip
BORDER: Final = 0.015  # standard deviation of the mask's border, at which nothing is moved


class Laid(NamedTuple):
    """preview: (S, S), moved, with its motion. crop: (S, S, 3) at that motion. legible: (S, S), `legible` of it."""

    preview: Preview
    crop: FloatArray
    legible: FloatArray


def laid_on(picture: FloatArray, fine: Preview, crop: FloatArray, moved: FloatArray) -> Laid:
    """A preview (S, S), moved by at most LIMIT S pixels so that it lies on a network's picture (s, s, 3) where the photo showed it. The mask stays,
    and so does everything beyond it.

    moved: the crop at the preview's motion. A picture that is the preview, at its own size or smaller, moves nothing, to the bit.
    """
    size, small = len(fine.image), min(len(picture), len(fine.image), WORK_SIZE)
    shown = down(np.stack([fine.visibility, fine.mask], -1), small)
    field = motion(down(fine.image, small), down(picture, small), shown[..., 0], WINDOW, LIMIT, ROUNDS)
    inside = (shown[..., 1:] > 0).astype(np.float32)
    field *= inside * np.clip(2 * gaussian(inside, BORDER * small) - 1, 0, 1) * np.float32(size / small)
    if not field.any():
        return Laid(fine, moved, legible(fine.flow))
    field = resize_planes(field, size, Image.Resampling.BILINEAR) * (fine.mask[..., None] > 0)
    planes = np.dstack([fine.flow, moved, fine.image, fine.visibility, fine.lids, fine.mouth])
    before, there, maps = np.split(moved_by(planes, field), (5, 8), axis=-1)
    flow = field + before[..., :2]
    again, fit = moved_by(crop, flow), legible(flow)
    # Read twice, the photo's pixels would be softer than read once; along an outline, where the motion jumps, twice is smoother.
    image = np.clip(there + fit[..., None] * (again - before[..., 2:]), 0, 1)
    maps = np.clip(maps, 0, 1)
    preview = replace(fine, image=image, visibility=maps[..., 0], lids=maps[..., 1], mouth=maps[..., 2:], flow=flow)
    return Laid(preview, again, fit)
