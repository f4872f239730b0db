"""What the super-resolution network is asked for: the true edges and structure, and as much texture as the truth has."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from discontrolface.nets.patch_discriminator import PatchDiscriminator
from discontrolface.nets.super_resolution import fine
from discontrolface.training.adversary import MATCHING
from discontrolface.training.detail_loss import bands

FINE = 2  # bands of the pyramid that count
AROUND = 8  # pixels of a square over which a band's strength is taken
WINDOW, RADIUS = 1.5, 5  # standard deviation and radius of SSIM's Gaussian window, pixels (Wang et al., 2004)
C1, C2 = 0.01**2, 0.03**2  # SSIM's constants for pictures in [0, 1]


class Terms(NamedTuple):
    """() each. absolute: error without its coarse part. bands: of the finest bands. structure: 1 - SSIM. texture: of these bands' local strength."""

    absolute: Tensor
    bands: Tensor
    structure: Tensor
    texture: Tensor


def picture_loss(picture: Tensor, truth: Tensor, weight: Tensor) -> Terms:
    """picture, truth (B,3,H,W) in [-1, 1], weight (B,1,H,W) at least 0; sides multiples of 16.

    The absolute errors ask for the median of what a pixel may be, which is soft where much is possible. They leave out what is coarse: the network
    cannot change it, and beside a wrong colour an edge's own error would not count. SSIM asks for edges in the right direction, weak ones as much as
    strong ones. `texture` asks for as strong an edge somewhere near, not at its place.
    """

    def mean(value: Tensor, counts: Tensor) -> Tensor:
        return (value * counts).sum() / (counts.sum() * value.shape[1] + 1e-6)

    absolute = mean(fine(picture - truth).abs(), weight)
    edges, texture = torch.zeros(()), torch.zeros(())
    made, real = bands(picture)[:FINE], bands(truth)[:FINE]
    for level, (a, b) in enumerate(zip(made, real, strict=True)):
        counts = F.avg_pool2d(weight, 2**level) if level else weight
        edges = edges + mean((a - b).abs(), counts)
        square = AROUND // 2**level
        strength = (F.avg_pool2d(a.abs(), square) - F.avg_pool2d(b.abs(), square)).abs()
        texture = texture + mean(strength, F.avg_pool2d(counts, square))
    return Terms(absolute, edges, mean(1 - ssim(picture, truth), weight), texture)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """(B,3,H,W) the structural similarity at each pixel of pictures (B,3,H,W) in [-1, 1]; as evaluation/similarity.py, beyond the border 0."""
    channels = a.shape[1]
    offsets = torch.arange(-RADIUS, RADIUS + 1, dtype=a.dtype, device=a.device)
    weights = torch.exp(-0.5 * (offsets / WINDOW) ** 2)
    line = (weights / weights.sum()).expand(5 * channels, 1, 1, -1)
    a, b = (a + 1) / 2, (b + 1) / 2
    parts = torch.cat([a, b, a * a, b * b, a * b], 1)
    down = F.conv2d(parts, line.transpose(2, 3), padding=(RADIUS, 0), groups=5 * channels)
    ma, mb, aa, bb, ab = F.conv2d(down, line, padding=(0, RADIUS), groups=5 * channels).split(channels, 1)
    luminance = (2 * ma * mb + C1) / (ma * ma + mb * mb + C1)
    return luminance * (2 * (ab - ma * mb) + C2) / (aa - ma * ma + bb - mb * mb + C2)


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
