"""Light: random spherical harmonic lights, and the key lamp that a light holds (for shadows and highlights)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from discontrolface.render.shade import SH_CONSTANTS, mean_face_shading, sh_from_direction
from discontrolface.synthetic.anatomy import Array


@dataclass(frozen=True)
class Key:
    """direction: (3,) towards the lamp, view space. colour: (3,) linear strength. ambient: (3,) linear shading that its shadow keeps."""

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


def key_of(light: Array) -> Key:
    """The lamp that the linear band of a light (9, 3) points at. Shading is taken to the power 2.2: lights are in the pictures' gamma."""
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
    return Key(direction.astype(np.float32), (peak**2.2 - low**2.2).clip(0.02).astype(np.float32), (low**2.2).astype(np.float32))
