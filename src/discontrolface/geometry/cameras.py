"""Scaled-orthographic cameras and pixels (docs/conventions.md), in PyTorch: batched, differentiable, any device and dtype."""

from __future__ import annotations

import torch
from torch import Tensor


def project(vertices: Tensor, camera: Tensor) -> Tensor:
    """View space (B, V, 3) to ndc (B, V, 3) with scaled-orthographic cameras (B, 3) = (scale, tx, ty); depth is scale * z.

    As DECA's `batch_orth_proj`; DECA's later flip of y and z is left out, so y points up.
    """
    scale, shift = camera[:, None, :1], camera[:, None, 1:]
    return scale * torch.cat([vertices[..., :2] + shift, vertices[..., 2:]], dim=-1)  # (B, V, 3)


def ndc_to_pixels(ndc: Tensor, height: int, width: int) -> Tensor:
    """ndc (..., 2 or more; y up) to continuous pixels (..., 2): (0, 0) is the picture's top-left corner, y points down."""
    return torch.stack([(ndc[..., 0] + 1) / 2 * width, (1 - ndc[..., 1]) / 2 * height], dim=-1)
