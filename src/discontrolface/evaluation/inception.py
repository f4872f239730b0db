"""The Inception v3 of FID (Heusel et al., 2017): features (B, 2048) of the pool before the classifier, of the TensorFlow network of 2015-12-05.

Layers are named as in torchvision, so that pytorch-fid's file `pt_inception-2015-12-05-6726825d.pth` fits as it is. That network departs from
torchvision's in three places: average pools do not count the padding, and the last block takes the maximum in the place of the average.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discontrolface.evaluation.weights_file import fill, read_state

FEATURES = 2048
SIZE = 299  # pixels that the network sees
WHAT = "the Inception v3 of FID (pytorch-fid's pt_inception-2015-12-05-6726825d.pth)"


class Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padding: int | tuple[int, int] = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def chain(module: nn.Module, names: Sequence[str], x: Tensor) -> Tensor:
    """Layers of a module by name, one after the other."""
    for name in names:
        x = module.get_submodule(name)(x)
    return x


def mean_pool(x: Tensor) -> Tensor:
    """3x3, the same size; the padding does not count."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class BlockA(nn.Module):
    """35x35."""

    def __init__(self, inputs: int, pool: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(inputs, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = Conv(inputs, 48, 1), Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(inputs, 64, 1), Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, padding=1)
        self.branch_pool = Conv(inputs, pool, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = chain(self, ("branch5x5_1", "branch5x5_2"), x)
        three = chain(self, ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"), x)
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(mean_pool(x))], 1)


class BlockB(nn.Module):
    """35x35 to 17x17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Conv(inputs, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(inputs, 64, 1), Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Conv(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        three = chain(self, ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"), x)
        return torch.cat([self.branch3x3(x), three, F.max_pool2d(x, 3, 2)], 1)


class BlockC(nn.Module):
    """17x17, kernels of 7 in one direction."""

    def __init__(self, inputs: int, middle: int) -> None:
        super().__init__()
        row, column = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))  # kernel, stride, padding
        self.branch1x1 = Conv(inputs, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = Conv(inputs, middle, 1), Conv(middle, middle, *row)
        self.branch7x7_3 = Conv(middle, 192, *column)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = Conv(inputs, middle, 1), Conv(middle, middle, *column)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = Conv(middle, middle, *row), Conv(middle, middle, *column)
        self.branch7x7dbl_5 = Conv(middle, 192, *row)
        self.branch_pool = Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once = chain(self, [f"branch7x7_{k}" for k in (1, 2, 3)], x)
        twice = chain(self, [f"branch7x7dbl_{k}" for k in (1, 2, 3, 4, 5)], x)
        return torch.cat([self.branch1x1(x), once, twice, self.branch_pool(mean_pool(x))], 1)


class BlockD(nn.Module):
    """17x17 to 8x8."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Conv(inputs, 192, 1), Conv(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = Conv(inputs, 192, 1), Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3, self.branch7x7x3_4 = Conv(192, 192, (7, 1), padding=(3, 0)), Conv(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        three = chain(self, ("branch3x3_1", "branch3x3_2"), x)
        seven = chain(self, [f"branch7x7x3_{k}" for k in (1, 2, 3, 4)], x)
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)


class BlockE(nn.Module):
    """8x8. highest: the pool takes the maximum."""

    def __init__(self, inputs: int, highest: bool) -> None:
        super().__init__()
        self.highest = highest
        self.branch1x1, self.branch3x3_1 = Conv(inputs, 320, 1), Conv(inputs, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = Conv(384, 384, (1, 3), padding=(0, 1)), Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Conv(inputs, 448, 1), Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = Conv(384, 384, (1, 3), padding=(0, 1)), Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        once, twice = self.branch3x3_1(x), chain(self, ("branch3x3dbl_1", "branch3x3dbl_2"), x)
        pooled = F.max_pool2d(x, 3, 1, 1) if self.highest else mean_pool(x)
        parts = [self.branch3x3_2a(once), self.branch3x3_2b(once), self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice)]
        return torch.cat([self.branch1x1(x), *parts, self.branch_pool(pooled)], 1)


class Inception(nn.Module):
    """Pictures (B, 3, H, W) in [0, 1], any size, to features (B, 2048), as pytorch-fid does."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Conv(3, 32, 3, 2), Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = Conv(64, 80, 1), Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = BlockA(192, 32), BlockA(256, 64), BlockA(288, 64)
        self.Mixed_6a, self.Mixed_6b, self.Mixed_6c = BlockB(288), BlockC(768, 128), BlockC(768, 160)
        self.Mixed_6d, self.Mixed_6e = BlockC(768, 160), BlockC(768, 192)
        self.Mixed_7a, self.Mixed_7b, self.Mixed_7c = BlockD(768), BlockE(1280, highest=False), BlockE(2048, highest=True)

    @classmethod
    def load(cls, path: Path) -> Inception:
        """With the weights of a file. UserError if they are another network's."""
        network = cls()
        fill(network, read_state(path), path, WHAT)
        return network

    def forward(self, pictures: Tensor) -> Tensor:
        x = 2 * F.interpolate(pictures, (SIZE, SIZE), mode="bilinear", align_corners=False) - 1
        x = chain(self, ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"), x)
        x = chain(self, ("Conv2d_3b_1x1", "Conv2d_4a_3x3"), F.max_pool2d(x, 3, 2))
        x = chain(self, [f"Mixed_5{k}" for k in "bcd"] + [f"Mixed_6{k}" for k in "abcde"], F.max_pool2d(x, 3, 2))
        return chain(self, ("Mixed_7a", "Mixed_7b", "Mixed_7c"), x).mean((2, 3))
