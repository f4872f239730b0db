"""Kernels on the coarse grid: distances, cones, folds."""

from __future__ import annotations

import numpy as np

from discontrolface.render.compiled import compiled
from discontrolface.render.raster import FloatArray


def distance_to(inside: np.ndarray) -> FloatArray:
    """(G, G) distance in cells to the True ones (nearly Euclidean)."""
    distance = np.where(inside, 0.0, 1e6).astype(np.float32)
    _chamfer(distance)
    return distance


@compiled
def raise_cone(depth, drop):  # type: ignore[no-untyped-def]
    """Raise the depth to its upper envelope with slopes of at most `drop` a cell (two sweeps, 8 neighbours). In place."""
    height, width = depth.shape
    diagonal = drop * np.float32(1.41421356)
    for i in range(height):
        for j in range(width):
            d = depth[i, j]
            if j > 0:
                d = max(d, depth[i, j - 1] - drop)
            if i > 0:
                d = max(d, depth[i - 1, j] - drop)
                if j > 0:
                    d = max(d, depth[i - 1, j - 1] - diagonal)
                if j + 1 < width:
                    d = max(d, depth[i - 1, j + 1] - diagonal)
            depth[i, j] = d
    for i in range(height - 1, -1, -1):
        for j in range(width - 1, -1, -1):
            d = depth[i, j]
            if j + 1 < width:
                d = max(d, depth[i, j + 1] - drop)
            if i + 1 < height:
                d = max(d, depth[i + 1, j] - drop)
                if j > 0:
                    d = max(d, depth[i + 1, j - 1] - diagonal)
                if j + 1 < width:
                    d = max(d, depth[i + 1, j + 1] - diagonal)
            depth[i, j] = d


@compiled
def _chamfer(distance):  # type: ignore[no-untyped-def]
    """Distance to the cells that are 0 (two sweeps, 8 neighbours). In place."""
    height, width = distance.shape
    one, diagonal = np.float32(1.0), np.float32(1.41421356)
    for i in range(height):
        for j in range(width):
            d = distance[i, j]
            if j > 0:
                d = min(d, distance[i, j - 1] + one)
            if i > 0:
                d = min(d, distance[i - 1, j] + one)
                if j > 0:
                    d = min(d, distance[i - 1, j - 1] + diagonal)
                if j + 1 < width:
                    d = min(d, distance[i - 1, j + 1] + diagonal)
            distance[i, j] = d
    for i in range(height - 1, -1, -1):
        for j in range(width - 1, -1, -1):
            d = distance[i, j]
            if j + 1 < width:
                d = min(d, distance[i, j + 1] + one)
            if i + 1 < height:
                d = min(d, distance[i + 1, j] + one)
                if j > 0:
                    d = min(d, distance[i + 1, j - 1] + diagonal)
                if j + 1 < width:
                    d = min(d, distance[i + 1, j + 1] + diagonal)
            distance[i, j] = d


@compiled
def unfold(flow, cell, rounds):  # type: ignore[no-untyped-def]
    """Smooth the map p -> p + flow where it folds or stretches tenfold (determinant of its Jacobian, forward differences). In place."""
    height, width, _ = flow.shape
    least = np.float32(0.1)
    for _ in range(rounds):
        folded = 0
        for i in range(1, height - 2):
            for j in range(1, width - 2):
                xx = np.float32(1.0) + (flow[i, j + 1, 0] - flow[i, j, 0]) / cell
                xy = (flow[i + 1, j, 0] - flow[i, j, 0]) / cell
                yx = (flow[i, j + 1, 1] - flow[i, j, 1]) / cell
                yy = np.float32(1.0) + (flow[i + 1, j, 1] - flow[i, j, 1]) / cell
                if xx * yy - xy * yx < least or xx < least or yy < least:
                    folded += 1
                    for a in range(i, i + 2):
                        for b in range(j, j + 2):
                            for k in range(2):
                                around = flow[a - 1, b, k] + flow[a + 1, b, k] + flow[a, b - 1, k] + flow[a, b + 1, k]
                                flow[a, b, k] = np.float32(0.5) * flow[a, b, k] + np.float32(0.125) * around
        if folded == 0:
            break
