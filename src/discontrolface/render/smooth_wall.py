"""The wall behind a head, where the photo has a smooth one, in even light or not (`matte.PlainWall` asks for one colour)."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from discontrolface.common.pixels import resize_planes
from discontrolface.render.blur import gaussian
from discontrolface.render.raster import FloatArray
from discontrolface.render.smoothstep import smoothstep

# Lengths are shares of the picture's side; the rest are differences of colours in [0, 1].
REACH: Final = 0.08  # sigma of the Gaussian over which a wall's tone is taken
LEAST: Final = 1e-4  # of its weight: what lies further from all wall has none
ROUGH_REACH: Final = 0.04  # the same of its roughness
SMOOTH, ROUGH = 0.02, 0.04  # spread of a wall's colours up to which it is smooth, from which it is not


class SmoothWall(NamedTuple):
    """The photo's wall, continued behind the head. tone: (S, S, 3); head: (S, S, 3), the head's colours nearby; smooth: (S, S) in [0, 1]."""

    tone: FloatArray
    head: FloatArray
    smooth: FloatArray


def smooth_wall(image: FloatArray, matte: FloatArray, foreground: FloatArray, depth: FloatArray) -> SmoothWall | None:
    """The wall of a photo, as `PreviewSource` has its parts; None where nothing of it is surely a wall."""
    size = len(image)
    matte = resize_planes(matte[..., None], size, Image.Resampling.BILINEAR)
    sure = np.clip(1 - matte, 0, 1) ** 8 * np.isneginf(depth)[..., None]
    if sure.max() < 0.5:
        return None
    near = gaussian(np.dstack([image * sure, sure]), REACH * size)
    tone = near[..., :3] / np.maximum(near[..., 3:], LEAST)
    apart = ((image - tone) ** 2).mean(2, keepdims=True)
    rough = gaussian(np.dstack([apart * sure, sure]), ROUGH_REACH * size)
    spread = np.sqrt(rough[..., 0] / np.maximum(rough[..., 1], LEAST))
    smooth = smoothstep((ROUGH - spread) / (ROUGH - SMOOTH)) * (rough[..., 1] > LEAST)
    head = resize_planes(foreground, size, Image.Resampling.BILINEAR)
    return SmoothWall(tone.astype(np.float32), head, smooth.astype(np.float32)) if smooth.any() else None
