"""A light from where the user drags it to, and where the light of a face comes from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.render.shade import SH_CONSTANTS, mean_face_shading, sh_basis, sh_from_direction

if TYPE_CHECKING:
    from discontrolface.face.parameters import FaceParameters

AMBIENT: Final = 0.6  # share of the face's mean shading that comes from everywhere, as in the lights by name
DARK: Final = 0.05  # a mean shading below this has no tint to keep
LUMA: Final = (0.2126, 0.7152, 0.0722)
NORMALS: Final = 256  # of the visible half sphere, that a light is looked at with
DIRECTIONS: Final = 512  # that are tried first; then closer ones around the best
CLOSER: Final = (0.12, 0.04, 0.012)  # radii of the rounds, of a unit sphere


class Lamp(NamedTuple):
    """The one distant lamp, beside light from everywhere, that comes nearest to a light.

    direction: x right, y up, z towards the camera, length 1. strength: its share of what brightens the face, 0 (even light) to 1.
    """

    direction: tuple[float, float, float]
    strength: float


def with_lamp(face: FaceParameters, direction: tuple[float, float, float]) -> FaceParameters:
    """The face lit from `direction` (x right, y up, z towards the camera), as bright and of the tint of the light that is there."""
    if len(direction) != 3 or not all(math.isfinite(value) for value in direction) or not any(direction):
        raise UserError(f"the light's direction must be three finite numbers that are not all 0, not {direction!r}")
    mean = mean_face_shading(torch.tensor(face.light))
    mean = torch.where(mean > DARK, mean, torch.ones_like(mean))
    towards = torch.tensor(direction, dtype=torch.float32)
    lamp, even = sh_from_direction(towards, 0.0, 1.0), sh_from_direction(towards, 1.0, 0.0)
    lit = AMBIENT * even + (1 - AMBIENT) * lamp / mean_face_shading(lamp).clamp(min=0.1)
    return face.edit(light=(lit * mean).numpy())


def lamp_of(light: Tensor) -> Lamp:
    """The lamp that a light (9, 3) looks like on the visible side of a head.

    Some harmonics look alike there (x and x z), so coefficients are not compared: ambient + strength * lamp is laid on the shading of the visible
    half of a sphere, every pixel counted once, by least squares for each direction, and the best direction is taken. A light of `with_lamp` is found
    again.
    """
    heights = 1 - (torch.arange(NORMALS) + 0.5) / NORMALS  # pixels of a sphere's picture are even in z^2
    normals = _spiral(heights.sqrt())
    shading = sh_basis(normals) @ light.to(normals) @ normals.new_tensor(LUMA)  # (N,)
    shading = shading / mean_face_shading(light.to(normals)).matmul(normals.new_tensor(LUMA)).clamp(min=DARK)
    best = _nearest(shading, normals, _spiral(1 - 2 * (torch.arange(DIRECTIONS) + 0.5) / DIRECTIONS))
    for radius in CLOSER:
        around = torch.tensor(best.direction) + radius * _spiral(1 - 2 * (torch.arange(64) + 0.5) / 64)
        around = torch.cat([torch.tensor(best.direction)[None], around])
        best = _nearest(shading, normals, torch.nn.functional.normalize(around, dim=-1))
    return best


def _spiral(heights: Tensor) -> Tensor:
    """Directions (N, 3) of these heights z, turned by the golden angle from one to the next."""
    turn = torch.arange(len(heights)) * math.pi * (1 + math.sqrt(5))
    radius = (1 - heights * heights).clamp(min=0).sqrt()
    return torch.stack([radius * turn.cos(), radius * turn.sin(), heights], -1)


def _nearest(shading: Tensor, normals: Tensor, directions: Tensor) -> Lamp:
    """The direction whose lamp explains the shading (N,) of normals (N, 3) best, beside an even light."""
    lamps = sh_from_direction(directions, 0.0, 1.0)[..., :1]  # (D, 9, 1)
    seen = (sh_basis(normals) @ lamps)[..., 0]  # (D, N)
    varying, wanted = seen - seen.mean(-1, keepdim=True), shading - shading.mean()
    amount = ((varying @ wanted) / (varying * varying).sum(-1).clamp(min=1e-9)).clamp(min=0)
    best = int((varying * amount[:, None] - wanted).square().sum(-1).argmin())
    strength = float(amount[best] * mean_face_shading(lamps[best]).clamp(min=0.0))
    x, y, z = directions[best].tolist()
    return Lamp((x, y, z), min(strength, 1.0))


def shown_light(face: FaceParameters) -> dict[str, Any]:
    """What the page's sphere shows, JSON-ready: the lamp, and the light as three rows of nine factors of 1, x, y, z, xy, xz, yz, xx - yy, 3zz - 1."""
    light = torch.tensor(face.light)
    lamp = lamp_of(light)
    factors = (light * light.new_tensor(SH_CONSTANTS)[:, None]).T
    direction = [round(value, 4) for value in lamp.direction]
    return {"direction": direction, "strength": round(lamp.strength, 4), "sphere": [[round(v, 5) for v in row] for row in factors.tolist()]}
