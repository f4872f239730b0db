"""dlib's face network in PyTorch, so that a loss can ask for what it sees: a ResNet of 29 convolutions (dlib's `dnn_face_recognition_ex.cpp`).

Its batch normalizations are the affine layers that dlib turns them into for use. What differs from torchvision's ResNets: convolutions and
poolings with stride 2 do not pad, and where a block's two ways differ in size or channels, the smaller one is filled up with zeros.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COLOURS = (122.782, 117.001, 104.298)  # of the training pictures' mean, R, G, B of 255
STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))  # width, blocks, the first one halves the size


class Affine(nn.Module):
    """A gain and an offset a channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def after(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """A convolution of x (B,C,H,W), then this, as one convolution: two passes over the picture less."""
        assert conv.bias is not None
        weight, bias = conv.weight * self.gamma[:, None, None, None], conv.bias * self.gamma + self.beta
        return F.conv2d(x, weight, bias, conv.stride, conv.padding)  # type: ignore[arg-type]


class Block(nn.Module):
    """Two convolutions and a way past them."""

    def __init__(self, inputs: int, width: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.conv1 = nn.Conv2d(inputs, width, 3, 2 if halves else 1, 0 if halves else 1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.affine1, self.affine2 = Affine(width), Affine(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,width,h,w)."""
        h = self.affine2.after(self.conv2, F.relu(self.affine1.after(self.conv1, x)))
        past = F.avg_pool2d(x, 2) if self.halves else x
        return F.relu(filled(h, past) + filled(past, h))


def filled(x: Tensor, like: Tensor) -> Tensor:
    """x (B,C,h,w) with zeros after the last channel, row and column, where `like` has more of them."""
    more = [max(0, there - here) for here, there in zip(x.shape[1:], like.shape[1:], strict=True)]
    return F.pad(x, (0, more[2], 0, more[1], 0, more[0])) if any(more) else x


class DlibFace(nn.Module):
    """Face embeddings, and the features on the way to them.

    Pictures are (B,3,H,W) in [-1, 1], faces upright, as large as in dlib's chips of 150 pixels.
    """

    colours: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("colours", torch.tensor(COLOURS)[:, None, None] / 256, persistent=False)
        self.stem, self.stem_affine = nn.Conv2d(3, STAGES[0][0], 7, 2), Affine(STAGES[0][0])
        inputs, stages = STAGES[0][0], []
        for width, count, halves in STAGES:
            blocks = [Block(inputs if k == 0 else width, width, halves and k == 0) for k in range(count)]
            stages.append(nn.Sequential(*blocks))
            inputs = width
        self.stages = nn.ModuleList(stages)
        self.embed = nn.Linear(inputs, 128, bias=False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """What each of the five stages sees, (B,C,h,w) with 32, 64, 128, 256, 256 channels."""
        x = (pictures + 1) * (255 / 512) - self.colours
        x = F.max_pool2d(F.relu(self.stem_affine.after(self.stem, x)), 3, 2)
        out = []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return out

    def forward(self, chips: Tensor) -> Tensor:
        """(B,3,150,150) chips -> (B,128) embeddings; Euclidean distances below 0.6 usually mean the same person."""
        embedding: Tensor = self.embed(self.features(chips)[-1].mean((2, 3)))
        return embedding
