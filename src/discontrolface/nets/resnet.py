"""ResNet-18 and ResNet-50 (He et al. 2016), with the parameter names of the usual PyTorch implementation, which official checkpoints use."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from discontrolface.common.errors import UserError


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, the first of which strides, and a shortcut."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        return relu(h + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1, 3x3 (which strides), 1x1 convolutions, and a shortcut."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out = self.expansion * width
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = shortcut(channels, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = relu(self.bn1(self.conv1(x)))
        h = relu(self.bn2(self.conv2(h)))
        h = self.bn3(self.conv3(h))
        return relu(h + (x if self.downsample is None else self.downsample(x)))


def shortcut(channels: int, out: int, stride: int) -> nn.Sequential | None:
    """A 1x1 convolution where the block changes size or width; None: the input itself."""
    if stride == 1 and channels == out:
        return None
    return nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))


KINDS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}
"""Blocks, and how many of them at each of the four sizes."""


class ResNet(nn.Module):
    """(B, 3, H, W) to its features (B, F), averaged over the picture, or through a last linear layer to (B, outputs)."""

    def __init__(
        self,
        kind: str,  # one of KINDS
        outputs: int | None = None,  # of the last layer; None: the features
        width: int = 64,  # of the stem; 64 is the published one
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise UserError(f"encoder {kind!r} is not known; choose one of {', '.join(KINDS)}.")
        block, counts = KINDS[kind]
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.features = 8 * width * block.expansion
        channels, layers = width, []
        for level, count in enumerate(counts):
            wide = width * 2**level
            first = block(channels, wide, 1 if level == 0 else 2)
            channels = wide * block.expansion
            layers.append(nn.Sequential(first, *(block(channels, wide) for _ in range(count - 1))))
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        if outputs is not None:
            self.fc = nn.Linear(self.features, outputs)
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(relu(self.bn1(self.conv1(x))))  # (B, W, H/4, W/4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (B, F, H/32, W/32)
        x = x.mean((2, 3))  # (B, F)
        return x if self.outputs is None else self.fc(x)
