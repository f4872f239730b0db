"""Normals, light and cameras, in PyTorch: batched, differentiable, any device and dtype.

Light is a second-order spherical harmonic function of the normal, in DECA's basis (`add_SHlight` in DECA's renderer). Its constants hold
the convolution with the clamped cosine for bands 1 and 2, but not for band 0, so coefficients are what DECA predicts, not radiance:

    shading(n) = sum_k light[k] * Y_k(n),    Y = c * (1, x, y, z, xy, xz, yz, x^2 - y^2, 3 z^2 - 1)
"""

from __future__ import annotations

import difflib
import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from discontrolface.common.errors import UserError
from discontrolface.render.light_presets import LIGHT_PRESETS

_BAND_0 = 1 / math.sqrt(4 * math.pi)
_BAND_1 = (2 * math.pi / 3) * math.sqrt(3 / (4 * math.pi))
_BAND_2 = (math.pi / 4) * 3 * math.sqrt(5 / (12 * math.pi))
_BAND_2_ZZ = (math.pi / 4) * 0.5 * math.sqrt(5 / (4 * math.pi))
SH_CONSTANTS = (_BAND_0, _BAND_1, _BAND_1, _BAND_1, _BAND_2, _BAND_2, _BAND_2, _BAND_2 / 2, _BAND_2_ZZ)


# --- Cameras and pixels (docs/conventions.md) ---


# --- Spherical harmonics ---


def sh_basis(normals: Tensor) -> Tensor:
    """The nine basis functions of unit normals (..., 3): (..., 9)."""
    x, y, z = normals.unbind(-1)
    functions = (torch.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1)
    bands = torch.stack([constant * function for constant, function in zip(SH_CONSTANTS, functions, strict=True)])
    return bands.movedim(0, -1)  # (..., 9), in memory band by band, which is fastest


def sh_shading(normals: Tensor, light: Tensor) -> Tensor:
    """Shading (B, ..., 3) of unit normals (B, ..., 3) under light (B, 9, 3) (DECA's `add_SHlight`). Not clipped: it can be negative."""
    bands = sh_basis(normals).flatten(1, -2).mT  # (B, 9, N)
    return (light.mT @ bands).mT.reshape(*normals.shape[:-1], light.shape[-1])  # (B, ..., 3)


def add_sh_light(albedo: Tensor, normals: Tensor, light: Tensor) -> Tensor:
    """Colour (B, ..., 3) = albedo (B, ..., 3) * shading, not clipped. normals (B, ..., 3), light (B, 9, 3)."""
    return albedo * sh_shading(normals, light)


def point_light_shading(points: Tensor, normals: Tensor, lights: Tensor) -> Tensor:
    """Mean over lights (B, L, 6) = (position, rgb) of cos * rgb at points and normals (B, N, 3): (B, N, 3). As DECA's `add_pointlight`:
    the cosine is not clamped."""
    to_light = normalize(lights[:, :, None, :3] - points[:, None], dim=-1)  # (B, L, N, 3)
    cosine = (normals[:, None] * to_light).sum(-1, keepdim=True)
    return (cosine * lights[:, :, None, 3:]).mean(1)  # (B, N, 3)


def direction_light_shading(normals: Tensor, lights: Tensor) -> Tensor:
    """Mean over lights (B, L, 6) = (direction towards the light, rgb) of max(cos, 0) * rgb at normals (B, N, 3): (B, N, 3).
    As DECA's `add_directionlight`."""
    direction = normalize(lights[:, :, None, :3], dim=-1)  # (B, L, 1, 3)
    cosine = (normals[:, None] * direction).sum(-1, keepdim=True).clamp(0, 1)
    return (cosine * lights[:, :, None, 3:]).mean(1)  # (B, N, 3)


def sh_from_direction(direction: Tensor, ambient: float | Tensor, strength: float | Tensor) -> Tensor:
    """Light (..., 9, 3) of an even ambient and a distant lamp: shading(n) ~ ambient + strength * max(n . d, 0).

    direction: (..., 3), towards the lamp, any length but 0. ambient, strength: numbers, or (..., 3) for colours.
    The clamped cosine is replaced by its projection on the first three bands (Ramamoorthi and Hanrahan, 2001), with c = n . d:

        max(c, 0) ~ 1/4 + c/2 + 5/32 (3 c^2 - 1)
    """
    direction = normalize(direction, dim=-1)
    x, y, z = direction.unbind(-1)
    second = [6 * x * y, 6 * x * z, 6 * y * z, 1.5 * (x * x - y * y), 0.5 * (3 * z * z - 1)]  # 3 c^2 - 1 in the basis without constants
    lamp = torch.stack([torch.full_like(x, 1 / 4), x / 2, y / 2, z / 2, *(5 / 32 * band for band in second)], dim=-1)
    lamp = lamp / direction.new_tensor(SH_CONSTANTS)  # (..., 9)
    even = torch.zeros_like(lamp)
    even[..., 0] = 1 / _BAND_0
    ambient, strength = (torch.as_tensor(value, dtype=direction.dtype, device=direction.device) for value in (ambient, strength))
    ambient, strength = (value.expand(*direction.shape[:-1], 3)[..., None, :] for value in (ambient, strength))  # (..., 1, 3)
    return even[..., None] * ambient + lamp[..., None] * strength  # (..., 9, 3)


def rotate_sh(light: Tensor, rotation: Tensor) -> Tensor:
    """Turn a light (..., 9, C) with a rotation (..., 3, 3), so that rotated(R n) = light(n). Exact: each band turns into itself.

    The rotated function is evaluated on 32 directions spread over the sphere and fitted by least squares, which has no remainder.
    """
    count = 32
    index = torch.arange(count, dtype=torch.float64) + 0.5
    height, turn = 1 - 2 * index / count, index * math.pi * (1 + math.sqrt(5))
    radius = (1 - height**2).sqrt()
    samples = torch.stack([radius * turn.cos(), radius * turn.sin(), height], dim=-1)  # (32, 3), a Fibonacci sphere
    fit = torch.linalg.pinv(sh_basis(samples)).to(light)  # (9, 32)
    return fit @ (sh_basis(samples.to(rotation) @ rotation).to(light) @ light)  # row s @ R is R^T s: (..., 9, C)


def mean_face_shading(light: Tensor) -> Tensor:
    """How bright a light (..., 9, C) makes a face on average: (..., C).

    The face is taken as the visible half of a sphere, every pixel counted once, so normals have the density z / pi over the half sphere:
    the mean of z is 2/3, that of 3 z^2 - 1 is 1/2, those of the other bands vanish.
    """
    return light[..., 0, :] * _BAND_0 + light[..., 3, :] * (_BAND_1 * 2 / 3) + light[..., 8, :] * (_BAND_2_ZZ / 2)


# --- Named lights ---


def light_preset(name: str, mean: float | Tensor = 1.0) -> Tensor:
    """A named light as (9, 3), scaled so that `mean_face_shading` is `mean`: a number, or (3,) to keep the brightness and tint of another
    light (`light_preset("left", mean_face_shading(light))`). Device and dtype are those of `mean` (float32 on the CPU for a number).

    Raises UserError for an unknown name.
    """
    if name not in LIGHT_PRESETS:
        near = difflib.get_close_matches(name, LIGHT_PRESETS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"unknown light preset {name!r}: {hint}Known are {', '.join(LIGHT_PRESETS)}.")
    preset = LIGHT_PRESETS[name]
    level = torch.as_tensor(mean)
    if not level.is_floating_point():
        level = level.float()
    directions = level.new_tensor(preset.directions)
    lamps = sh_from_direction(directions, 0.0, 1.0).mean(0)  # (9, 3)
    even = sh_from_direction(directions[0], 1.0, 0.0)
    light = preset.ambient * even + (1 - preset.ambient) * lamps / mean_face_shading(lamps)
    return light * level
