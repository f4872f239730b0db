"""The stage `train autoencoder`: our small autoencoder, on squares of photos and of drawn portraits.

A variational autoencoder (Kingma & Welling, 2014) whose posterior has one fixed standard deviation, so that the divergence from N(0, I) is half the
mean square of the latents and a constant. Latents stay bounded, and a decoder that has met noise forgives small errors of a denoiser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.images import load_photo
from discontrolface.diffusion.training_pair import TrainingPair
from discontrolface.nets.autoencoders import make_autoencoder
from discontrolface.nets.backbone import Space
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import Batch, PairDataset, Source
from discontrolface.training.detail_loss import bands
from discontrolface.training.draws import Draws
from discontrolface.training.objective import Losses, Objective, network_config
from discontrolface.training.shards import ShardDataset

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


class AutoencoderObjective(Objective):
    """The autoencoder and its loss: absolute error of the picture and of its bands of detail, and the divergence of the latents."""

    def __init__(self, network: Any, latent_noise: float, kl_weight: float) -> None:
        super().__init__(network)
        self.latent_noise, self.kl_weight = latent_noise, kl_weight

    @property
    def space(self) -> Space:
        """The latents: the noise of a batch is of this shape."""
        return Space(self.model.latent_channels, self.model.image_size // self.model.stride)

    def forward(self, batch: Batch) -> Losses:
        """The picture out of its latents under the posterior's noise."""
        latents = self.model.encode(batch.target)  # (B,C,h,w)
        picture = self.model.decode(latents + self.latent_noise * batch.noise)
        error = picture - batch.target
        detail = torch.stack([band.abs().mean((1, 2, 3)) for band in bands(error)]).sum(0)
        return Losses(error.abs().mean((1, 2, 3)) + detail, self.kl_weight * 0.5 * latents.square().mean((1, 2, 3)))

    def seen(self, batch: Batch) -> Tensor:
        """(B,3,H,W) the picture itself."""
        return batch.target

    def sampled(self, batch: Batch, noise: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        """(B,3,H,W) the picture out of its latents; nothing is sampled."""
        picture: Tensor = self.model.decode(self.model.encode(batch.target))
        return picture


def autoencoder_alone(config: TrainConfig, backbone: None) -> Objective:
    """Stage "autoencoder": the run's autoencoder with new weights."""
    return AutoencoderObjective(make_autoencoder(network_config(config)), config.latent_noise, config.kl_weight)


class PhotoFolder:
    """The pictures of a folder and its subfolders: of each a random square, of at least the network's size, brought to it."""

    device: torch.device | str = "cpu"
    head = ""  # photos are of no head model

    def __init__(self, folder: Path, size: int) -> None:
        self.size = size
        self.paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES)
        if not self.paths:
            raise UserError(f"no pictures, block_*.npy or index.json in {folder}; give a folder of photos, of pairs, or of shards")

    def __len__(self) -> int:
        return len(self.paths)

    def square(self, index: int, seed: int) -> Tensor:
        """(3,size,size) in [0, 1]."""
        picture = load_photo(self.paths[index]).filled  # (H,W,3) uint8
        rng = np.random.default_rng(seed)
        height, width = picture.shape[:2]
        smallest, largest = min(self.size, height, width), min(height, width)
        side = int(rng.integers(smallest, largest + 1))
        y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        cut = Image.fromarray(np.ascontiguousarray(picture[y : y + side, x : x + side]))
        resized = np.asarray(cut.resize((self.size, self.size), Image.Resampling.BOX if side > 2 * self.size else Image.Resampling.BICUBIC))
        return torch.from_numpy(resized.copy()).permute(2, 0, 1).float() / 255

    def batch(self, draws: Draws, config: TrainConfig) -> TrainingPair:
        """The squares that were drawn, mirrored and re-coloured as drawn; as source and target alike, with no snapshot to speak of."""
        seeds = zip(draws.index.tolist(), draws.seed.tolist(), strict=True)
        pictures = torch.stack([self.square(i, s) for i, s in seeds])
        pictures = 2 * (pictures * draws.gain).clamp(0, 1) - 1
        pictures = torch.where(draws.mirrored[:, None, None, None], pictures.flip(-1), pictures)
        even = torch.ones_like(pictures[:, :1])
        return TrainingPair(pictures, pictures, even, even)


class Together:
    """Several data sets of one picture size as one."""

    device: torch.device | str = "cpu"
    head = ""

    def __init__(self, parts: Sequence[Source]) -> None:
        self.parts, self.size = list(parts), parts[0].size
        self.starts = np.cumsum([0] + [len(part) for part in parts])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def batch(self, draws: Draws, config: TrainConfig) -> TrainingPair:
        """Each picture from its own set."""
        chosen = []
        for k in range(len(draws.index)):
            one = draws.part(k, 1)
            part = int(np.searchsorted(self.starts, int(one.index), side="right")) - 1
            chosen.append(self.parts[part].batch(replace(one, index=one.index - int(self.starts[part])), config).target)
        pictures = torch.cat(chosen)
        even = torch.ones_like(pictures[:, :1])
        return TrainingPair(pictures, pictures, even, even)


def open_pictures(config: TrainConfig, folder: Path, assets: Path | None) -> Source:
    """What an autoencoder learns from: pairs (`block_*.npy`), shards, or a folder of pictures; of a folder that has pairs and pictures, both."""
    size = int(network_config(config)["image_size"])
    pairs = any(folder.glob("block_*.npy"))
    if not pairs and (folder / "index.json").is_file():
        return ShardDataset(folder, assets)
    parts: list[Source] = [PairDataset(folder)] if pairs else []
    if not pairs or any(p.suffix.lower() in PICTURES for p in folder.rglob("*")):
        parts.append(PhotoFolder(folder, size))
    return parts[0] if len(parts) == 1 else Together(parts)
