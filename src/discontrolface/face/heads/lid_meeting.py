"""Where an upper lid stops: at the lower one.

Eyes are open by 6 to 12 mm, and a blendshape is the same for all: one that closes the widest draws the lid of the others down over the cheek, in
a deep curve, and one that closes the mean leaves a slit in wide eyes. So a blink of 1 takes each place of an upper lid to the lower rim of that
person, one of a half half as far; the outer corner sinks half as far as the blendshape has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
OVERLAP = 0.0004  # metres that a closed upper rim lies below the lower one: no slit is left where meshes are coarse
LEAST_WAY, LARGEST_WAY = 0.3, 2.0  # of the blendshape's: what a place near a corner, which hardly moves, may be given
LEAST = 0.0015  # metres that a blink takes a place of the upper rim down: the lower rim and the corners move less
OUTER = 0.5  # of the blendshape's way that the outer corner goes


class Lid(NamedTuple):
    """One eye.

    blink: the row of its blendshape. upper: (R,) vertices of the upper rim, from side to side. way: (R,) metres down that the blendshape takes them.
    lower: (R, 2) vertices of the lower rim beside the place where each arrives; share: (R,) how far that lies towards the second.
    moved: (M,) vertices that the blendshape moves, by direction: (M, 3); between: (M, R + 1) which of the upper rim's places each follows, or the
    outer corner, which comes last.
    """

    blink: int
    upper: Tensor
    way: Tensor
    lower: Tensor
    share: Tensor
    moved: Tensor
    direction: Tensor
    between: Tensor

    def like(self, vertices: Tensor) -> Lid:
        """On the device of vertices, in their dtype."""
        return Lid(self.blink, *(t.to(vertices.device, vertices.dtype if t.is_floating_point() else None) for t in self[1:]))


def lids_of(
    template: Tensor,  # (V, 3) metres, y up
    expression_dirs: Tensor,  # (E, 3V)
    expression_names: Sequence[str],
    rim: np.ndarray,  # (N,) vertices of the lids' rims
) -> tuple[Lid, ...]:
    """The lids of a head that has both blinks; none for others."""
    if not len(rim) or not set(BLINKS) <= set(expression_names):
        return ()
    return tuple(_lid(template, expression_dirs, expression_names.index(name), rim) for name in BLINKS)


def meeting(vertices: Tensor, expression: Tensor, lids: Sequence[Lid]) -> Tensor:
    """(B, V, 3) vertices before pose, with lids that close as this person's eyes do. expression: (B, E) coefficients that moved them."""
    for lid in (lid.like(vertices) for lid in lids if lid.blink < expression.shape[1]):
        blink = expression[:, lid.blink, None]  # (B, 1)
        opened = opening(vertices[..., 1], lid) + blink * lid.way + OVERLAP  # (B, R) what a blink has to go
        shut = torch.cat([(opened / lid.way).clamp(LEAST_WAY, LARGEST_WAY), torch.full_like(blink, OUTER)], 1)  # (B, R + 1)
        more = blink.clamp(max=1) * shut - blink  # than the blendshape did
        vertices = vertices.index_add(1, lid.moved, (more @ lid.between.mT)[..., None] * lid.direction)
    return vertices


def opening(height: Tensor, lid: Lid) -> Tensor:
    """(B, R) metres from the lower to the upper rim. height: (B, V), or how it changes."""
    first, second = height[:, lid.lower[:, 0]], height[:, lid.lower[:, 1]]
    return height[:, lid.upper] - (first + lid.share * (second - first))


def _lid(template: Tensor, expression_dirs: Tensor, blink: int, rim: np.ndarray) -> Lid:
    template, direction = template.cpu(), expression_dirs[blink].reshape(-1, 3).cpu()
    points, ways = template.numpy(), direction.numpy()
    moved = np.flatnonzero(np.linalg.norm(ways, axis=1) > 1e-5)
    side = np.sign(points[moved, 0].mean())
    own = rim[np.sign(points[rim, 0]) == side]
    falls = ways[own, 1] < -LEAST
    upper, lower = (part[np.argsort(points[part, 0])] for part in (own[falls], own[~falls]))
    arrives = points[upper, 0] + ways[upper, 0]
    after = np.clip(np.searchsorted(points[lower, 0], arrives), 1, len(lower) - 1)
    x0, x1 = points[lower[after - 1], 0], points[lower[after], 0]
    share = np.clip((arrives - x0) / np.maximum(x1 - x0, 1e-6), 0, 1)
    corner = side * (side * points[own, 0]).max()
    columns, order = np.r_[points[upper, 0], corner], np.argsort(np.r_[points[upper, 0], corner])
    between = np.stack([np.interp(points[moved, 0], columns[order], row[order]) for row in np.eye(len(columns))], 1)
    return Lid(
        blink=blink,
        upper=torch.from_numpy(upper.astype(np.int64)),
        way=-direction[upper, 1],
        lower=torch.from_numpy(np.stack([lower[after - 1], lower[after]], 1).astype(np.int64)),
        share=torch.from_numpy(share).to(template),
        moved=torch.from_numpy(moved.astype(np.int64)),
        direction=direction[moved],
        between=torch.from_numpy(between).to(template),
    )
