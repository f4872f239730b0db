"""VGG-16 (Simonyan and Zisserman, 2015): its convolutions, whose features say how different two pictures look.

The weights are the user's file, vgg16-397923af.pth as torchvision publishes it (features.N.weight and .bias).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discontrolface.nets.network import Network

WIDTHS: Final = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions of each size
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours
SIDE: Final = 224


def vgg16(widths: Sequence[tuple[int, int]] = WIDTHS) -> tuple[nn.Sequential, tuple[int, ...]]:
    """The convolutions of VGG-16 and after which of them features are taken (the last ReLU of each size)."""
    layers: list[nn.Module] = []
    taken, width = [], 3
    for outputs, count in widths:
        layers += [nn.MaxPool2d(2, 2)] if layers else []
        for _ in range(count):
            layers += [nn.Conv2d(width, outputs, 3, padding=1), nn.ReLU()]
            width = outputs
        taken.append(len(layers) - 1)
    return nn.Sequential(*layers), tuple(taken)


class Vgg16(Network):
    """The perceptual distance of HeadNeRF's fitting (official `VGGPerceptualLoss`), by the features of the first four sizes."""

    __call__: Callable[..., list[Tensor]]
    mean: Tensor
    spread: Tensor

    def __init__(self, widths: Sequence[Sequence[int]] = WIDTHS[:4]) -> None:
        super().__init__()
        self.features, self.taken = vgg16([(outputs, count) for outputs, count in widths])
        self.register_buffer("mean", torch.tensor(MEAN)[None, :, None, None])
        self.register_buffer("spread", torch.tensor(SPREAD)[None, :, None, None])

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Pictures (B,3,H,W) in [0, 1], of any size -> features (B,C,h,w) of each size."""
        x = F.interpolate((pictures - self.mean) / self.spread, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        seen = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.taken:
                seen.append(x)
        return seen

    def distance(self, pictures: Tensor, others: Sequence[Tensor]) -> Tensor:
        """Of pictures (B,3,H,W) to others whose features are given: a number, 0 for equal pictures."""
        return torch.stack([F.l1_loss(a, b) for a, b in zip(self(pictures), others, strict=True)]).sum()
