"""Light: random spherical harmonic lights, the key lamp that a light holds (for shadows and highlights), and shading in kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from discontrolface.render.compiled import lean_inlined
from discontrolface.render.shade import SH_CONSTANTS, mean_face_shading, sh_from_direction
from discontrolface.synthetic.anatomy import Array


class Lighting(NamedTuple):
    """A light as kernels read it. coefficients: (9, 3), multiply 1, x, y, z, xy, xz, yz, x^2 - y^2, 3 z^2 - 1 directly. direction: (3,) towards its
    key lamp, view space. colour: (3,) of the lamp, linear strength. ambient: (3,) linear shading that the lamp's shadow keeps."""

    coefficients: Array
    direction: Array
    colour: Array
    ambient: Array


def random_light(rng: np.random.Generator) -> Array:
    """(9, 3): a soft ambient from above, a key lamp in front of the face, sometimes a second one; mean shading of a face about 0.85."""
    turn = rng.normal(0, 0.75)
    rise = rng.normal(0.5, 0.35)
    direction = np.array([np.sin(turn) * np.cos(rise), np.sin(rise), np.cos(turn) * np.cos(rise)])
    warmth = rng.normal(0.02, 0.045)
    warm = np.array([1 + warmth, 1.0, 1 - warmth])
    cool = np.array([1 - warmth * 0.7, 1.0, 1 + warmth * 0.7])
    ambient = rng.uniform(0.25, 0.8)
    light = _lamp(direction, ambient * cool, rng.uniform(0.35, 0.9) * warm)
    light = light + _lamp(np.array([0, 1.0, 0.2]), np.zeros(3), rng.uniform(0.0, 0.25) * cool)
    if rng.random() < 0.4:
        side = np.array([-np.sign(direction[0]) * rng.uniform(0.6, 1.2), rng.uniform(-0.2, 0.7), rng.uniform(-0.6, 0.5)])
        tint = 1 + rng.normal(0, 0.08, 3)
        light = light + _lamp(side, np.zeros(3), rng.uniform(0.1, 0.45) * tint)
    mean = mean_face_shading(torch.from_numpy(light)).mean().item()
    return (light * (rng.uniform(0.74, 0.94) / mean)).astype(np.float32)


def _lamp(direction: np.ndarray, ambient: np.ndarray, strength: np.ndarray) -> np.ndarray:
    return sh_from_direction(torch.from_numpy(direction), torch.from_numpy(ambient), torch.from_numpy(strength)).numpy()


def lighting(light: Array) -> Lighting:
    """Of a light (9, 3), whose key lamp its linear band points at. Shading is taken to the power 2.2: lights are in the pictures' gamma."""
    grey = light.mean(1)
    linear = grey[1:4] * SH_CONSTANTS[1]
    strength = float(np.linalg.norm(linear)) + 1e-6
    direction = linear / strength
    if strength < 0.02:
        direction = np.array([0, 0.5, 0.86])
    # the dark side of the light, in front of the face: what stays where the lamp does not reach
    level = light[0] * SH_CONSTANTS[0]
    low = np.clip(level - 0.55 * strength, 0.25 * np.abs(level), None)
    peak = np.clip(level + strength, 0.05, None)
    return Lighting(
        coefficients=np.ascontiguousarray(light * np.array(SH_CONSTANTS, np.float32)[:, None], np.float32),
        direction=direction.astype(np.float32),
        colour=(peak**2.2 - low**2.2).clip(0.02).astype(np.float32),
        ambient=(low**2.2).astype(np.float32),
    )


@lean_inlined
def gamma(x):  # type: ignore[no-untyped-def]
    """x ** 2.2 within 0.01 on [0, 1.3], as a polynomial (it is evaluated for every channel of every pixel)."""
    return x * x * (0.8 + 0.2 * x)


@lean_inlined
def shading(coefficients, q, x, y, z):  # type: ignore[no-untyped-def]
    """Channel q of the light on a normal (x, y, z), in the pictures' gamma."""
    return (
        coefficients[0, q]
        + coefficients[1, q] * x
        + coefficients[2, q] * y
        + coefficients[3, q] * z
        + coefficients[4, q] * x * y
        + coefficients[5, q] * x * z
        + coefficients[6, q] * y * z
        + coefficients[7, q] * (x * x - y * y)
        + coefficients[8, q] * (3 * z * z - 1)
    )


@lean_inlined
def half_way(direction):  # type: ignore[no-untyped-def]
    """(x, y, z) unit, between the lamp's direction and the viewer's."""
    x, y, z = np.float64(direction[0]), np.float64(direction[1]), direction[2] + 1.0
    r = np.sqrt(x * x + y * y + z * z) + 1e-9
    return x / r, y / r, z / r
