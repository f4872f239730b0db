"""A light from where the user drags it to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from discontrolface.common.errors import UserError
from discontrolface.render.shade import mean_face_shading, sh_from_direction

if TYPE_CHECKING:
    from discontrolface.face.parameters import FaceParameters

AMBIENT: Final = 0.6  # share of the face's mean shading that comes from everywhere, as in the lights by name
DARK: Final = 0.05  # a mean shading below this has no tint to keep


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
