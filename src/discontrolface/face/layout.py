"""The arrays of a face and the rows of its pose (docs/conventions.md)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

GLOBAL, NECK, JAW, EYE_LEFT, EYE_RIGHT = range(5)  # rows of `pose`
EYES: Final = {"Left": EYE_LEFT, "Right": EYE_RIGHT}
ARRAYS: Final = ("shape", "expression", "pose", "camera", "light", "albedo")
