"""Backgrounds: out-of-focus places made of noise, lights and edges, or cut from pictures that the caller gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.pixels import to_float
from discontrolface.synthetic.anatomy import Array

_SIZE = 128  # backgrounds are out of focus: drawn small and enlarged


def make_background(rng: np.random.Generator, pictures: Sequence[NDArray[np.uint8]] = ()) -> Array:
    """(128, 128, 3) sRGB in [0, 1]. pictures: (H, W, 3) uint8; if there are any, one background in three is a blurred cut of one."""
    if pictures and rng.random() < 0.35:
        return _from_picture(rng, pictures[int(rng.integers(len(pictures)))])
    kind = rng.choice(["studio", "indoor", "bokeh", "foliage", "wall", "sky"], p=[0.24, 0.22, 0.14, 0.18, 0.12, 0.10])
    image = {"studio": _studio, "indoor": _indoor, "bokeh": _bokeh, "foliage": _foliage, "wall": _wall, "sky": _sky}[str(kind)](rng)
    return np.clip(image, 0, 1).astype(np.float32)


def enlarge(background: Array, size: int) -> Array:
    """(size, size, 3), bicubic."""
    from PIL import Image

    layers = [np.asarray(Image.fromarray(background[..., c], "F").resize((size, size), Image.Resampling.BICUBIC)) for c in range(3)]
    return np.clip(np.stack(layers, -1), 0, 1)


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(image, (sigma, sigma, *([0] * (image.ndim - 2))), mode="nearest") if sigma > 0.2 else image


def _muted(rng: np.random.Generator, low: float = 0.1, high: float = 0.9) -> np.ndarray:
    grey = rng.uniform(low, high)
    return np.clip(grey * (1 + rng.normal(0, 0.13, 3)), 0, 1)


def _clouds(rng: np.random.Generator, sigmas: Sequence[float]) -> np.ndarray:
    total = np.zeros((_SIZE, _SIZE))
    for sigma in sigmas:
        layer = _blur(rng.standard_normal((_SIZE, _SIZE)), sigma)
        total += layer / (layer.std() + 1e-9) * sigma
    return total / (total.std() + 1e-9)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    return np.mgrid[0:_SIZE, 0:_SIZE][1] / _SIZE, np.mgrid[0:_SIZE, 0:_SIZE][0] / _SIZE


def _studio(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    base = _muted(rng, 0.08, 0.95)
    spot = np.exp(-(((x - rng.uniform(0.2, 0.8)) ** 2 + (y - rng.uniform(0.2, 0.8)) ** 2) / rng.uniform(0.1, 0.5)))
    level = 0.75 + rng.uniform(0.05, 0.5) * spot + rng.uniform(0, 0.06) * _clouds(rng, (12, 25))
    return base * level[..., None]


def _wall(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    image = np.tile(_muted(rng, 0.35, 0.9), (_SIZE, _SIZE, 1))
    image *= (1 + rng.uniform(-0.35, 0.35) * (x - 0.5) + rng.uniform(-0.2, 0.3) * (0.5 - y))[..., None]
    image *= (1 + rng.uniform(0.01, 0.08) * _clouds(rng, (1, 3, 10)))[..., None]
    if rng.random() < 0.6:  # bricks, boards or tiles
        rows, columns = rng.uniform(5, 14), rng.choice([0, 3, 6])
        seam = (y * rows) % 1 < 0.1
        if columns:
            seam |= (x * columns + 0.5 * (np.floor(y * rows) % 2)) % 1 < 0.05
        image *= (1 - rng.uniform(0.05, 0.3) * seam)[..., None]
    return _blur(image, rng.uniform(0.5, 2.5))


def _indoor(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    image = np.tile(_muted(rng, 0.2, 0.8), (_SIZE, _SIZE, 1))
    for _ in range(rng.integers(4, 16)):
        w, h = rng.uniform(0.04, 0.5), rng.uniform(0.06, 0.9)
        x0, y0 = rng.uniform(-0.2, 1), rng.uniform(-0.3, 1)
        lean = rng.normal(0, 0.06)
        inside = (x + lean * y > x0) & (x + lean * y < x0 + w) & (y > y0) & (y < y0 + h)
        colour = _muted(rng, 0.05, 1.0) if rng.random() < 0.9 else rng.uniform(0.1, 0.8, 3)
        image[inside] = 0.25 * image[inside] + 0.75 * colour
    if rng.random() < 0.5:  # a window
        x0, y0, w, h = rng.uniform(-0.1, 0.9), rng.uniform(-0.2, 0.5), rng.uniform(0.15, 0.4), rng.uniform(0.3, 0.7)
        inside = (x > x0) & (x < x0 + w) & (y > y0) & (y < y0 + h)
        image[inside] = 0.15 * image[inside] + 0.95
    image = image * (1 + 0.12 * _clouds(rng, (2, 8, 20)))[..., None]
    return _blur(image, rng.uniform(1.2, 7.0))


def _bokeh(rng: np.random.Generator) -> np.ndarray:
    x, y = _grid()
    image = np.tile(_muted(rng, 0.03, 0.4), (_SIZE, _SIZE, 1)) * (1 + 0.4 * _clouds(rng, (6, 14, 30)))[..., None]
    radius = rng.uniform(0.015, 0.07)
    warm = np.array([1.0, 0.8, 0.55])
    for _ in range(rng.integers(8, 60)):
        size = radius * rng.uniform(0.6, 1.5)
        inside = np.clip((size - np.hypot(x - rng.random(), y - rng.random() * rng.uniform(0.4, 1.0))) / 0.006, 0, 1)
        colour = warm if rng.random() < 0.6 else rng.uniform(0.2, 1, 3)
        image = image + inside[..., None] * colour * rng.uniform(0.05, 0.6)
    return _blur(image, rng.uniform(0.4, 1.5))


def _foliage(rng: np.random.Generator) -> np.ndarray:
    hue = np.array([rng.uniform(0.3, 0.52), rng.uniform(0.42, 0.54), rng.uniform(0.24, 0.38)])
    if rng.random() < 0.2:
        hue = np.array([0.52, 0.42, 0.3])  # autumn
    level = np.clip(0.75 + 0.2 * _clouds(rng, (1.5, 3, 7, 18)), 0.05, 1.6)
    image = hue * level[..., None] * (1 + 0.06 * np.stack([_clouds(rng, (5, 15)) for _ in range(3)], -1))
    gaps = np.clip(_clouds(rng, (2, 6)) - rng.uniform(0.8, 2.0), 0, 1)[..., None]
    image = image * (1 - gaps) + gaps * np.array([0.9, 0.95, 1.0])
    if rng.random() < 0.4:
        _, y = _grid()
        ground = np.clip((y - rng.uniform(0.5, 0.9)) / 0.1, 0, 1)[..., None]
        image = image * (1 - ground) + ground * _muted(rng, 0.2, 0.6) * (1 + 0.1 * _clouds(rng, (1, 4)))[..., None]
    return _blur(image, rng.uniform(0.8, 4.0))


def _sky(rng: np.random.Generator) -> np.ndarray:
    _, y = _grid()
    top = np.array([0.35, 0.55, 0.85]) * rng.uniform(0.7, 1.1) if rng.random() < 0.6 else _muted(rng, 0.6, 0.95)
    low = np.array([0.85, 0.88, 0.9]) * rng.uniform(0.8, 1.05)
    image = top + (low - top) * np.clip(y * rng.uniform(0.8, 1.6), 0, 1)[..., None]
    cloud = np.clip(_clouds(rng, (4, 10, 25)) * 0.4, 0, 0.7)[..., None] * rng.uniform(0, 1)
    image = image * (1 - cloud) + cloud * 0.97
    if rng.random() < 0.6:  # a far skyline
        line = rng.uniform(0.45, 0.95) + 0.06 * np.repeat(rng.standard_normal(16), 8)[None]
        image = np.where((y > line)[..., None], _muted(rng, 0.15, 0.5) * (1 + 0.15 * _clouds(rng, (2, 6)))[..., None], image)
    return _blur(image, rng.uniform(0.8, 3.5))


def _from_picture(rng: np.random.Generator, picture: NDArray[np.uint8]) -> Array:
    from PIL import Image

    height, width = picture.shape[:2]
    side = int(min(height, width) * rng.uniform(0.3, 1.0))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    cut = Image.fromarray(picture[top : top + side, left : left + side]).resize((_SIZE, _SIZE), Image.Resampling.BILINEAR)
    image: NDArray[np.floating] = to_float(np.asarray(cut))
    if rng.random() < 0.5:
        image = image[:, ::-1]
    image = _blur(image, rng.uniform(1.0, 5.0)) * rng.uniform(0.6, 1.15) * rng.uniform(0.85, 1.15, 3)
    return np.clip(image, 0, 1).astype(np.float32)
