"""Edits as a user would make them, drawn at random: for one-shot fine-tuning and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from discontrolface.face.parameters import FaceParameters

# Controls and how far they go at most; a random edit mixes one to three of them.
EXPRESSIONS: Final[Mapping[str, tuple[float, float]]] = {
    "smile": (0.2, 1.0),
    "jawOpen": (0.1, 0.7),
    "blink": (0.3, 1.0),
    "pucker": (0.3, 0.9),
    "browsUp": (0.3, 1.0),
    "browsDown": (0.3, 1.0),
    "frown": (0.3, 0.9),
    "mouthLeft": (0.2, 0.7),
    "mouthRight": (0.2, 0.7),
    "eyeSquintLeft": (0.2, 0.9),
    "eyeSquintRight": (0.2, 0.9),
    "cheekPuff": (0.3, 1.0),
    "upperLipUp": (0.2, 0.8),
    "lowerLipDown": (0.2, 0.8),
}


def random_edit(parameters: FaceParameters, generator: np.random.Generator, light: bool = True) -> FaceParameters:
    """Another look of the same face: head turned by up to 25 degrees, expressions, gaze, and in one of four cases another light."""
    yaw, pitch, roll = generator.uniform(-25, 25), generator.uniform(-14, 14), generator.uniform(-10, 10)
    turned = generator.random() < 0.7
    names = generator.choice(list(EXPRESSIONS), size=int(generator.integers(0, 4)), replace=False)
    expression = {str(n): float(generator.uniform(*EXPRESSIONS[str(n)])) for n in names}
    gaze = (float(generator.uniform(-20, 20)), float(generator.uniform(-10, 10))) if generator.random() < 0.3 else None
    preset = str(generator.choice(["left", "right", "top", "front"])) if light and generator.random() < 0.25 else None
    return parameters.edit(
        neutral=bool(generator.random() < 0.25),
        expression=expression,
        yaw=yaw if turned else None,
        pitch=pitch if turned else None,
        roll=roll if turned and generator.random() < 0.4 else None,
        gaze=gaze,
        light=preset,
    )
