"""How alike two pictures are: PSNR and SSIM, over the whole picture or over a part of it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating]  # (H, W, 3) in [0, 1]
Mask = NDArray[np.bool_]  # (H, W)


def psnr(a: Image, b: Image, where: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(1 / mean squared error); infinite for equal pictures. `where` must not be empty."""
    square = (a.astype(np.float64) - b.astype(np.float64)) ** 2
    error = float(square.mean() if where is None else square[where].mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim_map(a: Image, b: Image) -> NDArray[np.float64]:
    """(H, W) structural similarity at each pixel (Wang et al., 2004): Gaussian window, sigma 1.5, 11 pixels wide, mean of the channels."""
    from scipy.ndimage import gaussian_filter

    def blur(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(x, (1.5, 1.5, 0), truncate=3.5))

    x, y = a.astype(np.float64), b.astype(np.float64)
    c1, c2 = 0.01**2, 0.03**2
    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    return np.asarray((((2 * mx * my + c1) * (2 * vxy + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean(-1))


def ssim(a: Image, b: Image, where: Mask | None = None) -> float:
    """Mean of `ssim_map`; without `where` its border of 5 pixels does not count, as in the original."""
    values = ssim_map(a, b)
    return float(values[5:-5, 5:-5].mean() if where is None else values[where].mean())


def detail_correlation(a: Image, b: Image, where: Mask | None = None) -> float:
    """In [-1, 1], how well the fine detail of two pictures agrees: the correlation of their luminance without what is wider than a hundredth of
    the picture (Gaussian). 0 where either has no detail. `where` must not be empty."""
    from scipy.ndimage import gaussian_filter

    def fine(image: Image) -> NDArray[np.float64]:
        grey = image.astype(np.float64) @ (0.299, 0.587, 0.114)
        detail = grey - gaussian_filter(grey, image.shape[0] / 100)
        chosen = detail.ravel() if where is None else detail[where]
        return np.asarray(chosen - chosen.mean())

    x, y = fine(a), fine(b)
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm > 1e-12 else 0.0
