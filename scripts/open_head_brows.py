"""Raised brows keep their thickness: the open head's brow blendshapes with a forehead that is squeezed over its whole height.

Anny's skin rises most at the brow's lower edge and half as much 12 mm above it: a brow of 8 mm is drawn as a line. A real brow moves whole, and
the forehead above it wrinkles up to the hairline. So what a blendshape does between its peak and the end of its reach is stretched over the
height from the brow's upper edge to the hair, and the brow itself moves as its lower edge does. Below the peak nothing changes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator

RAISING = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")
# Heights above the line between the eyes, metres: where Anny's skin rises most, the brow's upper edge, where Anny's movement ends, the hairline.
PEAK, BROW_TOP, REACH, HAIRLINE = 0.0155, 0.023, 0.037, 0.058


def source_height(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) heights whose movement skin at the heights y takes."""
    above = PEAK + (y - BROW_TOP) * (REACH - PEAK) / (HAIRLINE - BROW_TOP)
    return np.where(y <= PEAK, y, np.maximum(above, PEAK))


def raise_whole(template: NDArray[np.float64], direction: NDArray[np.float64], front: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(V, 3) movement of all vertices, metres; `front` (V,) bool marks the skin of forehead and brows.

    Skin slides on the forehead: its depth follows the surface, and what the blendshape lifts off the surface is carried along.
    """
    points, moves = template[front], direction[front]
    surface = LinearNDInterpolator(points[:, :2], points[:, 2])
    ends = points + moves
    lift = np.nan_to_num(ends[:, 2] - surface(ends[:, :2]))
    sources = np.stack([points[:, 0], source_height(points[:, 1])], -1)
    slide = LinearNDInterpolator(points[:, :2], moves[:, :2], fill_value=0.0)(sources)
    depth = surface(points[:, :2] + slide) - points[:, 2] + LinearNDInterpolator(points[:, :2], lift, fill_value=0.0)(sources)
    moved = np.concatenate([slide, depth[:, None]], -1)
    changes = (points[:, 1] > PEAK) & np.isfinite(depth)
    result = direction.copy()
    result[front] = np.where(changes[:, None], moved, moves)
    return result
