"""Blocks of pairs for training tests."""

from pathlib import Path

import numpy as np

from discontrolface.training.dataset import CHANNELS, describe_pairs


def make_blocks(folder: Path, count: int = 12, size: int = 32) -> Path:
    """Blocks of smooth random pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    describe_pairs(folder, "open")
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, CHANNELS, 4, 4)).astype(np.uint8)
    np.save(folder / "block_0.npy", coarse[: count // 2].repeat(size // 4, 2).repeat(size // 4, 3))
    np.save(folder / "block_1.npy", coarse[count // 2 :].repeat(size // 4, 2).repeat(size // 4, 3))
    return folder
