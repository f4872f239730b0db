"""The randomness of one training step. All of it follows from (seed, step), for all processes together; each process takes its part.

So a run that was killed goes on exactly as it would have, and two processes with batch B do what one process with batch 2B does.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from discontrolface.diffusion.masking import random_patch_mask, random_ratios
from discontrolface.diffusion.schedule import random_timesteps
from discontrolface.nets.noise_process import TRAIN_TIMESTEPS
from discontrolface.training.config import TrainConfig

TEMPERATURES = (0.35, 1.0)  # of the noise from which an edit's first step starts
LATE = 150  # timesteps below which its later steps lie
LAST_STEP = 0.3  # share of them that are the last, t = 0
HOST_READS = ("centre", "seed", "own")  # of the draws, whatever the device


def step_generator(seed: int, step: int) -> torch.Generator:
    """The randomness of one step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) & 0x7FFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True)
class Draws:
    """What chance decides about N pictures."""

    index: Tensor  # (N,) int64, which of the data set
    reverse: Tensor  # (N,) bool, from the second picture of a pair to the first
    mirrored: Tensor  # (N,) bool
    gain: Tensor  # (N,3,1,1), on the colours
    mask: Tensor  # (N,1,size,size) bool, hidden from the encoder
    t: Tensor  # (N,) int64, timesteps
    centre: Tensor  # (N,2), N(0, 1): where a crop lies, rows and columns
    seed: Tensor  # (N,) int64, of everything else about a picture: its noise, its random look
    spread: Tensor  # (N,), standard deviation of its noise: 1, or less where an edit's first step is learned
    own: Tensor  # (N,), above 0: it is noised from the network's own prediction, made from noise of this standard deviation
    tone: Tensor  # (N,2), log of a gamma and of the saturation
    stretch: Tensor  # (N,2), log of width and height

    def part(self, first: int, count: int) -> Draws:
        """The pictures first..first+count-1."""
        return Draws(*(getattr(self, f.name)[first : first + count] for f in fields(self)))

    def to(self, device: torch.device | str) -> Draws:
        """On a device. What the host reads stays with it: asking a device for it would make the host wait."""
        if torch.device(device).type == "cpu":
            return self
        moving = {f.name: getattr(self, f.name).pin_memory() for f in fields(self) if f.name not in HOST_READS}
        return replace(self, **{name: x.to(device, non_blocking=True) for name, x in moving.items()})

    def noise(self, size: int, channels: int = 3) -> Tensor:
        """(N,channels,size,size), N(0, spread^2), by the generator of the device that the draws are on (see `white_noise`)."""
        return white_noise(self.seed, size, channels, self.spread.device) * self.spread[:, None, None, None]

    def own_noise(self, size: int, channels: int = 3) -> Tensor | None:
        """(N,channels,size,size), N(0, own^2): what own predictions are made from, independent of `noise`. None where there are none."""
        if not bool((self.own > 0).any()):
            return None
        device = self.spread.device
        spread = self.own if device.type == "cpu" else self.own.pin_memory().to(device, non_blocking=True)
        return white_noise(self.seed + 1, size, channels, device) * spread[:, None, None, None]


def white_noise(seeds: Tensor, size: int, channels: int, device: torch.device) -> Tensor:
    """(N,channels,size,size), N(0, 1): on a CPU each picture from its own seed (N,); elsewhere all from the first one's, in one go.

    A generator for each picture keeps a GPU waiting. So there a step of two processes is not that of one.
    """
    generator = torch.Generator(device)
    if device.type != "cpu":
        return torch.randn(len(seeds), channels, size, size, generator=generator.manual_seed(int(seeds[0])), device=device)
    return torch.stack([torch.randn(channels, size, size, generator=generator.manual_seed(s)) for s in seeds.tolist()])


def draw(config: TrainConfig, step: int, count: int, data: int, size: int) -> Draws:
    """Draw one step's `count` pictures of a data set of length `data`; masking ratio ~ U(low, high) on `mask_share` of them."""
    generator = step_generator(config.seed, step)
    index = torch.randint(data, (count,), generator=generator)
    reverse = torch.rand(count, generator=generator) < 0.5
    mirrored = (torch.rand(count, generator=generator) < 0.5) & config.flip
    gain = torch.exp(config.colour_jitter * torch.randn(count, 3, 1, 1, generator=generator))
    ratios = random_ratios(count, config.mask_low, config.mask_high, generator)
    hidden = torch.rand(count, generator=generator) < config.mask_share
    mask = random_patch_mask(count, size, config.mask_patch, ratios * hidden, generator)
    t = random_timesteps(count, generator)
    seed = torch.randint(2**62, (count,), generator=generator)
    centre = torch.randn(count, 2, generator=generator)
    t, spread, own = noise_levels(config, t, generator)
    tone = config.tone_jitter * torch.randn(count, 2, generator=generator)
    stretch = config.stretch_jitter * torch.randn(count, 2, generator=generator) * (torch.rand(count, 1, generator=generator) < 0.5)
    return Draws(index, reverse, mirrored, gain, mask, t, centre, seed, spread, own, tone, stretch)


def noise_levels(config: TrainConfig, t: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(t, spread, own), see Draws: on `first_share` and `own_share` of the pictures the levels that an edit of few steps visits, else t as drawn.

    A network that only ever saw noised true pictures meets its own soft prediction at the second step, and more steps from noise make it worse.
    """
    count = len(t)
    which = torch.rand(count, generator=generator)
    first, own = which < config.first_share, (which >= config.first_share) & (which < config.first_share + config.own_share)
    coolest, warmest = TEMPERATURES
    temperature = coolest + (warmest - coolest) * torch.rand(count, generator=generator)
    late = (LATE * torch.rand(count, generator=generator)).long()
    late = torch.where(torch.rand(count, generator=generator) < LAST_STEP, torch.zeros_like(late), late)
    t = torch.where(first, torch.full_like(t, TRAIN_TIMESTEPS - 1), torch.where(own, late, t))
    return t, torch.where(first, temperature, torch.ones_like(temperature)), temperature * own
