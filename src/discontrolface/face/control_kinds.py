"""Kinds of rows of the table of controls: functions that fill in what rows of one kind have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

from discontrolface.face.control_table import DEGREES, DEVIATIONS, Control, Stage, checked_number
from discontrolface.face.shape_rows import Measure

if TYPE_CHECKING:
    from discontrolface.face.face_state import FaceState
    from discontrolface.face.parameters import FaceParameters

NAMED_RANGE: Final = (0.0, 1.5)  # 1 is the blendshape in full; up to 1.5 exaggerates
UNIT_VARIANCE_RANGE: Final = (-4.0, 4.0)  # coefficients with unit variance, as FLAME's

Angle = Literal["yaw", "pitch", "roll"]


def blendshape(name: str, group: str, label: str, help: str) -> Control:
    """The slider of one blendshape. An eyeLook blendshape turns its eye too."""
    return Control(
        name=name,
        group=group,
        label=label,
        help=help,
        apply=lambda state, value: state.set_blendshape(name, value),
        read=lambda face: face.blendshape(name),
        range=NAMED_RANGE,
        argument="expression",
        blendshapes=(name,),
        excludes=("gaze_yaw", "gaze_pitch") if name.startswith("eyeLook") else (),
    )


def combination(name: str, group: str, label: str, help: str, weights: Mapping[str, float]) -> Control:
    """A slider that sets each of several blendshapes to value * weight; it reads the value that comes nearest to them."""

    def apply(state: FaceState, value: float) -> None:
        for blendshape, weight in weights.items():
            state.set_blendshape(blendshape, value * weight)

    def read(face: FaceParameters) -> float:
        total = sum(weight * face.blendshape(blendshape) for blendshape, weight in weights.items())
        return total / sum(weight * weight for weight in weights.values())

    return Control(
        name=name,
        group=group,
        label=label,
        help=help,
        apply=apply,
        read=read,
        range=NAMED_RANGE,
        argument="expression",
        blendshapes=tuple(weights),
        stage=Stage.COMBINATION,
        recorded=False,
    )


def shape_direction(name: str, label: str, help: str, weights: Mapping[int, float], heads: tuple[str, ...]) -> Control:
    """A slider by a name for a direction of the shape of these heads: sets each of its coefficients to value * weight."""

    def apply(state: FaceState, value: float) -> None:
        for index, weight in weights.items():
            state.set_coefficient("shape", index, value * weight)

    return Control(
        name=name,
        group="shape",
        label=label,
        help=help,
        apply=apply,
        read=lambda face: sum(w * float(face.shape[i]) for i, w in weights.items()) / sum(w * w for w in weights.values()),
        range=UNIT_VARIANCE_RANGE,
        unit=DEVIATIONS,
        argument="shape",
        heads=heads,
        stage=Stage.COMBINATION,
        recorded=False,
    )


def shape_measure(measure: Measure) -> Control:
    """The slider of a measurement of the face at rest: moves it alone, along the shape directions that the head model has for it."""
    name = measure.name
    return Control(
        name=name,
        group="shape",
        label=measure.label,
        help=measure.help,
        apply=lambda state, value: state.set_shape_measure(name, value),
        read=lambda face: face.shape_measure(name),
        range=UNIT_VARIANCE_RANGE,
        unit=DEVIATIONS,
        argument="shape",
        measures=(name,),
        stage=Stage.COMBINATION,
        recorded=False,
    )


def head_angle(axis: Angle, limit: float, label: str, help: str) -> Control:
    """An angle of the head in the picture. The neck turns, the bust stays."""
    return Control(
        name=axis,
        group="head",
        label=label,
        help=help,
        apply=lambda state, value: state.set_head(axis, value),
        read=lambda face: float(getattr(face, axis)),
        range=(-limit, limit),
        unit=DEGREES,
    )


def head_turn(axis: Angle, angle: Control, label: str) -> Control:
    """A change of an angle of the head, which has to stay in the angle's range."""

    def apply(state: FaceState, value: float) -> None:
        sum_ = state.head_angle(axis) + value
        state.set_head(axis, checked_number(f"{axis} after the turn", sum_, *angle.range, f" {DEGREES}"))

    return Control(
        name=f"turn_{axis}",
        group="head",
        label=label,
        help=f"Adds to the {axis} that is there.",
        apply=apply,
        range=(-360.0, 360.0),
        unit=DEGREES,
        argument="turn",
        stage=Stage.CHANGE,
        excludes=(axis,),
    )


def gaze_angle(axis: Literal["yaw", "pitch"], limit: float, label: str, help: str) -> Control:
    """An angle of both eyes in the head. The lids follow."""
    return Control(
        name=f"gaze_{axis}",
        group="gaze",
        label=label,
        help=help,
        apply=lambda state, value: state.set_gaze(axis, value),
        read=lambda face: face.gaze[0 if axis == "yaw" else 1],
        range=(-limit, limit),
        unit=DEGREES,
        argument="gaze",
    )
