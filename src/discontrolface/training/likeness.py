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
# Where a face lies in an aligned crop, in its side: what dlib would cut out as a chip. A turned face lies elsewhere, so the place is left to chance.
CHIP_CENTRE = (0.508, 0.606)  # right, down
CHIP_SIDE = 0.703
CHIP_SHIFT, CHIP_GROWTH = 0.04, 0.08  # standard deviations of the place (in the crop's side) and of the size (log)
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

    def person(self, picture: Tensor, target: Tensor, preview: Tensor, chance: Tensor) -> Tensor:
        """(B,): the distance of the face's embedding from the target's over the preview's own; 1 is as good as the preview.

        Whole aligned crops, (B,3,H,W) in about [-1, 1]. chance: (B,3), N(0, 1), where the chip is cut out: right, down, size.
        """
        places = chip_places(chance, target)
        with torch.no_grad():
            right, before = (self.network(F.grid_sample(x, places, align_corners=False)) for x in (target, preview))
            usual = (before - right).norm(dim=1) + FLOOR_DISTANCE
        squared: Tensor = (self.network(F.grid_sample(picture, places, align_corners=False)) - right).square().sum(1)
        return ((squared + TINY).sqrt() - TINY**0.5) / usual

    def seen(self, pictures: Tensor) -> list[Tensor]:
        """The features of pictures, at the size of dlib's chips."""
        return self.network.features(F.interpolate(pictures, scale_factor=self.scale, mode="bilinear", align_corners=False, antialias=True))


def chip_places(chance: Tensor, like: Tensor) -> Tensor:
    """(B,150,150,2), where in the crop each pixel of a chip lies, for `grid_sample`. chance: (B,3), N(0, 1)."""
    side = CHIP_SIDE * torch.exp(CHIP_GROWTH * chance[:, 2])
    centre = 2 * (torch.tensor(CHIP_CENTRE, device=chance.device) + CHIP_SHIFT * chance[:, :2]) - 1
    matrix = torch.zeros(len(chance), 2, 3, device=chance.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = side
    matrix[:, :, 2] = centre
    return F.affine_grid(matrix, [len(chance), 3, CHIP_PIXELS, CHIP_PIXELS], align_corners=False).to(like.dtype)
