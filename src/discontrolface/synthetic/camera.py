"""The camera: white balance, exposure, a tone curve, soft focus, noise and JPEG. One camera takes both pictures of a pair, with the same noise."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from discontrolface.common.pixels import to_float, to_uint8
from discontrolface.synthetic.anatomy import Array


@dataclass(frozen=True)
class Camera:
    """balance: (3,) gains. contrast, saturation around 1. blur, sharpen: pixels at 256 px. noise: standard deviation. quality: JPEG, 0 = none."""

    balance: Array
    exposure: float
    contrast: float
    saturation: float
    blur: float
    sharpen: float
    noise: float
    quality: int
    vignette: float
    noise_seed: int


def make_camera(rng: np.random.Generator) -> Camera:
    """Draw a camera, most of them good ones."""
    warmth = rng.normal(0.012, 0.04)
    return Camera(
        balance=np.array([1 + warmth, 1 + rng.normal(0, 0.012), 1 - warmth], np.float32),
        exposure=float(np.exp(rng.normal(0, 0.07))),
        contrast=float(rng.normal(1.03, 0.07)),
        saturation=float(rng.normal(1.0, 0.11)) if rng.random() > 0.03 else 0.0,
        blur=float(rng.uniform(0.0, 0.8)),
        sharpen=float(rng.uniform(0.0, 0.5)),
        noise=float(rng.exponential(0.007)),
        quality=int(rng.integers(72, 96)) if rng.random() < 0.5 else 0,
        vignette=float(rng.uniform(0, 0.25)) if rng.random() < 0.4 else 0.0,
        noise_seed=int(rng.integers(2**31)),
    )


def to_srgb(linear: Array) -> Array:
    """Linear colour (..., 3) to display values: gamma 2.2 with a soft shoulder, so that highlights neither clip hard nor turn grey."""
    value = np.power(np.maximum(linear, 0), np.float32(1 / 2.2))

    def shoulder(x: Array) -> Array:
        return np.where(x > 0.72, 0.72 + 0.28 * np.tanh((x - 0.72) / 0.36), x).astype(np.float32)

    peak = np.maximum(value.max(-1, keepdims=True), 1e-4)
    return (0.35 * shoulder(value) + 0.65 * value * (shoulder(peak) / peak)).astype(np.float32)


def develop(camera: Camera, image: Array) -> Array:
    """What the camera makes of a clean picture (H, W, 3) in [0, 1]."""
    from scipy.ndimage import gaussian_filter

    size = len(image)
    image = image * camera.balance * camera.exposure
    grey = image @ np.array([0.3, 0.59, 0.11], np.float32)
    image = grey[..., None] + camera.saturation * (image - grey[..., None])
    image = (0.5 + (image - 0.5) * camera.contrast).astype(np.float32)
    if camera.vignette:
        at = (np.arange(size) + 0.5) / size * 2 - 1
        image = image * (1 - camera.vignette * 0.5 * (at[:, None] ** 2 + at[None] ** 2)).astype(np.float32)[..., None]
    if camera.blur * size / 256 > 0.3:
        image = gaussian_filter(image, (camera.blur * size / 256, camera.blur * size / 256, 0))
    if camera.sharpen > 0.1:
        image = image + camera.sharpen * (image - gaussian_filter(image, (1, 1, 0)))
    if camera.noise > 0.001:
        random = np.random.default_rng(camera.noise_seed).standard_normal(image.shape, np.float32)
        image = image + camera.noise * (0.75 * random + 0.35 * gaussian_filter(random, (0.8, 0.8, 0)))
    image = np.asarray(np.clip(image, 0, 1), np.float32)
    if camera.quality:
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(to_uint8(image)).save(file, "JPEG", quality=camera.quality)
        image = to_float(np.asarray(Image.open(file)))
    return image
