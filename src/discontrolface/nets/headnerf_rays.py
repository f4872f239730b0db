"""HeadNeRF's cameras and rays.

World: the head's middle at the origin, x to the image's right, y up, z towards the viewer. Cameras look along their own z, with y down, as the
official code has them (Utils/RenderUtils.py, NetWorks/utils.py); a ray is sampled between two planes z = const.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.geometry.rotations import head_rotation

DISTANCE = 12.0  # of the camera from the origin
NEAR, FAR = 2.5, -3.5  # z of the planes between which rays are sampled
FOCAL, CENTRE = 0.007790804840624332, (-0.12553827464580536, -0.12832458317279816)  # of the inverse intrinsics, of 32x32 pixels


@dataclass(frozen=True)
class Camera:
    """Where B pictures are seen from."""

    rotation: Tensor  # (B,3,3) camera to world
    position: Tensor  # (B,3,1) in the world
    inverse_intrinsics: Tensor  # (B,3,3): pixels of the feature map to directions

    @classmethod
    def turned(cls, yaw: Sequence[float], pitch: Sequence[float], roll: Sequence[float], grid: int) -> Camera:
        """The official camera before heads turned by these angles (degrees, as everywhere here): the camera goes round, light and background stay.

        grid: pixels of the feature map along a side.
        """
        if not len(yaw) == len(pitch) == len(roll):
            raise UserError(f"yaw, pitch and roll are for {len(yaw)}, {len(pitch)} and {len(roll)} pictures; give as many of each")
        turns = np.stack([head_rotation(*angles).T for angles in zip(yaw, pitch, roll, strict=True)])
        turn = torch.from_numpy(turns).float()  # (B,3,3)
        return cls(
            turn @ torch.diag(torch.tensor([1.0, -1.0, -1.0])),
            turn @ torch.tensor([[0.0], [0.0], [DISTANCE]]),
            inverse_intrinsics(grid).expand(len(turn), 3, 3),
        )

    def to(self, device: torch.device) -> Camera:
        """On another device."""
        return Camera(self.rotation.to(device), self.position.to(device), self.inverse_intrinsics.to(device))


def inverse_intrinsics(grid: int) -> Tensor:
    """(1,3,3) of the official camera, for feature maps of grid x grid pixels."""
    matrix = torch.eye(3)
    matrix[0, 0] = matrix[1, 1] = FOCAL / (grid / 32)
    matrix[0, 2], matrix[1, 2] = CENTRE
    return matrix[None]


def pixel_grid(grid: int) -> Tensor:
    """(1,2,G*G): x and y of every pixel of the feature map, row by row."""
    y, x = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    return torch.stack([x.flatten(), y.flatten()])[None].float()


@dataclass(frozen=True)
class Rays:
    """R rays of each of B pictures. direction: scaled so that z goes down by 1."""

    origin: Tensor  # (B,3,R)
    direction: Tensor  # (B,3,R)
    length: Tensor  # (B,1,R): of `direction`

    @classmethod
    def through(cls, pixels: Tensor, rotation: Tensor, position: Tensor, inverse: Tensor) -> Rays:
        """Through pixels (B,2,R) of cameras. The order of operations is the official one, for high frequencies of the points count."""
        ones = torch.ones_like(pixels[:, :1])
        direction = rotation.bmm(inverse.bmm(torch.cat([pixels, ones], 1)))
        direction = direction / direction.norm(dim=1, keepdim=True)
        length = -1.0 / direction[:, -1:]
        return cls(position.expand(-1, 3, pixels.shape[2]), direction * length, length)

    def samples(self, picture: int, rays: slice, count: int) -> tuple[Tensor, Tensor]:
        """Points (R,S,3) and the lengths that they stand for (R,S), S = count, of some rays of one picture."""
        origin = self.origin[picture, :, rays].T  # (R,3)
        t = torch.linspace(0.0, 1.0, count + 1, device=origin.device, dtype=origin.dtype)
        depth = (origin[:, 2:] - NEAR) * (1.0 - t) + (origin[:, 2:] - FAR) * t  # (R,S+1)
        lengths = (depth[:, 1:] - depth[:, :-1]) * self.length[picture, 0, rays, None]
        points = origin[:, None] + self.direction[picture, :, rays].T[:, None] * depth[:, :-1, None]
        return points, lengths
