"""Pictures as numbers: bytes, floats in [0, 1], tensors in [-1, 1]; and resizing. The only place that converts between them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image


def to_float(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A uint8 picture as float32 in [0, 1]."""
    return np.asarray(image / np.float32(255), np.float32)


def to_uint8(image: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A picture in [0, 1] as uint8, rounded."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def to_network(image: NDArray[np.floating]) -> torch.Tensor:
    """A picture (H, W, C) in [0, 1] as a tensor (1, C, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None] * 2 - 1


def from_network(x: torch.Tensor) -> NDArray[np.float32]:
    """The first picture of (B, C, H, W) in [-1, 1] as (H, W, C) in [0, 1]."""
    return ((x[0].permute(1, 2, 0).cpu().numpy() + 1) / 2).clip(0, 1).astype(np.float32)


def resize_planes(planes: NDArray[np.floating], size: int, resample: Image.Resampling) -> NDArray[np.float32]:
    """Resize each channel of (S, S, C) to size x size in float32."""
    values = planes.astype(np.float32)
    if values.shape[0] == size:
        return values
    channels = [Image.fromarray(np.ascontiguousarray(values[..., c])).resize((size, size), resample) for c in range(values.shape[-1])]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)
