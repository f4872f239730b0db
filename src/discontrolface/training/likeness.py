"""A loss on what a face network sees: squared error is content with a face that is nobody's (perceptual loss, Johnson et al., ECCV 2016).

The network is dlib's (nets/dlib_face.py). What trains on its features must be judged by another measure as well.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discontrolface.nets.dlib_face import DlibFace

SCALE = 0.84  # of an aligned crop of 256 pixels: its faces are then as large as in dlib's chips (178 pixels there, 150 in a chip)
SIZE = 256  # of that crop
FLOOR = 0.1  # of the target's features: a difference of the preview below which the preview counts as right


class Likeness(nn.Module):
    """Holds the frozen network. size: pixels of the aligned crops that its pictures are (parts of)."""

    def __init__(self, network: DlibFace, size: int) -> None:
        super().__init__()
        self.network, self.scale = network.requires_grad_(False), SCALE * SIZE / size

    def forward(self, picture: Tensor, target: Tensor, preview: Tensor) -> Tensor:
        """(B,): the mean absolute difference of the features from the target's over the preview's own, averaged over the stages.

        1 is as good as the preview. All (B,3,H,W) in about [-1, 1].
        """
        with torch.no_grad():
            right, before = self.seen(target), self.seen(preview)
        ratios = []
        for mine, truth, known in zip(self.seen(picture), right, before, strict=True):
            usual = (known - truth).abs().flatten(1).mean(1) + FLOOR * truth.abs().flatten(1).mean(1)
            ratios.append((mine - truth).abs().flatten(1).mean(1) / usual)
        return sum(ratios[1:], ratios[0]) / len(ratios)

    def seen(self, pictures: Tensor) -> list[Tensor]:
        """The features of pictures, at the size of dlib's chips."""
        return self.network.features(F.interpolate(pictures, scale_factor=self.scale, mode="bilinear", align_corners=False, antialias=True))
