"""The first step of HeadNeRF's fitting: codes of its face model and a camera, from 68 landmarks.

As the official code (Fitting3DMM/FittingNL3DMM.py): Adam on the camera alone, then on camera and codes; the same start, rates, weights and numbers
of iterations. Left out are its photometric terms (texture and light codes, by a rasterizer of pytorch3d): the second step fits these to the photo.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from discontrolface.nets.nl3dmm import NL3DMM

SIZE: Final = 256  # pixels of the picture in which landmarks are compared
FOCAL: Final = 812 / 400  # focal length / size of the picture
BASE_ROTATION: Final = ((0.9988, 0.0097, -0.0486), (0.0105, -0.9998, 0.0149), (-0.0485, -0.0154, -0.9987))  # world to camera
BASE_PLACE: Final = (0.0255, 0.1288, 6.2085)
CAMERA_STEPS, ALL_STEPS = 50, 200
CAMERA_WEIGHT, ALL_WEIGHT = 100.0, 25.0  # of the landmarks' loss
CAMERA_RATE, CODE_RATE = 0.01, 0.005
SMALL_CODES: Final = 2.5e-3  # weight of the codes' mean squares
HEAVY: Final = 20.0  # weight of the landmarks of `heavy` beside 1 of the others


@dataclass(frozen=True)
class LandmarkFit:
    """identity (1,100), expression (1,79), and where the face stands before the camera: angles (1,3) radians, shift (1,3), against the base."""

    identity: Tensor
    expression: Tensor
    angles: Tensor
    shift: Tensor

    @classmethod
    def start(cls, model: NL3DMM) -> LandmarkFit:
        """The mean face before the base camera."""
        identity, expression = (torch.zeros(1, int(model.config[name])) for name in ("identity", "expression"))
        return cls(identity, expression, torch.zeros(1, 3), torch.zeros(1, 3))

    def to_camera(self) -> tuple[Tensor, Tensor]:
        """World to camera: rotation (1,3,3), translation (1,3,1)."""
        base = self.angles.new_tensor(BASE_ROTATION)[None]
        rotation = base @ euler(self.angles).mT
        return rotation, base @ self.shift[..., None] + self.angles.new_tensor(BASE_PLACE)[None, :, None]

    def landmarks(self, model: NL3DMM) -> Tensor:
        """(1,68,2) in pixels of a picture of `SIZE`."""
        rotation, place = self.to_camera()
        seen = model.landmarks(model(self.identity, self.expression) @ rotation.mT + place.mT)
        return SIZE * FOCAL * seen[..., :2] / (seen[..., 2:] + 1e-7) + SIZE / 2

    def camera(self, grid: int) -> tuple[Tensor, Tensor, Tensor]:
        """As HeadNeRF takes it for feature maps of grid x grid pixels: camera to world (1,3,3), place (1,3,1), inverse intrinsics (1,3,3)."""
        rotation, place = self.to_camera()
        inverse = torch.eye(3)
        inverse[0, 0] = inverse[1, 1] = 1 / (FOCAL * grid)
        inverse[0, 2] = inverse[1, 2] = -0.5 / FOCAL
        return rotation.mT, -rotation.mT @ place, inverse[None].to(rotation)


def euler(angles: Tensor) -> Tensor:
    """(B,3) radians about x, y, z -> R_z R_y R_x (B,3,3)."""
    (sx, sy, sz), (cx, cy, cz) = angles.sin().unbind(1), angles.cos().unbind(1)
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def heavy() -> Tensor:
    """(68,) weights, sum 1: the bridge of the nose and the inner lips count more."""
    weights = torch.ones(68)
    weights[28:31] = weights[-8:] = HEAVY
    return weights / weights.sum()


def landmark_loss(a: Tensor, b: Tensor) -> Tensor:
    """The weighted mean squared distance of (68,2) and (68,2), by another 68, as the official loss counts: a number."""
    return ((a - b).square().sum(1) * heavy()).sum() / 68


@torch.enable_grad()
def fit_landmarks(model: NL3DMM, points: Tensor, start: LandmarkFit | None = None) -> LandmarkFit:
    """points: (68,2) iBUG in pixels of a picture of `SIZE`. start: of the same person, whose identity is then held; None: the mean face."""
    begun = LandmarkFit.start(model) if start is None else start
    names = ("identity", "expression", "angles", "shift")
    free = {name: getattr(begun, name).detach().clone().requires_grad_() for name in names if start is None or name != "identity"}
    fit = replace(begun, **free)
    pose, codes = [fit.angles, fit.shift], [free[name] for name in ("identity", "expression") if name in free]

    def run(groups: list[dict[str, object]], steps: int, weight: float) -> None:
        optimizer = torch.optim.Adam(groups)
        free_now = [p for group in optimizer.param_groups for p in group["params"]]
        for _ in range(steps):
            loss = weight * landmark_loss(fit.landmarks(model)[0], points) + SMALL_CODES * sum(code.square().mean() for code in codes)
            for parameter, gradient in zip(free_now, torch.autograd.grad(loss, free_now), strict=True):
                parameter.grad = gradient
            optimizer.step()

    run([{"params": pose, "lr": CAMERA_RATE}], CAMERA_STEPS, CAMERA_WEIGHT)
    run([{"params": pose, "lr": CAMERA_RATE}, {"params": codes, "lr": CODE_RATE}], ALL_STEPS, ALL_WEIGHT)
    return replace(begun, **{name: value.detach() for name, value in free.items()})
