"""The motion off the mesh: hair, clothes and background follow the head smoothly, and stand still at the picture's border.

All on a coarse grid. Two parts add up:

- The *rigid* part: the head's turn, applied to a rounded depth. The mesh's depth is continued outwards by a cone (slope at most `slope`),
  so hair moves as if it lay on a surface round the skull, and the map from target to source cannot fold at the silhouette of a turning head.
- The *rest* (expressions, the neck that does not turn): a membrane through what the mesh says, solved from coarse to fine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.geometry.similarity import Similarity
from discontrolface.render.anchors import Anchors
from discontrolface.render.grid import distance_to, raise_cone, unfold
from discontrolface.render.membrane import membrane
from discontrolface.render.raster import FloatArray
from discontrolface.render.smoothstep import smoothstep


class Turn(NamedTuple):
    """How the skull moves. skull: in ndc, from the target to the photo. floor: ndc depth far from the head, that of the pivot: hair there stays.
    radius: of the head in cells of the grid."""

    skull: Similarity
    floor: float
    radius: float

    @classmethod
    def of(cls, skull: Similarity, points: FloatArray, depth: FloatArray) -> Turn:
        """points: (N, 3) of the skull in the target, ndc. depth: as in `Anchors`."""
        centre = points.astype(np.float64).mean(0)
        floor = float(np.clip(pivot(skull, centre)[2], points[:, 2].min(), points[:, 2].max()))
        return cls(skull=skull, floor=floor, radius=float(np.sqrt(max(np.isfinite(depth).sum(), 4) / np.pi)))


def extend_motion(anchors: Anchors, turn: Turn) -> FloatArray:
    """Where each cell of the grid comes from, and how it is relit: (G, G, 2 + C), 0 on the border.

    The first two channels are an offset in ndc, x right and y *down*; all others are continued by the membrane only.
    """
    size = len(anchors.weight)
    cell = 2.0 / size
    matrix = turn.skull.matrix
    tilt = np.sqrt(matrix[0, 2] ** 2 + matrix[1, 2] ** 2) / max(abs(matrix[2, 2]), 1e-3)
    slope = min(1.2, 0.55 / max(tilt, 1e-3))
    inside = np.isfinite(anchors.depth)
    rounded = np.where(inside, np.maximum(anchors.depth, turn.floor), turn.floor).astype(np.float32)
    raise_cone(rounded, np.float32(slope * cell))
    reach = _Reach.of(inside, turn.radius)

    rigid = np.zeros(anchors.value.shape, np.float32)
    rigid[..., :2] = _rigid(turn.skull, rounded, reach.fade)
    rest = membrane(anchors.value - rigid, anchors.weight, reach.screen)
    total = (rigid + rest) * reach.rim[..., None]
    total[..., 2:] *= smoothstep(1.0 - (reach.distance - 0.4 * turn.radius) / (1.2 * turn.radius))[..., None]
    total = np.ascontiguousarray(total, np.float32)
    unfold(total, np.float32(cell), 40)
    padded = np.pad(total, ((1, 1), (0, 0), (0, 0)))
    total = 0.5 * total + 0.25 * (padded[:-2] + padded[2:])
    padded = np.pad(total, ((0, 0), (1, 1), (0, 0)))
    return 0.5 * total + 0.25 * (padded[:, :-2] + padded[:, 2:])


def motion_beyond(anchors: Anchors, turn: Turn) -> FloatArray:
    """(G, G, 2) offsets in ndc (y down) beyond the head's outline: its turn at the depth `turn.floor`, at rest near the bust, 0 on the border.

    Only the bust's cells (where the depth is -inf) anchor it.
    """
    inside = np.isfinite(anchors.depth)
    reach = _Reach.of(inside, turn.radius)
    rigid = _rigid(turn.skull, turn.floor, reach.fade)
    bust = np.where(inside, 0.0, anchors.weight).astype(np.float32)
    rest = membrane(anchors.value[..., :2] - rigid, bust, reach.screen)
    total = np.ascontiguousarray((rigid + rest) * reach.rim[..., None], np.float32)
    unfold(total, np.float32(2.0 / len(inside)), 40)
    return total


def pivot(skull: Similarity, centre: np.ndarray) -> np.ndarray:
    """(3,) the point nearest to `centre` that the similarity leaves in place; `centre` itself if nothing turns."""
    return centre + np.linalg.pinv(skull.matrix - np.eye(3), rcond=1e-2) @ (centre - skull.matrix @ centre - skull.shift)


class _Reach(NamedTuple):
    """How far the head's motion carries, per cell. distance: cells from the head. fade: the share of the rigid part. rim: 0 on the picture's border,
    1 a little inside. screen: how strongly the rest is drawn to 0."""

    distance: FloatArray
    fade: FloatArray
    rim: FloatArray
    screen: FloatArray

    @classmethod
    def of(cls, inside: np.ndarray, radius: float) -> _Reach:
        """inside: (G, G) bool, the head. radius: of it in cells."""
        size = len(inside)
        distance = distance_to(inside)
        index = np.arange(size) + 0.5
        edge = np.minimum(index, size - index)
        border = np.minimum(edge[:, None], edge[None, :]).astype(np.float32)
        near = smoothstep(1.0 - (distance - 0.25 * radius) / (1.6 * radius))
        screen = (0.6 / radius) ** 2 * (1.0 - near) + (0.15 / radius) ** 2
        return cls(
            distance=distance,
            fade=near * smoothstep((border - 1.0) / (0.6 * distance + 0.04 * size)),
            rim=smoothstep((border - 1.0) / (0.03 * size)),
            screen=screen.astype(np.float32),
        )


def _rigid(skull: Similarity, depth: FloatArray | float, fade: FloatArray) -> FloatArray:
    """(G, G, 2) the skull's motion at this ndc depth, offset in ndc (y down), as far as `fade` (G, G) lets it."""
    size = len(fade)
    matrix, shift = skull
    centre = (np.arange(size) + 0.5) * (2.0 / size)
    x, y = (centre - 1.0)[None, :], (1.0 - centre)[:, None]
    out = np.empty((size, size, 2), np.float32)
    out[..., 0] = ((matrix[0, 0] - 1.0) * x + matrix[0, 1] * y + matrix[0, 2] * depth + shift[0]) * fade
    out[..., 1] = -(matrix[1, 0] * x + (matrix[1, 1] - 1.0) * y + matrix[1, 2] * depth + shift[1]) * fade
    return out
