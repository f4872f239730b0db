"""The first step of HeadNeRF's fitting: codes of its face model, light and a camera, from 68 landmarks and the photo.

As the official code (Fitting3DMM/FittingNL3DMM.py, Utils/FittingNL3DMM_LossUtils.py): Adam on the camera alone, then on everything; the same start,
terms, rates, weights and numbers of iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from discontrolface.baselines.headnerf_picture import drawn, shaded
from discontrolface.nets.headnerf import LIGHT, NEUTRAL_LIGHT
from discontrolface.nets.nl3dmm import NL3DMM

SIZE: Final = 256  # pixels of the picture in which landmarks and colours are compared
FOCAL: Final = 812 / 400  # focal length / size of the picture
BASE_ROTATION: Final = ((0.9988, 0.0097, -0.0486), (0.0105, -0.9998, 0.0149), (-0.0485, -0.0154, -0.9987))  # world to camera
BASE_PLACE: Final = (0.0255, 0.1288, 6.2085)
CAMERA_STEPS, ALL_STEPS = 50, 200
CAMERA_RATE, CODE_RATE = 0.01, 0.005
CAMERA_WEIGHT, ALL_WEIGHT = 100.0, 25.0  # of the landmarks' loss
IMAGE_WEIGHT, LIGHT_WEIGHT, CODE_WEIGHT, SKIN_WEIGHT = 10.0, 0.01, 2.5e-3, 0.1
HEAVY: Final = 20.0  # weight of the landmarks of `heavy` beside 1 of the others
WHITE: Final = 255.0  # the face model's colours


@dataclass(frozen=True)
class FaceFit:
    """identity (1,100), expression (1,79), texture (1,100), light (1,27), and where the face stands before the camera: angles (1,3) radians,
    shift (1,3), against the base."""

    identity: Tensor
    expression: Tensor
    texture: Tensor
    light: Tensor
    angles: Tensor
    shift: Tensor

    @classmethod
    def start(cls, model: NL3DMM) -> FaceFit:
        """The mean face in even light before the base camera."""
        codes = {name: torch.zeros(1, int(model.config[name])) for name in ("identity", "expression", "texture")}
        light = torch.zeros(1, LIGHT)
        light[:, :3] = NEUTRAL_LIGHT
        return cls(**codes, light=light, angles=torch.zeros(1, 3), shift=torch.zeros(1, 3))

    def to_camera(self) -> tuple[Tensor, Tensor]:
        """World to camera: rotation (1,3,3), translation (1,3,1)."""
        base = self.angles.new_tensor(BASE_ROTATION)[None]
        rotation = base @ euler(self.angles).mT
        return rotation, base @ self.shift[..., None] + self.angles.new_tensor(BASE_PLACE)[None, :, None]

    def seen(self, vertices: Tensor) -> Tensor:
        """Vertices (1,V,3) of the face model -> in the camera's space: x right, y down, z away."""
        rotation, place = self.to_camera()
        return vertices @ rotation.mT + place.mT

    def landmarks(self, model: NL3DMM) -> Tensor:
        """(1,68,2) in pixels of a picture of `SIZE`."""
        candidates = model.candidates(self.identity, self.expression, model.landmark_rows())
        return projected(model.landmarks(self.seen(candidates)))

    def camera(self, grid: int) -> tuple[Tensor, Tensor, Tensor]:
        """As HeadNeRF takes it for feature maps of grid x grid pixels: camera to world (1,3,3), place (1,3,1), inverse intrinsics (1,3,3)."""
        rotation, place = self.to_camera()
        inverse = torch.eye(3)
        inverse[0, 0] = inverse[1, 1] = 1 / (FOCAL * grid)
        inverse[0, 2] = inverse[1, 2] = -0.5 / FOCAL
        return rotation.mT, -rotation.mT @ place, inverse[None].to(rotation)


def projected(seen: Tensor) -> Tensor:
    """Points (...,3) in a camera's space -> (...,2) in pixels of a picture of `SIZE`."""
    return SIZE * FOCAL * seen[..., :2] / (seen[..., 2:] + 1e-7) + SIZE / 2


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


def skin_loss(colours: Tensor, skin: Tensor) -> Tensor:
    """How uneven the colours (1,V,3), 0 to 255, are where skin (V,) is 1: a number."""
    of_skin = skin[:, None] / skin.sum()
    values = colours / WHITE
    return ((values - (values * of_skin).sum(1, keepdim=True)).square() * of_skin).sum()


def face_loss(
    fit: FaceFit,
    model: NL3DMM,
    points: Tensor,  # (68,2)
    photo: Tensor,  # (SIZE,SIZE,3) in [0, 1]
    weight: float,  # of the landmarks
    vertices: Tensor,  # (1,V,3) of the fit's codes
    albedo: Tensor,  # (1,V,3)
) -> Tensor:
    """The official loss of a fit: colours, landmarks, light of one colour, small codes, even skin."""
    seen = fit.seen(vertices)
    colours = shaded(albedo, model.normals(seen), fit.light)
    picture, shown = drawn(projected(seen)[0], seen[0, :, 2], colours[0], model.triangles, SIZE)
    of_image = ((picture / WHITE).clamp(0, 1) - photo[shown]).square().sum() / max(picture.numel(), 1)
    of_landmarks = landmark_loss(projected(model.landmarks(seen[:, model.landmark_vertices]))[0], points)
    gamma = fit.light.unflatten(1, (-1, 3))
    of_light = (gamma - gamma.mean(2, keepdim=True)).square().mean()
    of_codes = fit.identity.square().mean() + fit.expression.square().mean() + fit.texture.square().mean()
    terms = (IMAGE_WEIGHT * of_image, weight * of_landmarks, LIGHT_WEIGHT * of_light, CODE_WEIGHT * of_codes)
    return sum(terms, SKIN_WEIGHT * skin_loss(colours, model.skin))


@torch.enable_grad()
def fit_face(model: NL3DMM, points: Tensor, photo: Tensor, steps: tuple[int, int] = (CAMERA_STEPS, ALL_STEPS)) -> FaceFit:
    """The face of a photo. points: (68,2) iBUG in pixels of a picture of `SIZE`; photo: (1,3,SIZE,SIZE) in [0, 1]. steps: of the camera, of all."""
    begun, pixels = FaceFit.start(model), photo[0].permute(1, 2, 0)
    free = {name: value.clone().requires_grad_() for name, value in vars(begun).items()}
    fit = FaceFit(**free)
    pose, codes = [fit.angles, fit.shift], [fit.identity, fit.texture, fit.expression, fit.light]
    with torch.no_grad():
        mean = model(fit.identity, fit.expression), model.albedo(fit.texture)
    _minimize([(pose, CAMERA_RATE)], steps[0], lambda: face_loss(fit, model, points, pixels, CAMERA_WEIGHT, *mean))

    def loss() -> Tensor:
        return face_loss(fit, model, points, pixels, ALL_WEIGHT, model(fit.identity, fit.expression), model.albedo(fit.texture))

    _minimize([(pose, CAMERA_RATE), (codes, CODE_RATE)], steps[1], loss)
    return FaceFit(**{name: value.detach() for name, value in free.items()})


@torch.enable_grad()
def fit_landmarks(model: NL3DMM, points: Tensor, start: FaceFit) -> FaceFit:
    """The same person in another pose with another expression, from landmarks alone; identity, texture and light are held."""
    free = {name: getattr(start, name).clone().requires_grad_() for name in ("expression", "angles", "shift")}
    fit = replace(start, **free)
    pose, rows = [fit.angles, fit.shift], model.landmark_rows()

    def loss(weight: float) -> Tensor:
        seen = model.landmarks(fit.seen(model.candidates(fit.identity, fit.expression, rows)))
        return weight * landmark_loss(projected(seen)[0], points) + CODE_WEIGHT * fit.expression.square().mean()

    _minimize([(pose, CAMERA_RATE)], CAMERA_STEPS, lambda: loss(CAMERA_WEIGHT))
    _minimize([(pose, CAMERA_RATE), ([fit.expression], CODE_RATE)], ALL_STEPS, lambda: loss(ALL_WEIGHT))
    return replace(start, **{name: value.detach() for name, value in free.items()})


def _minimize(groups: list[tuple[list[Tensor], float]], steps: int, loss: Callable[[], Tensor]) -> None:
    """Adam, each group at its rate."""
    optimizer = torch.optim.Adam([{"params": parameters, "lr": rate} for parameters, rate in groups])
    free = [parameter for parameters, _ in groups for parameter in parameters]
    for _ in range(steps):
        for parameter, gradient in zip(free, torch.autograd.grad(loss(), free), strict=True):
            parameter.grad = gradient
        optimizer.step()
