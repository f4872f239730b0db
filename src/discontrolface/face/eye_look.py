"""How gaze and lids go together: the eyeLook blendshapes that belong to a gaze, and the gaze that belongs to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GAZE_YAW: Final = 35.0  # degrees at eyeLookOut = 1 or eyeLookIn = 1
GAZE_PITCH: Final = 25.0  # degrees at eyeLookUp = 1 or eyeLookDown = 1


def gaze_blendshapes(yaw: float, pitch: float, side: str) -> dict[str, float]:
    """The four eyeLook blendshapes of the eye on one side ("Left" or "Right", the subject's) that go with a gaze in degrees.

    yaw > 0 is to the image's right, which is outwards for the subject's left eye. Linear, full at 35 and 25 degrees, not above 1.
    """
    out = yaw / GAZE_YAW if side == "Left" else -yaw / GAZE_YAW
    up = pitch / GAZE_PITCH
    values = {"Out": out, "In": -out, "Up": up, "Down": -up}
    return {f"eyeLook{way}{side}": min(1.0, max(0.0, value)) for way, value in values.items()}


def blendshapes_gaze(blendshapes: Mapping[str, float], side: str) -> tuple[float, float]:
    """The inverse of `gaze_blendshapes`: (yaw, pitch) in degrees of the eye on one side."""
    out = blendshapes.get(f"eyeLookOut{side}", 0.0) - blendshapes.get(f"eyeLookIn{side}", 0.0)
    up = blendshapes.get(f"eyeLookUp{side}", 0.0) - blendshapes.get(f"eyeLookDown{side}", 0.0)
    return (out if side == "Left" else -out) * GAZE_YAW, up * GAZE_PITCH


def apply_gaze(expression: NDArray[np.float32], names: Sequence[str], gazes: Mapping[str, tuple[float, float]]) -> None:
    """Write the eyeLook blendshapes that go with {side: (yaw, pitch)} into expression (E,), where the head has them."""
    for side, (yaw, pitch) in gazes.items():
        for name, value in gaze_blendshapes(yaw, pitch, side).items():
            if name in names:
                expression[list(names).index(name)] = value
