"""How alike two pictures are: PSNR and SSIM, over the whole picture or over a part of it, and MS-SSIM."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating]  # (H, W, 3) in [0, 1]
Mask = NDArray[np.bool_]  # (H, W)

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MS_SSIM_SIDE = 176  # at a sixteenth of it the window still fits


def psnr(a: Image, b: Image, where: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(1 / mean squared error); infinite for equal pictures. `where` must not be empty."""
    square = (a.astype(np.float64) - b.astype(np.float64)) ** 2
    error = float(square.mean() if where is None else square[where].mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim_map(a: Image, b: Image) -> NDArray[np.float64]:
    """(H, W) structural similarity at each pixel (Wang et al., 2004): Gaussian window, sigma 1.5, 11 pixels wide, mean of the channels."""
    luminance, contrast = ssim_parts(a, b)
    return np.asarray((luminance * contrast).mean(-1))


def ssim_parts(a: Image, b: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(H, W, 3) each, the two factors of SSIM: luminance; contrast and structure."""
    from scipy.ndimage import gaussian_filter

    def blur(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(x, (1.5, 1.5, 0), truncate=3.5))

    x, y = a.astype(np.float64), b.astype(np.float64)
    c1, c2 = 0.01**2, 0.03**2
    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    return (2 * mx * my + c1) / (mx * mx + my * my + c1), (2 * vxy + c2) / (vx + vy + c2)


def ms_ssim(a: Image, b: Image) -> float:
    """Multi-scale SSIM (Wang et al., 2003): contrast and structure at five scales, each half of the last, luminance at the coarsest; windows that lie
    wholly in the picture count, each channel by itself, negative contrast as 0. Raises ValueError for sides below MS_SSIM_SIDE."""
    if min(a.shape[:2]) < MS_SSIM_SIDE:
        raise ValueError(f"MS-SSIM needs sides of at least {MS_SSIM_SIDE} pixels, not {a.shape[1]}x{a.shape[0]}")
    x, y = a.astype(np.float64), b.astype(np.float64)
    product = np.ones(x.shape[-1])
    for scale, weight in enumerate(MS_SSIM_WEIGHTS):
        if scale:
            x, y = _halved(x), _halved(y)
        luminance, contrast = (part[5:-5, 5:-5] for part in ssim_parts(x, y))
        last = scale == len(MS_SSIM_WEIGHTS) - 1
        value = (luminance * contrast if last else contrast).mean((0, 1))
        product *= np.clip(value, 0, None) ** weight
    return float(product.mean())


def _halved(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of 2x2 pixels; an odd row or column at the end is left out."""
    h, w = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
    return np.asarray(x[:h, :w].reshape(h // 2, 2, w // 2, 2, -1).mean((1, 3)))


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
