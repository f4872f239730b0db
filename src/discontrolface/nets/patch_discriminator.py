"""Patch discriminator: is each patch of a picture a photo's, given what it is to show? (Isola et al., CVPR 2017, conditioned as there.)

Spectral normalization (Miyato et al., ICLR 2018) with one power iteration a training step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky ReLU


class SpectralConv(nn.Module):
    """A convolution whose weight is divided by its largest singular value, as estimated so far."""

    u: Tensor

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.kaiming_normal_(self.weight, SLOPE)
        self.register_buffer("u", F.normalize(nn.init.normal_(torch.empty(out_channels)), dim=0))
        self.stride = stride

    def forward(self, x: Tensor, frozen: bool = False) -> Tensor:
        """(B,C,H,W) -> (B,C',H',W'). frozen: no gradient reaches weight and bias, and the estimate stays as it is."""
        weight, bias = (self.weight.detach(), self.bias.detach()) if frozen else (self.weight, self.bias)
        matrix = weight.flatten(1)  # (C', C k k)
        with torch.no_grad():
            v = F.normalize((matrix * self.u[:, None]).sum(0), dim=0)
            u = F.normalize((matrix * v).sum(1), dim=0)
            if self.training and not frozen:
                self.u.copy_(u)
        sigma = (u * (matrix * v).sum(1)).sum()
        return F.conv2d(x, weight / sigma, bias, self.stride, padding=1)


class PatchDiscriminator(nn.Module):
    """Scores for overlapping patches of about 46 pixels, above 0: a photo's."""

    def __init__(
        self,
        picture_channels: int = 3,
        condition_channels: int = 7,  # of what the picture is to show
        width: int = 48,  # of the first layer; doubled twice
    ) -> None:
        super().__init__()
        widths = (picture_channels + condition_channels, width, 2 * width, 4 * width)
        self.layers = nn.ModuleList(SpectralConv(widths[k], widths[k + 1], 4, 2) for k in range(3))
        self.layers.append(SpectralConv(widths[-1], widths[-1], 3, 1))
        self.score = SpectralConv(widths[-1], 1, 3, 1)

    def forward(self, picture: Tensor, condition: Tensor, frozen: bool = False) -> tuple[Tensor, list[Tensor]]:
        """picture (B,3,H,W) in [-1, 1], condition (B,S,H,W) -> scores (B,1,H/8,W/8), and each layer's features. frozen: see `SpectralConv`."""
        h, features = torch.cat([picture, condition], 1), []
        for layer in self.layers:
            h = F.leaky_relu(layer(h, frozen), SLOPE)
            features.append(h)
        return self.score(h, frozen), features
