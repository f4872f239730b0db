"""Pictures as numbers: bytes and floats in [0, 1]; and resizing. The only place that converts between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def to_float(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A uint8 picture as float32 in [0, 1]."""
    return np.asarray(image / np.float32(255), np.float32)


def to_uint8(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A picture in [0, 1] as uint8, rounded."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def resize_planes(planes: NDArray[np.floating], size: int, resample: Image.Resampling) -> NDArray[np.float32]:
    """Resize each channel of (S, S, C) to size x size in float32."""
    values = planes.astype(np.float32)
    if values.shape[0] == size:
        return values
    channels = [Image.fromarray(np.ascontiguousarray(values[..., c])).resize((size, size), resample) for c in range(values.shape[-1])]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)
