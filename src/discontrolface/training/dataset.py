"""Pairs on disk: the same person under two sets of parameters, with snapshots and previews, as blocks of uint8 that are read without copying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from discontrolface.errors import UserError
from discontrolface.training.config import TrainConfig

# Channels of a block's pictures, for the two sides a and b of a pair; "preview_ab" is the warp of a towards b.
SIDES: dict[str, int] = {
    "image_a": 3, "image_b": 3, "normals_a": 3, "normals_b": 3, "lambertian_a": 3, "lambertian_b": 3,
    "preview_ab": 3, "preview_ba": 3, "visibility_ab": 1, "visibility_ba": 1,
}  # fmt: skip
CHANNELS = sum(SIDES.values())


def channels(name: str) -> slice:
    """Where in a block's channel axis this map lies."""
    start = 0
    for key, width in SIDES.items():
        if key == name:
            return slice(start, start + width)
        start += width
    raise KeyError(name)


@dataclass(frozen=True)
class Batch:
    """What one training step sees, all in [-1, 1] (visibility in [0, 1])."""

    source: Tensor  # (B,3,H,W): what the encoder sees (masked)
    target: Tensor  # (B,3,H,W): what is to be made
    snapshot: Tensor  # (B,S,H,W): of the target

    def to(self, device: str) -> Batch:
        """On another device."""
        return Batch(*(getattr(self, f.name).to(device) for f in fields(self)))


class PairDataset:
    """All `block_*.npy` of a folder: (N, CHANNELS, H, W) uint8 each, memory-mapped."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("block_*.npy"))
        if not paths:
            raise UserError(f"no block_*.npy in {folder}; make pairs first (python -m discontrolface.training.pairs)")
        self.blocks = [np.load(p, mmap_mode="r") for p in paths]
        for path, block in zip(paths, self.blocks, strict=True):
            if block.dtype != np.uint8 or block.ndim != 4 or block.shape[1] != CHANNELS:
                raise UserError(f"{path} holds {block.dtype} {block.shape}, not (N, {CHANNELS}, H, W) uint8 pairs")
        self.starts = np.cumsum([0] + [len(b) for b in self.blocks])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, index: int) -> Tensor:
        """Pair `index` as float32 (CHANNELS, H, W) in [0, 1]."""
        block = int(np.searchsorted(self.starts, index, side="right")) - 1
        return torch.from_numpy(np.array(self.blocks[block][index - self.starts[block]])).float() / 255

    def batch(self, config: TrainConfig, generator: torch.Generator) -> Batch:
        """Random pairs in random direction, mirrored and re-coloured at random, as the config says."""
        index = torch.randint(len(self), (config.batch,), generator=generator).tolist()
        pairs = torch.stack([self.read(i) for i in index])
        reverse = torch.rand(config.batch, generator=generator) < 0.5
        mirrored = (torch.rand(config.batch, generator=generator) < 0.5) & config.flip
        gain = torch.exp(config.colour_jitter * torch.randn(config.batch, 3, 1, 1, generator=generator))
        batch = assemble(pairs, reverse, mirrored, gain, config.snapshot_maps)
        return cropped(batch, config.crop, generator) if config.crop else batch


def cropped(batch: Batch, size: int, generator: torch.Generator) -> Batch:
    """Target and snapshot cut to one random square of `size` pixels, more often about the face; on the grid of the networks' patches."""
    height, width = batch.target.shape[-2:]
    centre = torch.tensor([0.54 * height, 0.5 * width]) + 0.1 * height * torch.randn(2, generator=generator)
    top, left = ((centre - size / 2) / 8).round().long().mul(8).clamp(0, height - size).tolist()
    window = (..., slice(top, top + size), slice(left, left + size))
    parts = (t[window].contiguous(memory_format=torch.channels_last) for t in (batch.target, batch.snapshot))
    return Batch(batch.source, *parts)


def assemble(pairs: Tensor, reverse: Tensor, mirrored: Tensor, gain: Tensor, maps: Sequence[str]) -> Batch:
    """pairs (B,CHANNELS,H,W) in [0,1] -> Batch. `reverse` (B,): from b to a; `mirrored` (B,): left-right; `gain` (B,3,1,1): on every colour."""

    def pick(name: str, of_target: bool) -> Tensor:
        forward, backward = ("ab", "ba") if name in ("preview", "visibility") else ("b", "a") if of_target else ("a", "b")
        choose = reverse[:, None, None, None]
        x = torch.where(choose, pairs[:, channels(f"{name}_{backward}")], pairs[:, channels(f"{name}_{forward}")])
        if name == "normals":
            x = 2 * x - 1
            x = torch.where(mirrored[:, None, None, None], x * torch.tensor([-1.0, 1.0, 1.0])[:, None, None], x)
        elif name != "visibility":
            x = 2 * (x * gain).clamp(0, 1) - 1
        return torch.where(mirrored[:, None, None, None], x.flip(-1), x).contiguous(memory_format=torch.channels_last)

    source, target = pick("image", False), pick("image", True)
    return Batch(source, target, torch.cat([pick(m, True) for m in maps], 1))
