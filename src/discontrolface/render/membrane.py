"""A smooth field through given values: what the motion beside the mesh is made of."""

from __future__ import annotations

import numpy as np

from discontrolface.render.compiled import compiled
from discontrolface.render.raster import FloatArray


def membrane(value: FloatArray, weight: FloatArray, screen: FloatArray) -> FloatArray:
    """Smooth (G, G, C) close to `value` where `weight` (G, G) is large: minimises sum w (u - v)^2 + |grad u|^2 + screen u^2, 0 on the border.

    Nested iteration: solved on the coarsest grid first, each solution starts the next finer one.
    """
    levels = [tuple(np.ascontiguousarray(plane, np.float32) for plane in (value, weight, screen))]
    while len(levels[-1][1]) % 2 == 0 and len(levels[-1][1]) > 8:
        levels.append(_halved(*levels[-1]))
    coarsest = levels.pop()
    u: FloatArray = _relaxed(np.zeros_like(coarsest[0]), *coarsest, 40)
    while levels:
        u = _relaxed(_doubled(u), *levels.pop(), 8)
    return u


@compiled
def _halved(value, weight, screen):  # type: ignore[no-untyped-def]
    """A coarser level for blocks of 2 x 2 cells: the weighted mean of the values, the sum of the weights, four times the mean screen."""
    half, channels = len(weight) // 2, value.shape[2]
    values = np.empty((half, half, channels), np.float32)
    weights, screens = np.empty((half, half), np.float32), np.empty((half, half), np.float32)
    for i in range(half):
        for j in range(half):
            a, b = 2 * i, 2 * j
            total = weight[a, b] + weight[a, b + 1] + weight[a + 1, b] + weight[a + 1, b + 1]
            scale = np.float32(1.0) / max(total, np.float32(1e-12))
            for k in range(channels):
                upper = value[a, b, k] * weight[a, b] + value[a, b + 1, k] * weight[a, b + 1]
                lower = value[a + 1, b, k] * weight[a + 1, b] + value[a + 1, b + 1, k] * weight[a + 1, b + 1]
                values[i, j, k] = (upper + lower) * scale
            weights[i, j] = total
            screens[i, j] = screen[a, b] + screen[a, b + 1] + screen[a + 1, b] + screen[a + 1, b + 1]
    return values, weights, screens


@compiled
def _doubled(u):  # type: ignore[no-untyped-def]
    """Every cell four times."""
    height, width, channels = u.shape
    out = np.empty((2 * height, 2 * width, channels), np.float32)
    for i in range(2 * height):
        for j in range(2 * width):
            for k in range(channels):
                out[i, j, k] = u[i >> 1, j >> 1, k]
    return out


@compiled
def _relaxed(start, value, weight, screen, sweeps):  # type: ignore[no-untyped-def]
    """Gauss-Seidel with over-relaxation for `membrane`, zero outside the grid, alternately from the first and from the last cell.

    Two channels at a time: each cell waits for the one before it, two chains of cells keep the processor busy.
    """
    height, width, channels = start.shape
    omega = np.float32(1.5)
    keep = np.float32(1.0) - omega
    share = np.empty((height, width), np.float32)
    for i in range(height):
        for j in range(width):
            share[i, j] = omega / (weight[i, j] + screen[i, j] + np.float32(4.0))
    out = np.empty_like(start)
    u = np.zeros((height + 2, width + 2, 2), np.float32)  # with a border of zeros
    pull = np.empty((height, width, 2), np.float32)
    for k in range(0, channels, 2):
        l = min(k + 1, channels - 1)
        for i in range(height):
            for j in range(width):
                u[i + 1, j + 1, 0], u[i + 1, j + 1, 1] = start[i, j, k], start[i, j, l]
                w = share[i, j] * weight[i, j]
                pull[i, j, 0], pull[i, j, 1] = w * value[i, j, k], w * value[i, j, l]
        for sweep in range(sweeps):
            if sweep % 2 == 0:
                for i in range(1, height + 1):
                    p, q = np.float32(0.0), np.float32(0.0)  # the cell that was changed last
                    for j in range(1, width + 1):
                        part = share[i - 1, j - 1]
                        p = (
                            keep * u[i, j, 0] + pull[i - 1, j - 1, 0] + part * (u[i - 1, j, 0] + u[i + 1, j, 0] + u[i, j + 1, 0])
                        ) + part * p
                        q = (
                            keep * u[i, j, 1] + pull[i - 1, j - 1, 1] + part * (u[i - 1, j, 1] + u[i + 1, j, 1] + u[i, j + 1, 1])
                        ) + part * q
                        u[i, j, 0], u[i, j, 1] = p, q
            else:
                for i in range(height, 0, -1):
                    p, q = np.float32(0.0), np.float32(0.0)
                    for j in range(width, 0, -1):
                        part = share[i - 1, j - 1]
                        p = (
                            keep * u[i, j, 0] + pull[i - 1, j - 1, 0] + part * (u[i - 1, j, 0] + u[i + 1, j, 0] + u[i, j - 1, 0])
                        ) + part * p
                        q = (
                            keep * u[i, j, 1] + pull[i - 1, j - 1, 1] + part * (u[i - 1, j, 1] + u[i + 1, j, 1] + u[i, j - 1, 1])
                        ) + part * q
                        u[i, j, 0], u[i, j, 1] = p, q
        for i in range(height):
            for j in range(width):
                out[i, j, k], out[i, j, l] = u[i + 1, j + 1, 0], u[i + 1, j + 1, 1]
    return out
