"""Object-space noise: a tile of smooth random vectors that textures look up, so that they move with the face."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from discontrolface.render.compiled import compiled, lean

CELLS = 32  # the tile repeats after this many cells along each axis; a power of two


@lru_cache(maxsize=1)
def noise_tile() -> NDArray[np.float32]:
    """(32, 32, 32, 4) float32 in [-1, 1], the same in every process: four independent noises, blurred a little, standard deviation 0.33."""
    from scipy.ndimage import gaussian_filter

    raw = np.random.default_rng(20240711).standard_normal((CELLS, CELLS, CELLS, 4))
    soft = gaussian_filter(raw, (0.6, 0.6, 0.6, 0), mode="wrap")
    return np.ascontiguousarray(np.clip(soft / soft.std() * 0.33, -1, 1), np.float32)


@lean
def sample_noise(tile, x, y, z, out):  # type: ignore[no-untyped-def]
    """Trilinear look-up at (x, y, z) in cells, any real numbers; writes 4 values to `out`."""
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    x0, y0, z0 = int(fx) & 31, int(fy) & 31, int(fz) & 31
    x1, y1, z1 = (x0 + 1) & 31, (y0 + 1) & 31, (z0 + 1) & 31
    u, v, w = x - fx, y - fy, z - fz
    for c in range(4):
        a = tile[x0, y0, z0, c] * (1 - u) + tile[x1, y0, z0, c] * u
        b = tile[x0, y1, z0, c] * (1 - u) + tile[x1, y1, z0, c] * u
        d = tile[x0, y0, z1, c] * (1 - u) + tile[x1, y0, z1, c] * u
        e = tile[x0, y1, z1, c] * (1 - u) + tile[x1, y1, z1, c] * u
        out[c] = (a * (1 - v) + b * v) * (1 - w) + (d * (1 - v) + e * v) * w


@compiled
def noise_at(tile, points, frequency):  # type: ignore[no-untyped-def]
    """The tile at points (N, 3) in metres, `frequency` cells a metre: (N, 4)."""
    result = np.empty((len(points), 4), np.float32)
    for i in range(len(points)):
        sample_noise(tile, points[i, 0] * frequency, points[i, 1] * frequency, points[i, 2] * frequency, result[i])
    return result
