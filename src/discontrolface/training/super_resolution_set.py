"""The batches of the super-resolution network: edits with their true pictures, and photos softened in places.

Edits are few, for each takes seconds, and they show how the networks are wrong. Photos are many and show what is fine in a face: of a square of one a
part is made as soft as the networks are where they are not sure, and what a preview would show there is smeared beside its place.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.training.draws import step_generator
from discontrolface.training.super_resolution_data import CHANNELS, PLANES, planes

if TYPE_CHECKING:
    from discontrolface.training.super_resolution import SuperResolutionTraining

CELL: Final = 16  # pixels of the grid on which a training crop's middle is drawn
EVERYWHERE: Final = 0.02  # interest of a pixel that nothing is to be made of
TRIES: Final = 3  # squares of a photo, of which the one with most in it is taken: a wall teaches nothing
SOFTEST, SOFTER = 5.0, 0.8  # standard deviations between which the blur of a softened part lies, pixels
BLOBS: Final = 5  # numbers a side from which the soft part's shape is drawn
ASIDE: Final = 24  # pixels by which the preview's smear lies beside its place, at most


class Batch(NamedTuple):
    """(B,3,h,w) each in [-1, 1], or (B,1,h,w) in [0, 1]."""

    carried: Tensor
    preview: Tensor
    visibility: Tensor
    trusted: Tensor
    truth: Tensor
    counts: Tensor

    def to(self, device: str) -> Batch:
        """On another device, in the memory order of convolutions."""
        return Batch(*(x.to(device).contiguous(memory_format=torch.channels_last) for x in self))


def blocks(folder: Path, pattern: str, channels: int) -> list[NDArray[np.uint8]]:
    """The arrays (N, channels, H, W) of a folder, memory-mapped. UserError for a file that holds something else."""
    found = []
    for path in sorted(folder.glob(pattern)):
        try:
            block = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}); remove it and make it again") from error
        if block.dtype != np.uint8 or block.ndim != 4 or block.shape[1] != channels:
            raise UserError(f"{path} holds {block.dtype} {block.shape}, not (N, {channels}, H, W) uint8; remove it and make it again")
        found.append(block)
    return found


class Edits:
    """All `block_*.npy`, `return_*.npy` and `photos_*.npy` of a folder (super_resolution_data.py)."""

    def __init__(self, folder: Path) -> None:
        found = [*blocks(folder, "block_*.npy", CHANNELS), *blocks(folder, "return_*.npy", CHANNELS)]
        self.rows = [(block, row) for block in found for row in range(len(block))]
        self.photos = [(block, row) for block in blocks(folder, "photos_*.npy", 3) for row in range(len(block))]
        if not self.rows:
            raise UserError(
                f"no edits in {folder}; make them first (python -m discontrolface.training.super_resolution_data PHOTOS PEOPLE -o FOLDER)"
            )
        self.interest = [interest(block[row]) for block, row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, config: SuperResolutionTraining, step: int) -> Batch:
        """What a step sees: it follows from the seed and the step."""
        generator = step_generator(config.seed, step)
        parts = []
        for _ in range(config.batch):
            from_photo = bool(torch.rand(1, generator=generator) < config.photo_share) and bool(self.photos)
            part = self.softened_photo(config.crop, generator) if from_photo else self.sized_edit(config, generator)
            mirrored = bool(torch.rand(1, generator=generator) < 0.5) and config.flip
            gain = torch.exp(config.colour_jitter * torch.randn(3, 1, 1, generator=generator))
            part = part.flip(-1) if mirrored else part
            for name in ("carried", "preview", "truth"):
                part[planes(name)] = (part[planes(name)] * gain).clamp(0, 1) * 2 - 1
            parts.append(part)
        whole = torch.stack(parts)
        return Batch(*(whole[:, planes(name)] for name in Batch._fields))

    def sized_edit(self, config: SuperResolutionTraining, generator: torch.Generator) -> Tensor:
        """(CHANNELS,crop,crop) in [0, 1], of an edit; a share of them enlarged, as soft as the photo is then."""
        if torch.rand(1, generator=generator) >= config.enlarged_share:
            return self.edit(config.crop, generator)
        small = self.edit(config.crop // 2, generator)[None]
        return F.interpolate(small, size=(config.crop, config.crop), mode="bicubic", align_corners=False)[0].clamp(0, 1)

    def edit(self, crop: int, generator: torch.Generator) -> Tensor:
        """(CHANNELS,crop,crop) in [0, 1], of an edit, near where there is something to be made."""
        index = int(torch.randint(len(self.rows), (1,), generator=generator))
        block, row = self.rows[index]
        cell = int(torch.multinomial(self.interest[index], 1, generator=generator))
        jitter = torch.randint(CELL, (2,), generator=generator).tolist()
        side = block.shape[-1]
        top, left = (
            min(max(place * CELL + off - crop // 2, 0), side - crop) for place, off in zip(divmod(cell, side // CELL), jitter, strict=True)
        )
        return torch.from_numpy(np.array(block[row, :, top : top + crop, left : left + crop])).float() / 255

    def softened_photo(self, crop: int, generator: torch.Generator) -> Tensor:
        """(CHANNELS,crop,crop) in [0, 1], of a photo."""
        block, row = self.photos[int(torch.randint(len(self.photos), (1,), generator=generator))]
        places = torch.randint(block.shape[-1] - crop + 1, (TRIES, 2), generator=generator).tolist()
        squares = [np.array(block[row, :, top : top + crop, left : left + crop]) for top, left in places]
        best = max(squares, key=lambda square: float(square[1, ::4, ::4].std()))
        return softened(torch.from_numpy(best).float() / 255, generator)


def softened(truth: Tensor, generator: torch.Generator) -> Tensor:
    """(CHANNELS,S,S) in [0, 1] of a square of a photo (3,S,S): soft in blobs, sharp and trusted beside them."""
    size = truth.shape[-1]
    sigma = SOFTER * (SOFTEST / SOFTER) ** float(torch.rand(1, generator=generator))
    soft = torch.from_numpy(gaussian_filter(truth.numpy(), (0, sigma, sigma), mode="reflect"))
    shift = torch.randint(-ASIDE, ASIDE + 1, (2,), generator=generator).tolist()
    smear = soft.roll(shift, (-2, -1))
    hidden = blob(size, generator)  # (1,S,S)
    doubted = torch.maximum(hidden, blob(size, generator) * float(torch.rand(1, generator=generator)))
    parts = {
        "carried": truth + doubted * (soft - truth),
        "preview": truth + hidden * (smear - truth),
        "visibility": 1 - hidden * (0.5 + 0.5 * float(torch.rand(1, generator=generator))),
        "trusted": (1 - doubted) ** 2,
        "truth": truth,
        "counts": torch.ones(1, size, size),
    }
    return torch.cat([parts[name] for name in PLANES])


def blob(size: int, generator: torch.Generator) -> Tensor:
    """(1,S,S) in [0, 1]: a smooth random shape, 1 within."""
    field = F.interpolate(torch.randn(1, 1, BLOBS, BLOBS, generator=generator), size=(size, size), mode="bicubic", align_corners=False)[0]
    bias = torch.randn(1, generator=generator) * 0.5
    edge = 0.05 + 0.5 * float(torch.rand(1, generator=generator))
    return ((field + bias) / edge).clamp(0, 1)


def interest(edit: NDArray[np.uint8]) -> Tensor:
    """(N,) how much is to be learned around each cell: most where the photo showed nothing, some where the edit departs from it."""
    visible, trusted, counts = (edit[planes(name)][0].astype(np.float32) / 255 for name in ("visibility", "trusted", "counts"))
    worth = counts * (1 - visible + 0.3 * (1 - trusted)) + EVERYWHERE
    side = worth.shape[0] // CELL
    return torch.from_numpy(worth.reshape(side, CELL, side, CELL).mean((1, 3)).reshape(-1))
