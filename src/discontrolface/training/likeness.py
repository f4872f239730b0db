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
# Standard deviations of what chance adds to a chip's place: right and down in the chip's side, the size (log).
CHIP_SHIFT, CHIP_GROWTH = 0.025, 0.05
CHIP_PIXELS = 150
FLOOR_DISTANCE = 0.1  # between embeddings; 0.6 is dlib's bound for the same person
TINY = 1e-6  # of a squared distance: a root has no slope at 0


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

    def person(self, picture: Tensor, target: Tensor, preview: Tensor, chip: Tensor, chance: Tensor) -> Tensor:
        """(B,): the distance of the face's embedding from the target's over the preview's own; 1 is as good as the preview.

        Whole aligned crops, (B,3,H,W) in about [-1, 1]. chip: (B,4), where dlib would cut the target's face out (face/chip.py).
        chance: (B,3), N(0, 1), by which it is cut out elsewhere: right, down, size.
        """
        places = chip_grid(chip, chance)
        with torch.no_grad():
            right, before = (self.network(cut_out(x, places)) for x in (target, preview))
            usual = (before - right).norm(dim=1) + FLOOR_DISTANCE
        squared: Tensor = (self.network(cut_out(picture, places)) - right).square().sum(1)
        return ((squared + TINY).sqrt() - TINY**0.5) / usual

    def seen(self, pictures: Tensor) -> list[Tensor]:
        """The features of pictures, at the size of dlib's chips."""
        return self.network.features(F.interpolate(pictures, scale_factor=self.scale, mode="bilinear", align_corners=False, antialias=True))


def cut_out(pictures: Tensor, places: Tensor) -> Tensor:
    """(B,3,150,150) of (B,3,H,W) in [-1, 1]; beyond the picture black, as dlib has it."""
    return F.grid_sample(pictures + 1, places.to(pictures.dtype), align_corners=False) - 1


def chip_grid(chip: Tensor, chance: Tensor) -> Tensor:
    """(B,150,150,2), where in the crop each pixel of a chip lies, for `grid_sample`. chip: (B,4), see face/chip.py. chance: (B,3), N(0, 1)."""
    right, down, side, angle = chip.float().unbind(1)
    shift = CHIP_SHIFT * side[:, None] * chance[:, :2]
    side = side * torch.exp(CHIP_GROWTH * chance[:, 2])
    along, across = side * torch.cos(angle), side * torch.sin(angle)
    # From the chip's range to the crop's, both [-1, 1].
    rows = torch.stack([along, -across, 2 * (right + shift[:, 0]) - 1]), torch.stack([across, along, 2 * (down + shift[:, 1]) - 1])
    matrix = torch.stack(rows).permute(2, 0, 1)  # (B,2,3)
    return F.affine_grid(matrix, [len(chip), 3, CHIP_PIXELS, CHIP_PIXELS], align_corners=False)
