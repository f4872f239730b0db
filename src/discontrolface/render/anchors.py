"""The mesh's motion on a coarse grid: what the motion beside the mesh is hung on (`extend`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.render.compiled import compiled
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import SKIN
from discontrolface.render.surface import channel, point_at


class Anchors(NamedTuple):
    """Trusted motion in the cells of a grid. value: (G, G, 2 + C) offset in ndc (x right, y *down*) and C further channels (logs of the ratio of
    shadings). weight: (G, G) how strongly that is asked for, 0 for free cells. depth: (G, G) ndc of the head (not the bust), -inf where it is not."""

    value: FloatArray
    weight: FloatArray
    depth: FloatArray

    @classmethod
    def empty(cls, grid: int) -> Anchors:
        """Not filled yet, with three channels of shading."""
        value, (weight, depth) = np.empty((grid, grid, 5), np.float32), np.empty((2, grid, grid), np.float32)
        return cls(value=value, weight=weight, depth=depth)


@compiled
def coarse_anchors(first, last, surface, attributes, motion, out):  # type: ignore[no-untyped-def]
    """Sum up trusted motion in the rows first..last-1 of the grid. attributes: (V, 5) = log ratio of shadings, hair, not bust. Hair counts less."""
    triangle, depth, layer, trusted, flow = surface.triangle, surface.depth, motion.layer, motion.trusted, motion.flow
    value, weight, nearest = out.value, out.weight, out.depth
    height, width = triangle.shape
    grid = len(weight)
    value[first:last] = np.float32(0.0)
    weight[first:last] = np.float32(0.0)
    nearest[first:last] = np.float32(-np.inf)
    to_x, to_y = np.float32(2.0 / width), np.float32(2.0 / height)
    cell_area = np.float32(height * width) / np.float32(grid * grid)
    cells = np.empty(width, np.int64)
    for j in range(width):
        cells[j] = j * grid // width
    for i in range((first * height + grid - 1) // grid, (last * height + grid - 1) // grid):
        gi = i * grid // height
        for j in range(width):
            if triangle[i, j] < 0:
                continue
            gj = cells[j]
            point = point_at(surface, i, j)
            if depth[i, j] > nearest[gi, gj] and channel(attributes, 4, point) > np.float32(0.5):
                nearest[gi, gj] = depth[i, j]
            t = trusted[i, j]
            if t <= 0 or layer[i, j] != SKIN:
                continue
            t *= np.float32(1.0) - np.float32(0.9) * channel(attributes, 3, point)
            weight[gi, gj] += t
            value[gi, gj, 0] += t * flow[i, j, 0] * to_x
            value[gi, gj, 1] += t * flow[i, j, 1] * to_y
            for k in range(3):
                value[gi, gj, 2 + k] += t * channel(attributes, k, point)
    for gi in range(first, last):
        for gj in range(grid):
            if weight[gi, gj] > 0:
                for k in range(5):
                    value[gi, gj, k] /= weight[gi, gj]
                weight[gi, gj] *= np.float32(20.0) / cell_area
