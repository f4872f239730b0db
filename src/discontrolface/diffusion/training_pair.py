"""What Exp-FaceNet learns from: a source, a target, the target's snapshot. And the training crop, the square of them that the U-Nets see.

A network learns from a part of a picture at a fraction of the cost; its encoder still sees the whole source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

GRID = 8  # pixels: the networks' patches and their halvings
FACE = (0.54, 0.5)  # the face's middle in an aligned crop, share of height and width
SPREAD = 0.27  # standard deviation of the squares' middles, share of what the square leaves free


@dataclass(frozen=True)
class TrainingPair:
    """B pairs: the same person under two sets of face parameters, or one photo twice. Pictures in [-1, 1] (visibility in [0, 1])."""

    source: Tensor  # (B,3,H,W): what the encoder sees (masked)
    target: Tensor  # (B,3,H,W): what is to be made
    snapshot: Tensor  # (B,S,H,W): of the target
    weight: Tensor  # (B,1,H,W), at least 0: how much a pixel of the target counts
    chip: Tensor | None = field(default=None, kw_only=True)  # (B,4): where the target's face is, see face/chip.py; None where nothing asks

    def training_crop(self, places: Sequence[tuple[int, int]], size: int) -> TrainingPair:
        """The squares of `size` pixels with these upper left corners (row, column); the source stays whole."""
        target, snapshot, weight = (cut(x, places, size) for x in (self.target, self.snapshot, self.weight))
        return replace(self, target=target, snapshot=snapshot, weight=weight)


def joined(pairs: Sequence[TrainingPair]) -> TrainingPair:
    """Pairs one after the other in one batch."""
    parts = ((getattr(p, name) for p in pairs) for name in ("source", "target", "snapshot", "weight"))
    return TrainingPair(*(torch.cat(list(part)) for part in parts))


def crop_places(height: int, width: int, size: int, centre: Tensor) -> list[tuple[int, int]]:
    """Upper left corners (row, column) of squares of `size` pixels near the face, on the networks' grid. centre: (N,2), N(0, 1)."""
    middle = torch.tensor([FACE[0] * height, FACE[1] * width]) + SPREAD * (height - size) * centre
    first = ((middle - size / 2) / GRID).round().long().mul(GRID).clamp(min=0)  # (N,2)
    rows, columns = first[:, 0].clamp(max=height - size), first[:, 1].clamp(max=width - size)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def cut(pictures: Tensor, places: Sequence[tuple[int, int]], size: int, stride: int = 1) -> Tensor:
    """(N,C,H,W) -> (N,C,size/stride,size/stride), each picture at its place. stride: pixels in one of what is cut (a backbone's space)."""
    small = size // stride
    corners = ((row // stride, column // stride) for row, column in places)
    return torch.stack([x[:, r : r + small, c : c + small] for x, (r, c) in zip(pictures, corners, strict=True)])
