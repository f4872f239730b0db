"""Random squares near the face: a network learns from a part of a picture at a fraction of the cost, its encoder still sees the whole source."""

from __future__ import annotations

import torch
from torch import Tensor

GRID = 8  # pixels: the networks' patches and their halvings
FACE = (0.54, 0.5)  # the face's middle in an aligned crop, share of height and width
SPREAD = 0.27  # standard deviation of the squares' middles, share of what the square leaves free


def corners(height: int, width: int, crop: int, centre: Tensor) -> list[tuple[int, int]]:
    """Upper left corners (row, column) of squares of `crop` pixels on the networks' grid. centre: (N,2), N(0, 1)."""
    middle = torch.tensor([FACE[0] * height, FACE[1] * width]) + SPREAD * (height - crop) * centre
    first = ((middle - crop / 2) / GRID).round().long().mul(GRID).clamp(min=0)  # (N,2)
    rows, columns = first[:, 0].clamp(max=height - crop), first[:, 1].clamp(max=width - crop)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def cut(pictures: Tensor, places: list[tuple[int, int]], crop: int) -> Tensor:
    """(N,C,H,W) -> (N,C,crop,crop), each picture at its place."""
    return torch.stack([p[:, r : r + crop, c : c + crop] for p, (r, c) in zip(pictures, places, strict=True)])
