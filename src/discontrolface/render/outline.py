"""The outline of a turning head: on one side the cheek slides over what lies beside it; hair and wall do not move along with the cheek.

What lies beyond the outline is further back than the cheek. So there is a second motion there, that of the head's middle depth (hair on a surface
round the skull stays about where it is while the face turns). It is taken where it fetches something that the photo shows beyond its own
outline. On the other side of a turn it would fetch the photo's cheek once more; there the smooth continuation of `extend` stays in force.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from discontrolface.render.extend import distance_to, membrane, unfold
from discontrolface.render.raster import FloatArray, IntArray
from discontrolface.render.smoothstep import smoothstep

MARGIN = 0.014  # the fitted outline may miss the real one by this much / side of the picture: that strip goes with the head
EDGE = 0.008  # width of the change from one motion to the other / side
SOFT_BORDER = 0.025  # between bare and hairy parts of the outline / side
BLEND = 0.05  # the same where the continuation takes over on the side that is uncovered / side


@dataclass(frozen=True)
class Outline:
    """All in pixels of the full picture, on a grid of every second or fourth pixel, but motion: (G, G, 2) offsets in ndc, y down.

    away: from the head in the target. clear: from the head in the photo. bare: 0..1, the outline nearby is skin: where it is scalp, the hair on
    both sides of it is one, and no edge may show. motion: that beyond the outline.
    """

    away: FloatArray
    clear: FloatArray
    bare: FloatArray
    motion: FloatArray


def head_distance(shown: IntArray, head_faces: np.ndarray) -> FloatArray:
    """Pixels from the head of a picture, on every second or fourth pixel. shown: (H, W) triangles, -1 for none. head_faces: (F,) bool, part of
    the head (not of the bust)."""
    step = _step(len(shown))
    small = shown[::step, ::step]
    clear = step * distance_transform_edt(~np.where(small >= 0, head_faces[small], False))
    return np.asarray(gaussian_filter(clear.astype(np.float32), 0.7))


def head_outline(clear: FloatArray, after: IntArray, head_faces: np.ndarray, scalp_faces: np.ndarray, motion: FloatArray) -> Outline:
    """clear: `head_distance` of the photo. after: (H, W) triangles shown in the target, -1 for none. head_faces, scalp_faces: (F,) bool, part of
    the head (not of the bust), of the scalp."""
    step = _step(len(after))
    shown = after[::step, ::step]
    away, nearest = distance_transform_edt(~np.where(shown >= 0, head_faces[shown], False), return_indices=True)
    bare = (~scalp_faces[shown[nearest[0], nearest[1]]]).astype(np.float32)
    return Outline(
        gaussian_filter(step * away.astype(np.float32), 0.7),
        clear,
        gaussian_filter(bare, SOFT_BORDER * len(bare)),
        motion,
    )


def _step(height: int) -> int:
    return 2 if height < 384 else 4


def no_outline(grid: int) -> Outline:
    """For a head that does not turn: nothing is covered or uncovered."""
    nowhere = np.zeros((2, 2), np.float32)
    return Outline(nowhere, nowhere, nowhere, np.zeros((grid, grid, 2), np.float32))


def motion_beyond(
    anchor: FloatArray, weight: FloatArray, depth: FloatArray, floor: float, matrix: np.ndarray, shift: np.ndarray, head_radius: float
) -> FloatArray:
    """(G, G, 2) offsets in ndc (y down) beyond the head's outline: its turn at the depth `floor`, at rest near the bust, 0 on the border.

    Arguments as for `extend.extend_motion`; only the bust's cells (where `depth` is -inf) anchor it.
    """
    size = len(weight)
    cell = 2.0 / size
    inside = np.isfinite(depth)
    distance = distance_to(inside)
    index = np.arange(size) + 0.5
    edge = np.minimum(index, size - index)
    border = np.minimum(edge[:, None], edge[None, :]).astype(np.float32)
    near = smoothstep(1.0 - (distance - 0.25 * head_radius) / (1.6 * head_radius))
    fade = near * smoothstep((border - 1.0) / (0.6 * distance + 0.04 * size))
    x, y = (index * cell - 1.0)[None, :], (1.0 - index * cell)[:, None]
    rigid = np.empty((size, size, 2), np.float32)
    rigid[..., 0] = ((matrix[0, 0] - 1.0) * x + matrix[0, 1] * y + matrix[0, 2] * floor + shift[0]) * fade
    rigid[..., 1] = -(matrix[1, 0] * x + (matrix[1, 1] - 1.0) * y + matrix[1, 2] * floor + shift[1]) * fade
    screen = ((0.6 / head_radius) ** 2 * (1.0 - near) + (0.15 / head_radius) ** 2).astype(np.float32)
    bust = np.where(inside, 0.0, weight).astype(np.float32)
    rest = membrane(np.ascontiguousarray(anchor[..., :2] - rigid), bust, screen)
    total = np.ascontiguousarray((rigid + rest) * smoothstep((border - 1.0) / (0.03 * size))[..., None], np.float32)
    unfold(total, np.float32(cell), 40)
    return total
