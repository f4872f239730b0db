"""A light network that makes an edit as sharp as the photo where the photo did not show it (ours; the paper names one as its future work).

It starts from the edit as it is without it: the networks' picture, enlarged, with the preview's detail carried over where both agree. To that it adds

    out = carried + (1 - trusted) fine(g (preview - carried) + r)

r and g, three channels and one, are what the network says of every pixel; it says 0 when its training begins. Where the photo's own pixels are
trusted (1) nothing is added. fine(x) = x - coarse(x) leaves out what is wider than a few pixels: the network cannot change a colour, a light or
where a face's parts lie, which are the edit's; it can only make edges and texture. It computes on pixels unshuffled by 4, so that a picture of any
size that 16 divides goes through: 1024 pixels on a grid of 256.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discontrolface.nets.blocks import zeroed
from discontrolface.nets.network import Network

SHUFFLE = 4  # pixels of a position of the grid
MULTIPLE = 4 * SHUFFLE  # of the sides of a picture: the grid is halved twice
COARSE = 8  # pixels a side over which the mean is taken that the network leaves as it is: about a Gaussian of 4 pixels
INPUTS = 3 + 3 + 1 + 1  # carried, preview, visibility, trusted
OUTPUTS = 3 + 1  # r and g


def fine(x: Tensor) -> Tensor:
    """(B,C,H,W) without its coarse part: the means of squares of COARSE pixels, bilinear in between."""
    return x - F.interpolate(F.avg_pool2d(x, COARSE), scale_factor=float(COARSE), mode="bilinear", align_corners=False)


class Residual(nn.Module):
    """x + conv(relu(conv(x))), as in EDSR (Lim et al., CVPRW 2017): no normalization, which would change an edit's contrast."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.conv2.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,C,h,w)."""
        return x + self.conv2(F.relu(self.conv1(x), inplace=not torch.is_grad_enabled()))


class SuperResolution(Network):
    """Carried edit and preview at one size in, the edit at that size out. Three levels: at 1/4, 1/8 and 1/16 of the picture's pixels a side."""

    def __init__(
        self,
        channels: tuple[int, ...] = (48, 64, 96),  # of the levels, finest first
        blocks: tuple[int, ...] = (2, 2, 4),  # residual blocks of each level, on the way down (the last: in the middle)
        blocks_up: int = 2,  # of each level but the last, on the way up
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(INPUTS * SHUFFLE**2, channels[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Sequential(*(Residual(c) for _ in range(n))) for c, n in zip(channels, blocks, strict=True))
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(channels))
        self.grow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(channels))
        self.up = nn.ModuleList(nn.Sequential(*(Residual(c) for _ in range(blocks_up))) for c in channels[:-1])
        self.head = zeroed(nn.Conv2d(channels[0], OUTPUTS * SHUFFLE**2, 3, padding=1))

    def forward(self, carried: Tensor, preview: Tensor, visibility: Tensor, trusted: Tensor) -> Tensor:
        """carried, preview (B,3,H,W) in [-1, 1], visibility, trusted (B,1,H,W) in [0, 1] -> (B,3,H,W); H and W multiples of 16."""
        if carried.shape[-2] % MULTIPLE or carried.shape[-1] % MULTIPLE:
            raise ValueError(f"a picture of {carried.shape[-1]}x{carried.shape[-2]} pixels; both must be multiples of {MULTIPLE}")
        x = torch.cat([carried, preview, 2 * visibility - 1, 2 * trusted - 1], 1)
        h = self.stem(F.pixel_unshuffle(x, SHUFFLE))  # (B,C,H/4,W/4)
        skips = []
        for level, stage in enumerate(self.down):
            h = stage(h)
            if level < len(self.shrink):
                skips.append(h)
                h = self.shrink[level](h)
        for level in reversed(range(len(self.up))):
            h = F.interpolate(self.grow[level](h), scale_factor=2.0, mode="nearest") + skips[level]
            h = self.up[level](h)
        added = F.pixel_shuffle(self.head(h), SHUFFLE)  # (B,4,H,W)
        return carried + (1 - trusted) * fine(added[:, 3:] * (preview - carried) + added[:, :3])
