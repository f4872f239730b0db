"""Pairs as bytes on the device that trains: a batch is drawn, mirrored, re-coloured and put together there, and no process prepares pictures.

A pair of 256 pixels takes 1.7 MB, so 20,000 of them 34 GB. A folder's blocks fill a pool once and for all; a stream (stream.py) keeps filling one
with the newest pairs, over the oldest.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.diffusion.training_pair import TrainingPair
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import CHANNELS, CHIP, PairDataset, assemble
from discontrolface.training.draws import Draws

AT_ONCE = 64  # pairs that are copied to the device together


class Pool:
    """A ring of pairs, (capacity, channels, size, size) uint8 on the device; a training source as long as what it holds so far."""

    def __init__(self, capacity: int, size: int, head: str, device: torch.device | str, width: int = CHANNELS) -> None:
        self.size, self.head, self.device = size, head, torch.device(device)
        try:
            self.pairs = torch.empty(capacity, width, size, size, dtype=torch.uint8, device=device)
        except RuntimeError as error:  # PyTorch's out of memory, on any device
            raise UserError(
                f"a pool of {capacity} pairs ({capacity * width * size * size / 1e9:.1f} GB) does not fit on {device}; write a smaller pool"
            ) from error
        self.one_way = torch.zeros(capacity, dtype=torch.bool, device=device)  # such a pair runs from a to b only
        self.chips = torch.zeros(capacity, 2, CHIP, device=device)  # where the faces are (face/chip.py); 0 where nothing asks
        self.put_so_far = 0

    @classmethod
    def of(cls, data: PairDataset, config: TrainConfig, device: torch.device | str) -> Pool:
        """All pairs of a folder, in the folder's order: the same draws choose the same pairs."""
        albedo = "albedo" in config.snapshot_maps
        pool = cls(len(data), data.size, data.head, device, data.width(albedo))
        chips = data.chips() if config.identity_weight else torch.zeros(len(data), 2, CHIP)
        for first in range(0, len(data), AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, len(data)))
            pairs = np.stack([data.bytes(i, albedo) for i in numbers])
            pool.put(pairs, [i >= data.one_way_from for i in numbers], chips[first : first + AT_ONCE])
        return pool

    @property
    def capacity(self) -> int:
        """Pairs that there is room for."""
        return len(self.pairs)

    def __len__(self) -> int:
        return min(self.put_so_far, self.capacity)

    def put(self, pairs: NDArray[np.uint8], one_way: list[bool], chips: Tensor) -> None:
        """Add pairs (N, channels, size, size), N at most the capacity, over the oldest where it is full. chips: (N, 2, 4)."""
        places = torch.arange(self.put_so_far, self.put_so_far + len(pairs)) % self.capacity
        pictures, only = torch.from_numpy(pairs), torch.tensor(one_way)
        if self.device.type != "cpu":  # page-locked memory, which the device copies from while the host goes on
            pictures, only, chips, places = pictures.pin_memory(), only.pin_memory(), chips.pin_memory(), places.pin_memory()
        places = places.to(self.device, non_blocking=True)
        self.pairs.index_copy_(0, places, pictures.to(self.device, non_blocking=True))
        self.one_way.index_copy_(0, places, only.to(self.device, non_blocking=True))
        self.chips.index_copy_(0, places, chips.to(self.device, non_blocking=True))
        self.put_so_far += len(pairs)

    def batch(self, draws: Draws, config: TrainConfig) -> TrainingPair:
        """The pairs that were drawn, in their direction, mirrored and re-coloured as drawn; draws on the pool's device."""
        pairs = self.pairs[draws.index].float() / 255
        draws = replace(draws, reverse=draws.reverse & ~self.one_way[draws.index])
        return assemble(pairs, draws, config.snapshot_maps, self.chips[draws.index] if config.identity_weight else None)
