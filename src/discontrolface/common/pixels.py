"""Pictures as numbers: bytes and floats in [0, 1]; and resizing. The only place that converts between them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_FILL_FACTORS: Final = (4, 16, 64, 256)  # an invisible pixel gets the mean colour of the smallest of these squares that shows anything


def to_float(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A uint8 picture as float32 in [0, 1]."""
    return np.asarray(image / np.float32(255), np.float32)


def to_uint8(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A picture in [0, 1] as uint8, rounded."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def channel_sum(image: NDArray[np.floating]) -> NDArray[np.floating]:
    """The sum of the channels of (H, W, C): (H, W). NumPy's own over a last axis of three is several times slower."""
    total = image[..., 0].copy()
    for channel in range(1, image.shape[-1]):
        total += image[..., channel]
    return total


def channel_max(image: NDArray[np.floating]) -> NDArray[np.floating]:
    """The largest of the channels of (H, W, C): (H, W)."""
    most = image[..., 0].copy()
    for channel in range(1, image.shape[-1]):
        np.maximum(most, image[..., channel], out=most)
    return most


def channel_mean(image: NDArray[np.floating]) -> NDArray[np.floating]:
    """The mean of the channels of (H, W, C): (H, W)."""
    return channel_sum(image) / np.asarray(image.shape[-1], image.dtype)


def resize_planes(planes: NDArray[np.floating], size: int, resample: Image.Resampling) -> NDArray[np.float32]:
    """Resize each channel of (S, S, C) to size x size in float32."""
    values = planes.astype(np.float32)
    if values.shape[0] == size:
        return values
    channels = [Image.fromarray(np.ascontiguousarray(values[..., c])).resize((size, size), resample) for c in range(values.shape[-1])]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def filled(values: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """A picture (H, W, C) uint8 or uint16 whose invisible pixels (alpha (H, W) = 0) have the colours around them in place of whatever is stored
    there, so that nothing of that gets into what is cut out, moved or drawn beside it."""
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return values
    height, width = alpha.shape
    weight = Image.fromarray((alpha > 0).astype(np.float32))
    shown = np.where(hidden[..., None], 0, values).astype(np.float32)
    planes = [Image.fromarray(np.ascontiguousarray(shown[..., c])) for c in range(values.shape[2])]
    out, left = values.copy(), hidden.copy()
    for factor in (*_FILL_FACTORS, max(height, width)):
        share = np.asarray(weight.reduce(factor))
        there = np.asarray(Image.fromarray((share > 0).astype(np.float32)).resize((width, height), Image.Resampling.NEAREST)) > 0
        now = left & there
        for c, plane in enumerate(planes):
            mean = np.asarray(plane.reduce(factor)) / np.maximum(share, 1e-6)
            out[..., c][now] = np.rint(np.asarray(Image.fromarray(mean).resize((width, height), Image.Resampling.NEAREST)))[now]
        left &= ~there
    return out
