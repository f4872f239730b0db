"""Lights by name: where their lamps stand. `shade.light_preset` makes spherical harmonics of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LightPreset:
    """Lamps of equal strength in the directions (towards the lamp, view space), and the share of a face's mean shading that is ambient."""

    directions: tuple[tuple[float, float, float], ...]
    ambient: float


LIGHT_PRESETS: dict[str, LightPreset] = {  # left and right are the picture's
    "even": LightPreset(((0.0, 0.0, 1.0),), ambient=1.0),
    "front": LightPreset(((0.0, 0.15, 1.0),), ambient=0.4),
    "left": LightPreset(((-1.0, 0.2, 0.45),), ambient=0.68),
    "right": LightPreset(((1.0, 0.2, 0.45),), ambient=0.68),
    "top": LightPreset(((0.0, 1.0, 0.45),), ambient=0.68),
    "bottom": LightPreset(((0.0, -1.0, 0.45),), ambient=0.68),
    "top-left": LightPreset(((-0.7, 0.7, 0.5),), ambient=0.68),
    "top-right": LightPreset(((0.7, 0.7, 0.5),), ambient=0.68),
    "rim": LightPreset(((-1.0, 0.3, -0.35), (1.0, 0.3, -0.35)), ambient=0.7),
}
