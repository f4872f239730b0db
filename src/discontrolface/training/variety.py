"""More people than there are: the same change of tone and of proportions for all pictures of a pair.

A network that meets 73 people often enough knows them by heart (docs/decisions.md). Hair and skin of other colours, heads that are wider or longer
are nobody it has met, and source, preview, truth and snapshot still belong together.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from discontrolface.common.snapshot_spec import NORMAL_MAPS, SnapshotSpec
from discontrolface.diffusion.training_pair import TrainingPair


def toned(pictures: Tensor, tone: Tensor) -> Tensor:
    """(B,3,H,W) in [0, 1] with another gamma and saturation. tone: (B,2), their logarithms; 0 changes nothing, to the bit."""
    gamma, saturation = (tone[:, k].exp()[:, None, None, None] for k in (0, 1))
    bent = pictures**gamma
    return (bent + (saturation - 1) * (bent - bent.mean(1, keepdim=True))).clamp(0, 1)


def stretched(pair: TrainingPair, stretch: Tensor, spec: SnapshotSpec) -> TrainingPair:
    """All pictures of the pairs wider and higher about their middle. stretch: (B,2), logarithms of width and height.

    No picture becomes smaller than it was in either, so that nothing from beyond its edges is needed: what counts is their ratio. Normals become
    those of the stretched head, whose depth grows by the geometric mean.
    """
    scale = stretch.exp()
    scale = scale / scale.min(1, keepdim=True).values.clamp(max=1)  # (B,2), at least 1
    matrix = torch.diag_embed(1 / scale)  # (B,2,2)
    matrix = torch.cat([matrix, torch.zeros_like(matrix[..., :1])], -1)  # (B,2,3)

    def moved(x: Tensor, mode: str = "bicubic") -> Tensor:
        grid = F.affine_grid(matrix.to(x.dtype), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, mode=mode, padding_mode="border", align_corners=False)

    maps = []
    for name in spec.maps:
        x = pair.snapshot[:, spec.slice(name)]
        if name in NORMAL_MAPS:
            maps.append(normals_of(moved(x, "bilinear"), scale))
        else:
            maps.append(moved(x, "bilinear").clamp(0, 1) if name == "visibility" else moved(x).clamp(-1, 1))
    return replace(
        pair,
        source=moved(pair.source).clamp(-1, 1),
        target=moved(pair.target).clamp(-1, 1),
        snapshot=torch.cat(maps, 1),
        weight=moved(pair.weight, "bilinear"),
        chip=None if pair.chip is None else chip_of(pair.chip, scale),
    )


def normals_of(normals: Tensor, scale: Tensor) -> Tensor:
    """Normals (B,3,H,W) of a surface that is stretched by scale (B,2): the inverse transpose, of the length that they had."""
    grown = torch.cat([scale, scale.prod(1, keepdim=True).sqrt()], 1)[:, :, None, None]
    turned = normals / grown
    return turned * (normals.norm(dim=1, keepdim=True) / turned.norm(dim=1, keepdim=True).clamp(min=1e-6))


def chip_of(chip: Tensor, scale: Tensor) -> Tensor:
    """Where the face is then: (B,4), see face/chip.py."""
    right, down, side, angle = chip.unbind(1)
    wider, higher = scale.unbind(1)
    return torch.stack([0.5 + (right - 0.5) * wider, 0.5 + (down - 0.5) * higher, side * (wider * higher).sqrt(), angle], 1)
