"""Ready-made looks: values of controls by name. The values replace the expression that is there; head, gaze, light and shape stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.face.parameters import FaceParameters

LOOKS: Final[Mapping[str, Mapping[str, float]]] = {
    "smile": {"smile": 0.7, "cheeksUp": 0.3},
    "laugh": {"smile": 0.9, "jawOpen": 0.35, "cheeksUp": 0.6, "squint": 0.3},
    "surprise": {"browsUp": 0.9, "wideEyes": 0.6, "jawOpen": 0.45},
    "wink": {"winkLeft": 1.0, "smile": 0.4},
    "eyes closed": {"blink": 1.0},
    "anger": {"browsDown": 0.9, "press": 0.5, "sneer": 0.3},
    "sadness": {"browInnerUp": 0.8, "frown": 0.6},
    "disgust": {"sneer": 0.9, "upperLipUp": 0.4, "browsDown": 0.4},
    "kiss": {"pucker": 0.9},
    "doubt": {"browOuterUpLeft": 0.8, "browDownRight": 0.6, "press": 0.3},
}


def available_looks(face: FaceParameters) -> list[str]:
    """The looks whose every control this face's head model has."""
    names = {control.name for control in face.controls.controls}
    return [name for name, values in LOOKS.items() if set(values) <= names]


def with_look(face: FaceParameters, name: str) -> FaceParameters:
    """The face with a look instead of its expression. UserError for an unknown look, or one that the head model cannot have."""
    known: Iterable[str] = available_looks(face)
    if name not in known:
        raise UserError(f"unknown look {name!r}; known are {', '.join(known) or 'none for this head model'}")
    return face.edit(neutral=True, controls=dict(LOOKS[name]))
