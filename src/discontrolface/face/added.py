"""Values that are added to what a face shows, for a face that moves, and for sliders that stand at 0 whatever the photo shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from discontrolface.face.control_table import Control, Stage
from discontrolface.face.face_state import FaceState
from discontrolface.face.parameters import FaceParameters


def with_added(face: FaceParameters, *values: Mapping[str, Any]) -> FaceParameters:
    """The face with each number added to what it shows, kept in its control's range. 0 changes nothing, to the bit.

    values: as `FaceParameters.edit` takes them, by keyword or by a control's key. A choice (a light by name) is set, a switch acts first; of a
    combination each blendshape gets its share, so that a crooked smile stays crooked. UserError as of `edit`, the range taken for the amount:
    an amount may be negative as far as the range is wide.
    """
    for control, amount in requested(face, values):
        if control.kind != "number":
            state = FaceState(face)
            control.apply(state, amount)
            face = state.finished()
        elif control.stage == Stage.CHANGE:
            face = face.edit(controls={control.key: _within(control, amount)})
        elif control.read is None or (control.stage == Stage.COMBINATION and control.blendshapes):
            face = _combined(control, face, amount)
        else:
            face = face.edit(controls={control.key: _within(control, control.read(face) + amount)})
    return face


def requested(face: FaceParameters, values: tuple[Mapping[str, Any], ...]) -> list[tuple[Control, Any]]:
    """(control, amount) of what is asked for and not 0, in the order of the table's stages."""
    return [(control, amount) for control, amount in face.controls.requests(*values, amounts=True) if amount not in (0, False)]


def _within(control: Control, value: float) -> float:
    low, high = control.range
    return min(max(value, low), high)


def _combined(control: Control, face: FaceParameters, amount: float) -> FaceParameters:
    """A combination's share of each of its blendshapes, added to what that blendshape is."""
    alone = face.edit(neutral=True, controls={control.key: 1.0})
    sums = {name: _within(control, face.blendshape(name) + amount * alone.blendshape(name)) for name in control.blendshapes}
    return face.edit(expression=sums)
