"""A loss on detail: squared error alone blurs what it cannot know."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

BANDS = 3  # of the Laplacian pyramid
FLOOR = 0.012  # absolute error of the finest band below which the preview counts as right


def relative_detail(picture: Tensor, target: Tensor, preview: Tensor) -> Tensor:
    """(B,): the mean absolute error of the bands of a Laplacian pyramid over the preview's own, averaged over the bands; 1 is as good as the preview.

    All (B,3,H,W) in about [-1, 1], H and W multiples of 8.
    """
    pairs = zip(bands(picture - target), bands(preview - target), strict=True)
    ratios = [a.abs().mean((1, 2, 3)) / (b.abs().mean((1, 2, 3)) + FLOOR / (1 + k)) for k, (a, b) in enumerate(pairs)]
    return sum(ratios[1:], ratios[0]) / len(ratios)


def bands(difference: Tensor) -> list[Tensor]:
    """The bands of a difference (B,C,H,W), finest first; each without what the next coarser one holds."""
    out = []
    for _ in range(BANDS):
        coarse = F.avg_pool2d(difference, 2)
        out.append(difference - F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False))
        difference = coarse
    return out
