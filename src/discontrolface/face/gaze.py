"""Where the eyes look, from the irises: the ray from the eyeball's centre through the centre of the iris."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discontrolface.face.eye_look import GAZE_PITCH, GAZE_YAW
from discontrolface.face.landmark_sets import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS

Array = NDArray[np.float64]

IRIS_DEPTH = 0.9  # distance of the iris from the centre of the eyeball, in its radii


@dataclass(frozen=True)
class EyeView:
    """What is known of the eyes in view space, in the unit of the model: eyeball centres (2, 3) (left, right), radius, the head's rotation."""

    centres: Array
    radius: float
    rotation: Array


def read_gaze(view: EyeView, iris: Array, openness: tuple[float, float]) -> tuple[float, float]:
    """(yaw, pitch) in degrees relative to the head, of both eyes together, within +-35 and +-25.

    iris: (2, 2) centres of the left and the right iris in the same plane as `view.centres`.
    openness: how far each eye is open, [0, 1]: its weight. (0, 0) if both are closed.
    """
    weights = np.clip((np.asarray(openness) - 0.45) / 0.25, 0, 1)  # a lid over the iris: its place is a guess
    if view.radius <= 0 or not weights.sum() > 0:
        return 0.0, 0.0
    reach = view.radius * IRIS_DEPTH
    offset = (iris - view.centres[:, :2]) / reach  # (2, 2)
    length = np.linalg.norm(offset, axis=1, keepdims=True)
    offset = offset * np.minimum(1.0, 0.95 / np.maximum(length, 1e-9))
    forward = np.sqrt(1 - (offset**2).sum(1, keepdims=True))
    x, y, z = (weights / weights.sum()) @ (np.concatenate([offset, forward], 1) @ view.rotation)  # R^T d, averaged
    sure = float(weights.max())  # towards straight ahead as both close
    yaw, pitch = sure * math.degrees(math.atan2(x, z)), sure * math.degrees(math.atan2(y, math.hypot(x, z)))
    return min(max(yaw, -GAZE_YAW), GAZE_YAW), min(max(pitch, -GAZE_PITCH), GAZE_PITCH)


def eye_shift(residual: Array) -> Array:
    """(2, 2) how far the fitted eyes lie from where the eye corners were seen; residual (468, 2) = seen - fitted, any unit."""
    return np.stack([residual[list(corners)].mean(0) for corners in (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS)])
