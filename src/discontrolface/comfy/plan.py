"""What the control nodes hand on: changes of a face, one after the other, applied when the face is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from discontrolface.face.control_table import Control, Stage
from discontrolface.face.parameters import FaceParameters

Change = Callable[[FaceParameters], FaceParameters]


@dataclass(frozen=True)
class Plan:
    """Changes in the order of the nodes."""

    changes: tuple[Change, ...] = ()

    def then(self, change: Change) -> Plan:
        """With one more."""
        return Plan((*self.changes, change))

    def apply(self, face: FaceParameters) -> FaceParameters:
        """The face after all of them. UserError for a control that its head model does not have."""
        for change in self.changes:
            face = change(face)
        return face


@dataclass(frozen=True)
class Added:
    """Values that are added to what the face shows, each kept in its control's range; 0 changes nothing. {key of a control: value}."""

    values: Mapping[str, Any]

    def __call__(self, face: FaceParameters) -> FaceParameters:
        given: dict[str, Any] = {}
        for control in face.controls.controls:
            value = self.values.get(control.key)
            if value in (None, 0, 0.0):
                continue
            if control.kind != "number":
                given[control.key] = value
            elif control.stage == Stage.CHANGE:
                given[control.key] = _within(control, float(value))
            elif control.stage == Stage.COMBINATION or control.read is None:
                face = _combined(control, face, float(value))
            else:
                given[control.key] = _within(control, control.read(face) + float(value))
        return face.edit(controls=given) if given else face


def _within(control: Control, value: float) -> float:
    low, high = control.range
    return min(max(value, low), high)


def _combined(control: Control, face: FaceParameters, value: float) -> FaceParameters:
    """A combination's share of each of its blendshapes, added to what that blendshape is: a crooked smile stays crooked."""
    alone = face.edit(neutral=True, controls={control.key: 1.0})
    low, high = control.range
    sums = {name: face.blendshape(name) + value * alone.blendshape(name) for name in control.blendshapes}
    return face.edit(expression={name: min(max(total, low), high) for name, total in sums.items()})
