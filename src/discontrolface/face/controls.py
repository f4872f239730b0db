"""The table of controls: a row a slider. Options, keywords of `edit`, files, differences, readings and docs/controls.md are made from it.

A slider of one's own is one row more, for the whole process:

    CONTROLS.register(combination("grimace", "mouth", "Grimace", "Bares the teeth.", {"mouthStretchLeft": 1, "mouthStretchRight": 1}))

and then `edit(expression={"grimace": 0.5})`, `--expression grimace=0.5` and so on. Left and right in names of blendshapes are the person's own.
"""

from __future__ import annotations

import threading
from typing import Final

from discontrolface.face.blendshape_rows import BLENDSHAPE_ROWS
from discontrolface.face.control_kinds import (
    NAMED_RANGE,
    UNIT_VARIANCE_RANGE,
    blendshape,
    combination,
    gaze_angle,
    head_angle,
    head_turn,
    shape_measure,
)
from discontrolface.face.control_table import DEGREES, DEVIATIONS, Argument, Coefficients, Control, ControlTable, Part, Stage
from discontrolface.face.eye_look import GAZE_PITCH, GAZE_YAW
from discontrolface.face.shape_rows import MEASURES
from discontrolface.render.light_presets import LIGHT_PRESETS

GROUPS: Final = (
    "head",
    "gaze",
    "expression",
    "mouth",
    "jaw",
    "eyes",
    "left eye",
    "right eye",
    "brows",
    "cheeks",
    "nose",
    "light",
    "shape",
)

ARGUMENTS: Final = (
    Argument("turn", "vector", "Turn by these degrees instead.", "YAW,PITCH,ROLL"),
    Argument("gaze", "vector", f"Gaze relative to the head. +-{GAZE_YAW:g} and +-{GAZE_PITCH:g} degrees.", "YAW,PITCH"),
    Argument(
        "expression",
        "mapping",
        f"Blendshapes or short names, {NAMED_RANGE[0]:g} to {NAMED_RANGE[1]:g}: jawOpen=0.6,smile=0.8.",
        "NAME=VALUE,...",
        0.05,
        "neutral",
    ),
    Argument(
        "shape",
        "mapping",
        "Measurements of the face, or shape coefficients by number, standard deviations from the mean: jawWidth=1.5,3=-1.",
        "NAME=VALUE,...",
        1.0,
        "average",
    ),
)

PARTS: Final = (
    Part("expression", "Take the expression of another photo."),
    Part("pose", "Take the head's pose of another photo."),
    Part("gaze"),
    Part("light", "Take the light of another photo."),
    Part("shape", "Take the shape of the face of another photo."),
    Part("albedo"),
)


# ---- the rows

YAW: Final = head_angle("yaw", 60, "Turn the head", "Where the face turns; positive: to the image's right.")
PITCH: Final = head_angle("pitch", 45, "Raise or lower the head", "Positive: looks up.")
ROLL: Final = head_angle("roll", 60, "Tilt the head", "Positive: tilts clockwise.")

HEAD_ROWS: Final = (
    YAW,
    PITCH,
    ROLL,
    head_turn("yaw", YAW, "Turn further"),
    head_turn("pitch", PITCH, "Raise further"),
    head_turn("roll", ROLL, "Tilt further"),
    gaze_angle("yaw", GAZE_YAW, "Look sideways", "Both eyes, relative to the head; positive: to the image's right."),
    gaze_angle("pitch", GAZE_PITCH, "Look up or down", "Both eyes, relative to the head; positive: up."),
    Control(
        name="jaw",
        group="jaw",
        label="Jaw joint",
        help="How far the jaw joint is open (where a head has jawOpen, that is the better control).",
        apply=lambda state, value: state.set_jaw(value),
        read=lambda face: face.jaw,
        range=(0.0, 30.0),
        unit=DEGREES,
    ),
)


def _both(name: str) -> dict[str, float]:
    return {f"{name}Left": 1.0, f"{name}Right": 1.0}


COMBINATION_ROWS: Final = (
    combination("smile", "mouth", "Smile", "Both corners of the mouth go up.", _both("mouthSmile")),
    combination("frown", "mouth", "Frown", "Both corners of the mouth go down.", _both("mouthFrown")),
    combination("openMouth", "mouth", "Open the mouth", "The same by a short name.", {"jawOpen": 1.0}),
    combination("pucker", "mouth", "Pucker", "The same by a short name.", {"mouthPucker": 1.0}),
    combination("funnel", "mouth", "Funnel", "The same by a short name.", {"mouthFunnel": 1.0}),
    combination("stretch", "mouth", "Stretch", "The mouth is drawn wide.", _both("mouthStretch")),
    combination("dimple", "mouth", "Dimples", "Both corners of the mouth are drawn in.", _both("mouthDimple")),
    combination("press", "mouth", "Press the lips", "The lips are pressed together.", _both("mouthPress")),
    combination("upperLipUp", "mouth", "Upper lip up", "The upper lip bares the teeth.", _both("mouthUpperUp")),
    combination("lowerLipDown", "mouth", "Lower lip down", "The lower lip bares the teeth.", _both("mouthLowerDown")),
    combination("blink", "eyes", "Close the eyes", "Both eyes; 1 is closed.", _both("eyeBlink")),
    combination("winkLeft", "left eye", "Wink, left eye", "The same by a short name.", {"eyeBlinkLeft": 1.0}),
    combination("winkRight", "right eye", "Wink, right eye", "The same by a short name.", {"eyeBlinkRight": 1.0}),
    combination("squint", "eyes", "Squint", "The lower lids of both eyes go up.", _both("eyeSquint")),
    combination("wideEyes", "eyes", "Wide eyes", "The upper lids of both eyes go up.", _both("eyeWide")),
    combination("browsUp", "brows", "Brows up", "Both brows, over their whole length.", {"browInnerUp": 1.0, **_both("browOuterUp")}),
    combination("browsDown", "brows", "Brows down", "Both brows go down and together.", _both("browDown")),
    combination("cheeksUp", "cheeks", "Cheeks up", "Both cheeks go up towards the eyes.", _both("cheekSquint")),
    combination("sneer", "nose", "Wrinkle the nose", "Both sides of the nose go up.", _both("noseSneer")),
    combination("puff", "cheeks", "Puff the cheeks", "The same by a short name.", {"cheekPuff": 1.0}),
)

COEFFICIENT_ROWS: Final = (
    Coefficients(
        argument="expression",
        group="expression",
        label="Expression {name}",
        help="A direction of the head model's expression space, without a name.",
        range=UNIT_VARIANCE_RANGE,
        unit=DEVIATIONS,
        pattern=r"(flame)?\d+",  # numbers, or what FLAME's own are called beside named blendshapes
        heads="without names, as FLAME's; beside named blendshapes they are called `flame00`, `flame01`, ...",
    ),
    Coefficients(
        argument="expression",
        group="expression",
        label="{name}",
        help="A blendshape that is not in this list.",
        range=NAMED_RANGE,
        heads="with other names",
        example="`NAME`",
    ),
    Coefficients(
        argument="shape",
        group="shape",
        label="Shape {name}",
        help="A direction of the head model's shape space, the one with the largest variance first.",
        range=UNIT_VARIANCE_RANGE,
        unit=DEVIATIONS,
    ),
)

LIGHT_ROWS: Final = (
    Control(
        name="light",
        group="light",
        label="Light",
        help="A light by name; brightness and tint stay.",
        apply=lambda state, value: state.set_light(value),
        kind="choice",
        choices=tuple(LIGHT_PRESETS),
    ),
    Control(
        name="light_rotation",
        group="light",
        label="Turn the light",
        help="Turn the light about the vertical axis; positive: to the image's right.",
        apply=lambda state, value: state.rotate_light(value),
        range=(-180.0, 180.0),
        unit=DEGREES,
        stage=Stage.CHANGE,
    ),
)

NEUTRAL: Final = Control(
    name="neutral",
    group="expression",
    label="Relax the face",
    help="First relax every expression.",
    apply=lambda state, value: state.relax() if value else None,
    kind="switch",
    stage=Stage.RESET,
)

BUILT_IN: Final = ControlTable(
    GROUPS,
    ARGUMENTS,
    (
        *HEAD_ROWS,
        *COMBINATION_ROWS,
        *(blendshape(*row) for row in BLENDSHAPE_ROWS),
        *map(shape_measure, MEASURES),
        *COEFFICIENT_ROWS,
        *LIGHT_ROWS,
        NEUTRAL,
    ),
    PARTS,
)


# ---- the table of this process


class ControlRegistry:
    """The table in use. Reading takes no lock: a table never changes; a writer puts another one in its place, and who reads keeps the one he took."""

    def __init__(self, table: ControlTable) -> None:
        self._table = table
        self._lock = threading.Lock()

    @property
    def table(self) -> ControlTable:
        """The table as it is now."""
        return self._table

    def register(self, *controls: Control) -> None:
        """Add sliders. UserError for a name that is taken, or a group or argument that is not there."""
        with self._lock:
            self._table = self._table.with_controls(*controls)

    def remove(self, *keys: str) -> None:
        """Take sliders away again."""
        with self._lock:
            self._table = self._table.without(*keys)


CONTROLS: Final = ControlRegistry(BUILT_IN)
