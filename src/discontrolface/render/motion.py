"""Where each pixel of the target comes from, as far as the mesh says, and how far that can be trusted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.render.compiled import compiled
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import SKIN, SOCKET
from discontrolface.render.surface import channel, point_at

OFF = 255  # layer of pixels that show no triangle
TOLERANCE = 0.02  # ndc depth: how far behind the photo's surface a point may lie and still be on it


class MeshMotion(NamedTuple):
    """Of each pixel of the target. flow: (H, W, 2) pixels to where the photo shows the same point of the mesh. sighted: (H, W) 0..1 how far the photo
    shows that point; trusted: the same, falling to 0 smoothly (`soften`). layer: (H, W) of the surface, OFF off the mesh."""

    flow: FloatArray
    sighted: FloatArray
    trusted: FloatArray
    layer: np.ndarray

    @classmethod
    def empty(cls, height: int, width: int) -> MeshMotion:
        """Not filled yet."""
        size = (height, width)
        return cls(
            flow=np.empty((*size, 2), np.float32),
            sighted=np.empty(size, np.float32),
            trusted=np.empty(size, np.float32),
            layer=np.empty(size, np.uint8),
        )


class Sight(NamedTuple):
    """What hides points of the mesh. depth: (H, W) the photo's z-buffer; before, after: `trust.near_occluder` of the photo and of the target."""

    depth: FloatArray
    before: np.ndarray
    after: np.ndarray


@compiled
def mesh_motion(first, last, surface, face_layer, points, sight, out):  # type: ignore[no-untyped-def]
    """Fill `out.flow`, `out.sighted` and `out.layer` in the rows first..last-1.

    points: (V, 4) where a vertex is in the photo: x, y in pixels, ndc depth; and 0..1, how well the photo shows it (`vertex_trust`).
    A point is trusted if the photo shows it (its depth is that of the photo's z-buffer), as far as its vertices are, and, on
    skin, not next to the outline of something in front of it, before or after. What hardly moves and is seen is trusted anyway.
    """
    triangle, depth, before, after = surface.triangle, sight.depth, sight.before, sight.after
    flow, sighted, layer = out.flow, out.sighted, out.layer
    height, width = triangle.shape
    zero, one, half = np.float32(0.0), np.float32(1.0), np.float32(0.5)
    for i in range(first, last):
        for j in range(width):
            flow[i, j, 0], flow[i, j, 1], sighted[i, j], layer[i, j] = zero, zero, zero, np.uint8(OFF)
            f = triangle[i, j]
            if f < 0:
                continue
            kind = face_layer[f]
            if kind == SOCKET:  # the rim of a lid, the corner of an eye
                kind = np.uint8(SKIN)
            layer[i, j] = kind
            point = point_at(surface, i, j)
            x, y, z = channel(points, 0, point), channel(points, 1, point), channel(points, 2, point)
            dx, dy = x - (np.float32(j) + half), y - (np.float32(i) + half)
            flow[i, j, 0], flow[i, j, 1] = dx, dy
            if not (x >= half and x <= np.float32(width) - half and y >= half and y <= np.float32(height) - half):
                continue
            col, row = int(x - half), int(y - half)
            below, right = min(row + 1, height - 1), min(col + 1, width - 1)
            nearest = min(min(depth[row, col], depth[row, right]), min(depth[below, col], depth[below, right]))
            if z < nearest - np.float32(TOLERANCE):
                continue
            t = channel(points, 3, point)
            if kind == SKIN:
                up, down, west, east = row >> 1, below >> 1, col >> 1, right >> 1
                hidden = before[up, west] or before[up, east] or before[down, west] or before[down, east]
                if hidden or after[i >> 1, j >> 1]:
                    t = zero
            still = np.float32(1.5) - np.float32(2.0) * np.sqrt(dx * dx + dy * dy)  # 1 below a quarter of a pixel, 0 above three quarters
            sighted[i, j] = max(t, min(max(still, zero), one))


@compiled
def soften(first, last, radius, motion):  # type: ignore[no-untyped-def]
    """Fill `motion.trusted` in the rows first..last-1: what is sighted, falling to 0 smoothly before places that are not. What lies behind openings
    has no say."""
    trust, layer, out = motion.sighted, motion.layer, motion.trusted
    height, width = trust.shape
    sums, counts = np.zeros(width, np.float64), np.zeros(width, np.int32)  # of each column, over the rows in reach
    run, seen = np.zeros(width + 1, np.float64), np.zeros(width + 1, np.int32)  # their sums to the left
    start = max(first - radius, 0)
    for r in range(start, min(first + radius, height)):
        _count_row(trust[r], layer[r], np.int32(1), sums, counts)
    for i in range(first, last):
        if i + radius < height:
            _count_row(trust[i + radius], layer[i + radius], np.int32(1), sums, counts)
        if i - radius - 1 >= start:
            _count_row(trust[i - radius - 1], layer[i - radius - 1], np.int32(-1), sums, counts)
        for j in range(width):
            run[j + 1] = run[j] + sums[j]
            seen[j + 1] = seen[j] + counts[j]
        for j in range(width):
            t = trust[i, j]
            if layer[i, j] == SKIN and t > 0:
                left, right = max(j - radius, 0), min(j + radius + 1, width)
                mean = np.float32(2.0 * (run[right] - run[left]) / max(seen[right] - seen[left], 1) - 1.0)
                out[i, j] = min(t, max(mean, np.float32(0.0)))
            else:
                out[i, j] = np.float32(0.0)


@compiled
def _count_row(trust, layer, sign, sums, counts):  # type: ignore[no-untyped-def]
    """Add a row of `soften` to the columns' sums, or take it away (sign -1)."""
    for j in range(len(trust)):
        counted = sign * np.int32((layer[j] == SKIN) | (layer[j] == OFF))
        sums[j] += trust[j] * np.float64(counted)
        counts[j] += counted
