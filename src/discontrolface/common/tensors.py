"""Pictures as the networks take them: tensors in [-1, 1]."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray


def to_network(image: NDArray[np.floating]) -> torch.Tensor:
    """A picture (H, W, C) in [0, 1] as a tensor (1, C, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None] * 2 - 1


def from_network(x: torch.Tensor) -> NDArray[np.float32]:
    """The first picture of (B, C, H, W) in [-1, 1] as (H, W, C) in [0, 1]."""
    return ((x[0].permute(1, 2, 0).cpu().numpy() + 1) / 2).clip(0, 1).astype(np.float32)
