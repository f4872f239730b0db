"""The grain of the skin: what is painted gets the fine structure of the cheek below, for smooth paint beside pores is seen as a patch."""

from __future__ import annotations

import numpy as np

from discontrolface.geometry.similarity import Similarity
from discontrolface.render.compiled import compiled
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import PreviewRig

BELOW = 1.95  # radii of the eyeball from the eye to the cheek that lends its grain
FINE = 0.11  # half the side of the square whose mean is taken away, in radii of the eyeball
STRONGEST = 0.07  # share of the light: more than that is an edge (the rim of glasses, the wing of the nose), not grain


def skin_grain(image: FloatArray, vertices: FloatArray, rig: PreviewRig) -> FloatArray:
    """(H, W) how much brighter a pixel is than its surroundings, as a share of these, on the cheeks below the eyes; 0 elsewhere.

    image: (H, W, 3) the photo. vertices: (V, 3) in it, ndc.
    """
    height, width = image.shape[:2]
    out = np.zeros((height, width), np.float32)
    for eye in rig.eyes:
        if not len(eye):
            continue
        centre, radius = _eyeball(vertices, eye, height, width)
        half = max(1, round(FINE * radius))
        top, bottom = (int(np.clip(centre[1] + k * radius, 0, height)) for k in (BELOW - 1.5, BELOW + 1.5))
        left, right = (int(np.clip(centre[0] + k * radius, 0, width)) for k in (-1.8, 1.8))
        if bottom - top > 2 * half and right - left > 2 * half:
            out[top:bottom, left:right] = _fine(np.ascontiguousarray(image[top:bottom, left:right]), half)
    return out


def grain_pixels(after: FloatArray, skull: Similarity, rig: PreviewRig, height: int, width: int) -> FloatArray:
    """(V, 2) the place in the photo, in pixels, whose grain is that of a vertex of a lid: as far below the eye as the vertex goes with the skull."""
    moved = skull(after).astype(np.float32)
    out = np.empty((len(after), 2), np.float32)
    out[:, 0] = (moved[:, 0] + 1.0) * (0.5 * width)
    out[:, 1] = (1.0 - moved[:, 1]) * (0.5 * height)
    if len(rig.eyes[0]):
        out[:, 1] += BELOW * _eyeball(moved, rig.eyes[0], height, width)[1]
    return out


def _eyeball(vertices: FloatArray, eye: np.ndarray, height: int, width: int) -> tuple[FloatArray, float]:
    """Its centre and radius in pixels."""
    points = vertices[eye, :2] * (0.5 * width, -0.5 * height) + (0.5 * width, 0.5 * height)
    centre = points.mean(0)
    return centre, float(np.ptp(points[:, 0]) * 0.5)


@compiled
def _fine(window, half):  # type: ignore[no-untyped-def]
    height, width, _ = window.shape
    sums = np.zeros((height + 1, width + 1), np.float64)
    for i in range(height):
        row = 0.0
        for j in range(width):
            row += window[i, j, 0] + window[i, j, 1] + window[i, j, 2]
            sums[i + 1, j + 1] = sums[i, j + 1] + row
    out = np.zeros((height, width), np.float32)
    for i in range(half, height - half):
        for j in range(half, width - half):
            a, b, c, d = i - half, i + half + 1, j - half, j + half + 1
            mean = (sums[b, d] - sums[a, d] - sums[b, c] + sums[a, c]) / ((b - a) * (d - c))
            value = (window[i, j, 0] + window[i, j, 1] + window[i, j, 2]) / max(mean, 0.03) - 1.0
            out[i, j] = value / (1.0 + (value / STRONGEST) ** 4)
    return out
