"""A loss that does not ask for the mean of all that a pixel might be: a patch discriminator that learns beside the network.

Squared and absolute errors are smallest at the mean or median of what is possible, and where the photo showed nothing that is a smear. The hinge
loss (Lim & Ye, 2017) and feature matching (pix2pixHD, Wang et al., CVPR 2018), on the pictures that an edit's steps meet: predictions from noise
alone, and from own predictions. At other timesteps the mean is what a denoiser must predict.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discontrolface.common.snapshot_spec import MAP_CHANNELS, SnapshotSpec
from discontrolface.nets.noise_process import TRAIN_TIMESTEPS
from discontrolface.nets.patch_discriminator import PatchDiscriminator
from discontrolface.training.dataset import Batch

SHOWN = ("normals", "preview", "visibility")  # maps of the snapshot that the discriminator is told
MATCHING = 4.0  # weight of feature matching
ALONE, RAMP = 150, 250  # steps that the discriminator learns alone; over which its word then comes in


class AdversaryLoss(NamedTuple):
    """generator: what asks the network for sharp pictures. discriminator: what the discriminator learns from. Both (B,)."""

    generator: Tensor
    discriminator: Tensor


class Adversary(nn.Module):
    """The discriminator and its age."""

    age: Tensor

    def __init__(self, spec: SnapshotSpec) -> None:
        super().__init__()
        self.maps = [spec.slice(name) for name in SHOWN if name in spec]
        self.discriminator = PatchDiscriminator(condition_channels=sum(MAP_CHANNELS[name] for name in SHOWN if name in spec))
        self.register_buffer("age", torch.zeros(()))

    def forward(self, predicted: Tensor, batch: Batch) -> AdversaryLoss:
        """predicted (B,3,H,W): the network's pictures, with their gradient.

        Gradients of `generator` reach only them, those of `discriminator` only the discriminator.
        """
        condition = torch.cat([batch.snapshot[:, part] for part in self.maps], 1)
        met = met_by_edits(batch)  # (B,)
        real, truth = self.discriminator(batch.target, condition)
        fake, _ = self.discriminator(predicted.detach(), condition)
        learned = (F.relu(1 - real) + F.relu(1 + fake)).flatten(1).mean(1)
        score, features = self.discriminator(predicted, condition, frozen=True)
        unlike = sum(((a - b.detach()).abs().flatten(1).mean(1) for a, b in zip(features, truth, strict=True)), start=torch.zeros_like(met))
        asked = -score.flatten(1).mean(1) + MATCHING / len(features) * unlike
        word = ((self.age - ALONE) / RAMP).clamp(0, 1)
        if self.training:
            self.age.add_(1)
        return AdversaryLoss(word * met * asked, met * learned)


def met_by_edits(batch: Batch) -> Tensor:
    """(B,) 1 for the pictures at the noise levels of an edit of few steps, 0 for the others."""
    met = batch.t == TRAIN_TIMESTEPS - 1
    if batch.own is not None:
        met = met | batch.own.flatten(1).any(1)
    return met.float()
