"""What the super-resolution network is asked for: the true colours, the true edges, and as much texture as the truth has."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from discontrolface.nets.patch_discriminator import PatchDiscriminator
from discontrolface.training.adversary import MATCHING
from discontrolface.training.detail_loss import bands

FINE = 2  # bands of the pyramid that count
AROUND = 8  # pixels of a square over which a band's strength is taken


class Terms(NamedTuple):
    """() each. absolute: error of the colours. bands: of the finest bands. texture: of these bands' local strength."""

    absolute: Tensor
    bands: Tensor
    texture: Tensor


def picture_loss(picture: Tensor, truth: Tensor, weight: Tensor) -> Terms:
    """picture, truth (B,3,H,W) in [-1, 1], weight (B,1,H,W) at least 0; sides multiples of 16.

    The absolute errors ask for the median of what a pixel may be, which is soft where much is possible. `texture` asks for as strong an edge
    somewhere near, not at its place.
    """

    def mean(value: Tensor, counts: Tensor) -> Tensor:
        return (value * counts).sum() / (counts.sum() * value.shape[1] + 1e-6)

    absolute = mean((picture - truth).abs(), weight)
    edges, texture = torch.zeros(()), torch.zeros(())
    made, real = bands(picture)[:FINE], bands(truth)[:FINE]
    for level, (a, b) in enumerate(zip(made, real, strict=True)):
        counts = F.avg_pool2d(weight, 2**level) if level else weight
        edges = edges + mean((a - b).abs(), counts)
        square = AROUND // 2**level
        strength = (F.avg_pool2d(a.abs(), square) - F.avg_pool2d(b.abs(), square)).abs()
        texture = texture + mean(strength, F.avg_pool2d(counts, square))
    return Terms(absolute, edges, texture)


class Word(NamedTuple):
    """() each. asked: what the discriminator's word asks of the network. learned: what the discriminator learns from."""

    asked: Tensor
    learned: Tensor


def adversary_terms(adversary: PatchDiscriminator, picture: Tensor, truth: Tensor, carried: Tensor, given: Tensor) -> Word:
    """The hinge loss with feature matching (training/adversary.py). given: (B,1,H,W), where the picture is `carried`.

    There the truth is shown as `carried` too: it lies a pixel beside, which would tell them apart.
    """
    real = given * carried + (1 - given) * truth
    picture = given * carried + (1 - given) * picture
    real_score, real_features = adversary(real, given)
    fake_score, _ = adversary(picture.detach(), given)
    learned = F.relu(1 - real_score).mean() + F.relu(1 + fake_score).mean()
    score, features = adversary(picture, given, frozen=True)
    unlike = sum(((a - b.detach()).abs().mean() for a, b in zip(features, real_features, strict=True)), start=torch.zeros(()))
    return Word(-score.mean() + MATCHING / len(features) * unlike, learned)
