"""GIF's style code of a photo. GIF knows the people of its training pictures by number; a new one's code has to be found.

As Karras et al. project pictures into StyleGAN2 ("Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, appendix D): from the mean style
on, by Adam with a rate that rises and falls, until the generator shows the photo under the photo's own condition. The distance of two pictures is the
mean absolute difference at several sizes: LPIPS, which they take, needs weights of others.
"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from discontrolface.nets.gif import GIF

DRAWN: Final = 4096  # styles whose mean and spread are taken
RATE: Final = 0.1
WARM_UP, COOL_DOWN = 0.05, 0.25  # shares of the iterations over which the rate rises and falls
NEAR_MEAN: Final = 1e-3  # weight of the mean square distance from the mean style, in spreads
SMALLEST: Final = 8  # pixels of the smallest size at which pictures are compared


def pyramid_distance(a: Tensor, b: Tensor) -> Tensor:
    """The mean absolute difference of pictures (B,3,S,S), averaged over the sizes S, S/2, ... 8: a number."""
    parts = [(a - b).abs().mean()]
    while a.shape[-1] >= 2 * SMALLEST:
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        parts.append((a - b).abs().mean())
    return torch.stack(parts).mean()


@torch.no_grad()
def mean_style(network: GIF) -> tuple[Tensor, Tensor]:
    """(mean (1,Z), spread: the root mean square of what differs from it) of the styles of random codes, always the same ones."""
    z = torch.randn(DRAWN, int(network.config["code_channels"]), generator=torch.Generator().manual_seed(0))
    styles = network.style(z=z.to(network.constant.device))
    mean = styles.mean(0, keepdim=True)
    return mean, (styles - mean).square().mean().sqrt()


@torch.enable_grad()
def fit_style(
    network: GIF,
    condition: Tensor,  # (1,C,S,S), the photo's own
    photo: Tensor,  # (1,3,S,S) in [-1, 1]
    step: int,  # the network makes 4 * 2**step = S pixels
    iterations: int,
) -> Tensor:
    """w (1,Z) with which the network shows the photo; the best one that was met."""
    mean, spread = mean_style(network)
    offset = torch.zeros_like(mean, requires_grad=True)
    optimizer = torch.optim.Adam([offset])
    best, found = math.inf, mean
    for number in range(iterations):
        done = number / iterations
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (done + 1 / iterations) / WARM_UP) * _falling((1 - done) / COOL_DOWN)
        w = mean + spread * offset
        distance = pyramid_distance(network(condition, step=step, w=w), photo)
        if float(distance.detach()) < best:
            best, found = float(distance.detach()), w.detach().clone()
        loss = distance + NEAR_MEAN * offset.square().mean()
        (gradient,) = torch.autograd.grad(loss, [offset])
        offset.grad = gradient
        optimizer.step()
    return found


def _falling(left: float) -> float:
    """1 until `left` is below 1, then down to 0 by half a cosine."""
    return 0.5 - 0.5 * math.cos(math.pi * min(1.0, left))
