"""Names of expressions: short names for several actions at once, which range a value has, and how gaze and lids go together."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError

# A short name sets each of its actions to value * weight.
EXPRESSION_ALIASES: Final[Mapping[str, Mapping[str, float]]] = {
    "smile": {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0},
    "frown": {"mouthFrownLeft": 1.0, "mouthFrownRight": 1.0},
    "openMouth": {"jawOpen": 1.0},
    "pucker": {"mouthPucker": 1.0},
    "funnel": {"mouthFunnel": 1.0},
    "stretch": {"mouthStretchLeft": 1.0, "mouthStretchRight": 1.0},
    "dimple": {"mouthDimpleLeft": 1.0, "mouthDimpleRight": 1.0},
    "press": {"mouthPressLeft": 1.0, "mouthPressRight": 1.0},
    "upperLipUp": {"mouthUpperUpLeft": 1.0, "mouthUpperUpRight": 1.0},
    "lowerLipDown": {"mouthLowerDownLeft": 1.0, "mouthLowerDownRight": 1.0},
    "blink": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "winkLeft": {"eyeBlinkLeft": 1.0},
    "winkRight": {"eyeBlinkRight": 1.0},
    "squint": {"eyeSquintLeft": 1.0, "eyeSquintRight": 1.0},
    "wideEyes": {"eyeWideLeft": 1.0, "eyeWideRight": 1.0},
    "browsUp": {"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0},
    "browsDown": {"browDownLeft": 1.0, "browDownRight": 1.0},
    "cheeksUp": {"cheekSquintLeft": 1.0, "cheekSquintRight": 1.0},
    "sneer": {"noseSneerLeft": 1.0, "noseSneerRight": 1.0},
    "puff": {"cheekPuff": 1.0},
}

NAMED_RANGE: Final = (0.0, 1.5)  # 1 is the action in full; up to 1.5 exaggerates
UNNAMED_RANGE: Final = (-4.0, 4.0)  # coefficients with unit variance, as FLAME's

GAZE_YAW: Final = 35.0  # degrees at eyeLookOut = 1 or eyeLookIn = 1
GAZE_PITCH: Final = 25.0  # degrees at eyeLookUp = 1 or eyeLookDown = 1


def gaze_actions(yaw: float, pitch: float, side: str) -> dict[str, float]:
    """The four eyeLook actions of the eye on one side ("Left" or "Right", the subject's) that go with a gaze in degrees.

    yaw > 0 is to the image's right, which is outwards for the subject's left eye. Linear, full at 35 and 25 degrees, not above 1.
    """
    out = yaw / GAZE_YAW if side == "Left" else -yaw / GAZE_YAW
    up = pitch / GAZE_PITCH
    values = {"Out": out, "In": -out, "Up": up, "Down": -up}
    return {f"eyeLook{way}{side}": min(1.0, max(0.0, value)) for way, value in values.items()}


def actions_gaze(actions: Mapping[str, float], side: str) -> tuple[float, float]:
    """The inverse of `gaze_actions`: (yaw, pitch) in degrees of the eye on one side."""
    out = actions.get(f"eyeLookOut{side}", 0.0) - actions.get(f"eyeLookIn{side}", 0.0)
    up = actions.get(f"eyeLookUp{side}", 0.0) - actions.get(f"eyeLookDown{side}", 0.0)
    return (out if side == "Left" else -out) * GAZE_YAW, up * GAZE_PITCH


def checked(what: str, value: object, low: float, high: float, unit: str = "") -> float:
    """`value` as a float in [low, high]; UserError that names what, the value and the range."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{what} must be a number from {low:g} to {high:g}{unit}, not {value!r}") from None
    if not low <= number <= high:
        raise UserError(f"{what} = {number:g}{unit} is out of range; give a value from {low:g} to {high:g}{unit}")
    return number


def expression_index(name: object, names: Sequence[str], count: int) -> int:
    """Where an action stands among the coefficients: by its name, or by its number on a head without names.

    Raises UserError that lists the nearest names.
    """
    if not names:
        return coefficient_index("expression", name, count)
    if name in names:
        return list(names).index(str(name))
    known = [*names, *EXPRESSION_ALIASES]
    lower = {k.lower(): k for k in known}
    near = [lower[n] for n in difflib.get_close_matches(str(name).lower(), lower, n=3, cutoff=0.5)]
    parts = [k for k in known if str(name).lower() in k.lower() and k not in near] if str(name) else []
    hint = f"did you mean {', '.join([*near, *parts][:4])}?" if near or parts else f"known are {', '.join(known)}"
    raise UserError(f"unknown expression {str(name)!r}; {hint}")


def coefficient_index(what: str, key: object, count: int) -> int:
    """A coefficient by its number, 0 to count - 1, given as an int or as text."""
    text = str(key)
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) < count):
        known = f"numbers from 0 to {count - 1}" if count else "none"
        raise UserError(f"unknown {what} coefficient {text!r}; this head model has {known}")
    return int(text)


def expand_expression(values: Mapping[str, float], names: Sequence[str], count: int) -> dict[int, float]:
    """What a user asks for, as {coefficient: value}. Short names first, then actions, so that an action overrides its share of a short name.

    Raises UserError for unknown names and for values out of range.
    """
    low, high = NAMED_RANGE if names else UNNAMED_RANGE
    out: dict[int, float] = {}
    for name, value in values.items():
        if names and name in EXPRESSION_ALIASES:
            amount = checked(f"expression {name}", value, low, high)
            for action, weight in EXPRESSION_ALIASES[name].items():
                out[expression_index(action, names, count)] = amount * weight
    for name, value in values.items():
        if not (names and name in EXPRESSION_ALIASES):
            out[expression_index(name, names, count)] = checked(f"expression {name}", value, low, high)
    return out


def apply_gaze(expression: NDArray[np.float32], names: Sequence[str], gazes: Mapping[str, tuple[float, float]]) -> None:
    """Write the eyeLook actions that go with {side: (yaw, pitch)} into expression (E,), where the head has them."""
    for side, (yaw, pitch) in gazes.items():
        for name, value in gaze_actions(yaw, pitch, side).items():
            if name in names:
                expression[list(names).index(name)] = value
