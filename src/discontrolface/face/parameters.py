"""The numbers of one face: what is read from a photo, what a user edits, what goes into a file.

    target = parameters.edit(expression={"smile": 0.8}, yaw=15, gaze=(10, 0), light="left")

Values are absolute and in degrees (docs/conventions.md). What is not named stays.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.face import parameters_json
from discontrolface.face.blendshape_gains import gain
from discontrolface.face.colours import region_colours
from discontrolface.face.controls import CONTROLS
from discontrolface.face.face_state import FaceState
from discontrolface.face.head_controls import HeadControls, difference, head_controls
from discontrolface.face.layout import ARRAYS, EYE_LEFT, EYES, GLOBAL, JAW, NECK, Floats
from discontrolface.face.parameters_json import WITH_GAINS
from discontrolface.face.shape_measures import ShapeMeasures
from discontrolface.geometry.rotations import head_angles, to_axis_angle, to_matrix

if TYPE_CHECKING:
    import torch

    from discontrolface.face.heads.base import HeadModel


@dataclass(frozen=True, eq=False)
class FaceParameters:
    """One face. Arrays are float32, finite, and cannot be written to; make another face with `edit` or `with_`.

    Raises UserError for arrays of a wrong size, values that are not finite, and albedo outside [0, 1].
    """

    shape: Floats  # (S,) standard deviations
    expression: Floats  # (E,) blendshapes, 0 to 1 where they have names
    pose: Floats  # (5, 3) axis-angle in radians: global, neck, jaw, eye_left, eye_right
    camera: Floats  # (3,) scale, tx, ty: ndc = scale * (x + tx, y + ty)
    light: Floats  # (9, 3) spherical harmonics, render/shade.py
    albedo: Floats  # (R, 3) a colour per region of the head model: what the picture shows under a shading of 1 (no gamma), [0, 1]
    head: str = "open"  # the head model's name
    expression_names: tuple[str, ...] = ()  # (E,) or empty for a head without names
    measures: ShapeMeasures | None = field(default=None, repr=False)  # what the head model's shape means; None: shape has numbers only

    def __post_init__(self) -> None:
        sizes: dict[str, tuple[int | None, ...]] = {
            "shape": (None,),
            "expression": (None,),
            "pose": (5, 3),
            "camera": (3,),
            "light": (9, 3),
            "albedo": (None, 3),
        }
        for name, size in sizes.items():
            try:
                value = np.array(getattr(self, name), np.float32)  # a copy
            except (TypeError, ValueError, OverflowError):
                raise UserError(f"face parameters: {name} is not an array of numbers") from None
            if value.ndim != len(size) or any(n is not None and n != m for n, m in zip(size, value.shape, strict=True)):
                shown = "x".join("any" if n is None else str(n) for n in size)
                raise UserError(f"face parameters: {name} must have the size {shown}, not {'x'.join(map(str, value.shape)) or 'a number'}")
            if not np.isfinite(value).all():
                raise UserError(f"face parameters: {name} holds values that are not finite")
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        if self.albedo.size and not (self.albedo.min() >= 0 and self.albedo.max() <= 1):
            raise UserError(f"face parameters: albedo must lie in [0, 1], not in [{self.albedo.min():g}, {self.albedo.max():g}]")
        names = tuple(str(n) for n in self.expression_names)
        if names and (len(names) != len(self.expression) or len(set(names)) != len(names)):
            raise UserError(f"face parameters: {len(self.expression)} coefficients for {len(names)} expression names, or a name twice")
        object.__setattr__(self, "expression_names", names)
        if self.measures is not None and self.measures.rows.shape[1] != len(self.shape):
            raise UserError(f"face parameters: {len(self.shape)} shape coefficients for measurements of {self.measures.rows.shape[1]}")

    def __eq__(self, other: object) -> bool:
        """Equal to the bit. (What the head model says of its shape is no part of a face.)"""
        if not isinstance(other, FaceParameters):
            return NotImplemented
        same = all(np.array_equal(getattr(self, name), getattr(other, name)) for name in ARRAYS)
        return same and (self.head, self.expression_names) == (other.head, other.expression_names)

    @classmethod
    def default(cls, head: HeadModel) -> FaceParameters:
        """The mean face of a head model, looking straight ahead, as large as FFHQ crops show faces, under even white light."""
        from discontrolface.render.shade import light_preset

        return cls(
            shape=np.zeros(head.shape_count, np.float32),
            expression=np.zeros(head.expression_count, np.float32),
            pose=np.zeros((5, 3), np.float32),
            camera=np.array([7.0, 0.0, 0.03], np.float32),
            light=light_preset("even").numpy(),
            albedo=region_colours(head.region_names),
            head=head.name,
            expression_names=head.expression_names,
            measures=head.shape_measures,
        )

    # ---- reading back

    @property
    def head_rotation(self) -> NDArray[np.float64]:
        """(3, 3) orientation of the head in the picture, R_global R_neck."""
        return to_matrix(self.pose[GLOBAL]) @ to_matrix(self.pose[NECK])

    @property
    def yaw(self) -> float:
        """Degrees, positive: the face turns to the image's right."""
        return head_angles(self.head_rotation)[0]

    @property
    def pitch(self) -> float:
        """Degrees, positive: the face looks up."""
        return head_angles(self.head_rotation)[1]

    @property
    def roll(self) -> float:
        """Degrees, positive: the head tilts clockwise in the picture."""
        return head_angles(self.head_rotation)[2]

    @property
    def gaze(self) -> tuple[float, float]:
        """(yaw, pitch) in degrees relative to the head, the mean of both eyes."""
        angles = [head_angles(to_matrix(self.pose[eye])) for eye in EYES.values()]
        return (angles[0][0] + angles[1][0]) / 2, (angles[0][1] + angles[1][1]) / 2

    @property
    def jaw(self) -> float:
        """Degrees that the jaw joint is turned open (its part about x)."""
        return math.degrees(float(self.pose[JAW, 0]))

    def blendshape(self, name: str) -> float:
        """The value of one blendshape, as controls count (`blendshape_gains.py`). UserError on a head without it."""
        if name not in self.expression_names:
            raise UserError(f"head model {self.head!r} has no blendshape {name!r}")
        return float(self.expression[self.expression_names.index(name)]) / gain(self.head, name)

    def expression_dict(self, least: float = 0.0) -> dict[str, float]:
        """{name: value, as controls count} of all blendshapes with |value| >= least (numbers as names on a head without names)."""
        names = self.expression_names or [str(i) for i in range(len(self.expression))]
        values = {name: float(value) / gain(self.head, name) for name, value in zip(names, self.expression, strict=True)}
        return {name: value for name, value in values.items() if abs(value) >= least}

    def shape_measure(self, name: str) -> float:
        """A measurement of the face at rest (face/shape_rows.py), standard deviations from the mean. UserError on a head without it."""
        if self.measures is None:
            raise UserError(f"head model {self.head!r} has no measurement {name!r} of its shape")
        return self.measures.value(name, self.shape)

    def tensors(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> dict[str, torch.Tensor]:
        """{name: tensor} of all arrays with a leading batch dimension of 1; float32 on the CPU unless said otherwise."""
        return batch_tensors([self], device, dtype)

    # ---- editing

    def with_(self, **changes: Any) -> FaceParameters:
        """The same face with other arrays or names, checked."""
        return dataclasses.replace(self, **changes)

    @property
    def controls(self) -> HeadControls:
        """The controls that this face's head model has, those registered included (face/controls.py)."""
        return head_controls(CONTROLS.table, self)

    def edit(
        self,
        *,
        expression: Mapping[str, float] | None = None,  # blendshapes or short names, 0..1.5 (without names: numbers, +-4)
        yaw: float | None = None,  # degrees, +-60
        pitch: float | None = None,  # degrees, +-45
        roll: float | None = None,  # degrees, +-60
        turn: tuple[float, float, float] | None = None,  # degrees added to yaw, pitch, roll instead
        gaze: tuple[float, float] | None = None,  # degrees (yaw, pitch) relative to the head, +-35 and +-25
        jaw: float | None = None,  # degrees of the jaw joint, 0..30 (on the open head jawOpen is the better control)
        light: str | NDArray[np.floating] | None = None,  # a preset (brightness and tint stay) or (9, 3)
        light_rotation: float | None = None,  # degrees about the vertical axis, positive: to the image's right; +-180; after `light`
        shape: Mapping[int | str, float] | None = None,  # {measurement or number: standard deviations}, {"jawWidth": 1.5}, +-4
        neutral: bool = False,  # first set every blendshape and the jaw to 0 (gaze and head stay)
        controls: Mapping[str, Any] | None = None,  # any of these and any other control by name: {"gaze_yaw": 5, "smile": 0.8}
    ) -> FaceParameters:
        """Another face with these values; what is None stays, to the bit.

        yaw, pitch, roll are those of the head in the picture; they change the neck, so that the bust stays (R_neck = R_global^T R_head).
        Gaze and lids stay together: `gaze` turns both eyes and sets the eyeLook blendshapes that go with it, and an eyeLook blendshape in
        `expression` turns its eye (35 degrees sideways and 25 up or down at 1).
        docs/controls.md lists all controls; `controls` takes those of the table that have no keyword here, and those registered by others.
        Raises UserError for an unknown name (the nearest are listed) and for a value out of range.
        """
        keywords = {
            "expression": expression,
            "yaw": yaw,
            "pitch": pitch,
            "roll": roll,
            "turn": turn,
            "gaze": gaze,
            "jaw": jaw,
            "light": light,
            "light_rotation": light_rotation,
            "shape": shape,
            "neutral": neutral or None,
        }
        state = FaceState(self)
        for control, value in self.controls.requests(keywords, controls or {}):
            control.apply(state, value)
        return state.finished()

    def take_from(self, other: FaceParameters, *parts: str) -> FaceParameters:
        """This face with parts of another one, read with the same head model.

        parts: `expression` (all blendshapes and the jaw, but not the gaze), `pose` (yaw, pitch and roll of the head; the bust stays), `gaze`,
        `light` (direction, brightness and tint), `shape`, `albedo`.
        Raises UserError for an unknown part or another head model.
        """
        known = [part.name for part in CONTROLS.table.parts]
        unknown = [part for part in parts if part not in known]
        if unknown:
            raise UserError(f"unknown part {unknown[0]!r} of a face; known are {', '.join(known)}")
        sizes = [(p.head, p.expression_names, *(getattr(p, name).shape for name in ARRAYS)) for p in (self, other)]
        if sizes[0] != sizes[1]:
            raise UserError(
                f"the two faces were read with different head models, {self.head!r} and {other.head!r}; read both with one model"
            )
        changes: dict[str, Any] = {part: getattr(other, part) for part in parts if part in ("light", "shape", "albedo")}
        expression, pose = self.expression.copy(), self.pose.copy()
        if "expression" in parts:
            expression, pose[JAW] = other.expression.copy(), other.pose[JAW]
        if "gaze" in parts:
            pose[EYE_LEFT:] = other.pose[EYE_LEFT:]
        if "pose" in parts:
            pose[NECK] = to_axis_angle(to_matrix(self.pose[GLOBAL]).T @ other.head_rotation)
        eyes = other if "gaze" in parts else self  # whose lids follow the gaze
        if {"expression", "gaze"} & set(parts):
            for i, name in enumerate(self.expression_names):
                if name.startswith("eyeLook"):
                    expression[i] = eyes.expression[i]
        return self.with_(expression=expression, pose=pose, **changes)

    def difference(self, original: FaceParameters) -> dict[str, list[Any]]:
        """What was edited: {what: [value in the original, value here]}, in a user's units (degrees, blendshapes by name), rounded to 4 digits.

        Keys: those of the controls (`expression.jawOpen`, `shape.0`, `yaw`, `pitch`, `roll`, `gaze`, `jaw`, ...), and the names of arrays that no
        control shows and that differ (`camera`, `light`, `albedo`). Empty if nothing does.
        """
        out = difference(CONTROLS.table, original.readable(), self.readable())
        for key in ("camera", "light", "albedo"):
            if not np.array_equal(getattr(original, key), getattr(self, key)):
                out[key] = [np.round(getattr(p, key).astype(float), 4).tolist() for p in (original, self)]
        return out

    def readable(self) -> dict[str, Any]:
        """What a person reads and may change in a file: head angles, gaze and jaw in degrees, blendshapes by name, shape by number. Rounded."""
        return self.controls.readable(self)

    # ---- files

    def to_json(self, confidence: Mapping[str, float] | None = None) -> str:
        """Readable JSON: `readable()`, and under `exact` every array without loss. A person may change the readable part: see `from_json`.

        confidence: how far the reading can be trusted (`Confidence.readable()`), written beside it.
        """
        arrays = {name: getattr(self, name) for name in ARRAYS}
        return parameters_json.write(self.head, self.expression_names, arrays, self.readable(), confidence)

    @classmethod
    def from_json(cls, text: str, base: FaceParameters | None = None, source: str = "the parameter file") -> FaceParameters:
        """Read what `to_json` wrote. Where the readable part was changed by hand, the change is applied as an edit.

        base: the face that a file with only a readable part (such as `{"yaw": 15, "expression": {"smile": 0.8}}`) is applied to.
        Raises UserError for a file that is not of this format, of a newer version, or that holds wrong sizes, names or values.
        """
        document = parameters_json.read(text, [argument.name for argument in CONTROLS.table.recorded], source)
        try:
            face = base if document.exact is None else cls(**document.exact)
            if base is not None and face is not None and (face.head, len(face.shape)) == (base.head, len(base.shape)):
                face = face.with_(measures=base.measures)
            if face is None:
                raise UserError("the part 'exact' is missing, and there is no face that the other values could change")
            if document.exact is not None and document.version < WITH_GAINS:
                _count_as_now(document.readable, face)
            changes = face.controls.changes(document.readable, face, complete=document.exact is not None)
            return face.edit(controls=changes) if changes else face
        except UserError as error:
            raise UserError(f"{source}: {error}") from None


def _count_as_now(readable: dict[str, Any], face: FaceParameters) -> None:
    """Blendshapes of a file from before controls had gains, whose numbers are the head's coefficients, in the controls' units; in place."""
    values = readable.get("expression")
    if not isinstance(values, dict):
        return
    for name, value in values.items():
        if name in face.expression_names and isinstance(value, int | float):
            own = round(float(face.expression[face.expression_names.index(name)]), 4)
            values[name] = round(face.blendshape(name), 4) if value == own else value / gain(face.head, name)


def batch_tensors(
    faces: Sequence[FaceParameters], device: torch.device | str | None = None, dtype: torch.dtype | None = None
) -> dict[str, torch.Tensor]:
    """{name: tensor (B, ...)} of the arrays of B faces of one head model; float32 on the CPU unless said otherwise."""
    import torch

    return {name: torch.tensor(np.stack([getattr(face, name) for face in faces]), device=device, dtype=dtype) for name in ARRAYS}
