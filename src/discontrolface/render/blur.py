"""Gaussian blur of several planes at once: SciPy's `gaussian_filter` in the plane (reflected edges, cut at four standard deviations), in single
precision and channel by channel side by side, which is ten to twenty times as fast."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from discontrolface.render.compiled import compiled, inlined
from discontrolface.render.raster import FloatArray

CUT: Final = 4.0  # standard deviations


def gaussian(planes: np.ndarray, sigma: float) -> FloatArray:
    """Planes (H, W) or (H, W, C), each blurred with a Gaussian of `sigma` pixels: float32 of the same shape. 0: as they are."""
    values = np.ascontiguousarray(planes, np.float32)
    weights = gaussian_weights(float(sigma))
    if len(weights) == 1:
        return values.copy()
    height, width = values.shape[:2]
    flat = values.reshape(height, -1)
    down, across = np.empty_like(flat), np.empty_like(flat)
    _down(flat, weights, down)
    _across(down, weights, flat.shape[1] // width, across)
    return across.reshape(values.shape)


@cache
def gaussian_weights(sigma: float) -> FloatArray:
    """(2 r + 1,) that sum to 1, r = round(CUT sigma)."""
    radius = int(CUT * sigma + 0.5)
    if radius < 1:
        return np.ones(1, np.float32)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return (weights / weights.sum()).astype(np.float32)


@inlined
def _reflected(place, count):  # type: ignore[no-untyped-def]
    """The row or column that stands for one beyond the border: ... 1 0 | 0 1 ... n-1 | n-1 n-2 ..."""
    place %= 2 * count
    return place if place < count else 2 * count - 1 - place


@compiled
def _down(values, weights, out):  # type: ignore[no-untyped-def]
    """Over the rows of (H, N)."""
    height, width = values.shape
    radius = len(weights) // 2
    for i in range(height):
        line, middle, weight = out[i], values[i], weights[radius]
        for n in range(width):
            line[n] = weight * middle[n]
        for k in range(1, radius + 1):
            above, below, weight = values[_reflected(i - k, height)], values[_reflected(i + k, height)], weights[radius + k]
            for n in range(width):
                line[n] += weight * (above[n] + below[n])


@compiled
def _across(values, weights, channels, out):  # type: ignore[no-untyped-def]
    """Along the rows of (H, W C), channels side by side."""
    height, width = values.shape
    radius, columns = len(weights) // 2, width // channels
    padded = np.empty(width + 2 * radius * channels, values.dtype)
    for i in range(height):
        for n in range(width):
            padded[radius * channels + n] = values[i, n]
        for j in range(radius):
            before, after = _reflected(-1 - j, columns) * channels, _reflected(columns + j, columns) * channels
            for c in range(channels):
                padded[(radius - 1 - j) * channels + c] = values[i, before + c]
                padded[(radius + columns + j) * channels + c] = values[i, after + c]
        line, middle, weight = out[i], padded[radius * channels :], weights[radius]
        for n in range(width):
            line[n] = weight * middle[n]
        for k in range(1, radius + 1):
            left, right, weight = padded[(radius - k) * channels :], padded[(radius + k) * channels :], weights[radius + k]
            for n in range(width):
                line[n] += weight * (left[n] + right[n])
