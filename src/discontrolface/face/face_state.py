"""A face while it is being edited: copies of its arrays that controls write to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.face.blendshape_gains import gain
from discontrolface.face.eye_look import apply_gaze, blendshapes_gaze
from discontrolface.face.layout import EYES, GLOBAL, JAW, NECK
from discontrolface.geometry.rotations import head_angles, head_rotation, to_axis_angle, to_matrix

if TYPE_CHECKING:
    from discontrolface.face.parameters import FaceParameters


class FaceState:
    """What the controls of one edit write to; `finished` is the edited face. One thread's own.

    Angles of head and gaze are turned into joints at the end, from all that were given together: so what is not touched stays to the bit.
    """

    def __init__(self, face: FaceParameters) -> None:
        self._face = face
        self._head: dict[str, float] = {}  # yaw, pitch, roll as they will be; empty: not touched
        self._gaze: dict[str, float] = {}
        self.expression_names = face.expression_names
        self.shape = face.shape.copy()
        self.expression = face.expression.copy()
        self.pose = face.pose.copy()
        self.light = face.light

    def finished(self) -> FaceParameters:
        """The face with all that was written."""
        if self._gaze:
            yaw, pitch = self._gaze["yaw"], self._gaze["pitch"]
            self.pose[list(EYES.values())] = to_axis_angle(head_rotation(yaw, pitch))
            apply_gaze(self.expression, self.expression_names, dict.fromkeys(EYES, (yaw, pitch)))
        if self._head:
            head = head_rotation(self._head["yaw"], self._head["pitch"], self._head["roll"])
            self.pose[NECK] = to_axis_angle(to_matrix(self.pose[GLOBAL]).T @ head).astype(np.float32)
        return self._face.with_(shape=self.shape, expression=self.expression, pose=self.pose, light=self.light)

    # ---- blendshapes and coefficients

    def relax(self) -> None:
        """Every blendshape but those of the gaze, and the jaw, at 0."""
        for index, name in enumerate(self.expression_names or self.expression):
            if not str(name).startswith("eyeLook"):
                self.expression[index] = 0
        self.pose[JAW] = 0

    def set_blendshape(self, name: str, value: float) -> None:
        """One blendshape, as controls count (`blendshape_gains.py`). An eyeLook one turns its eye, 35 degrees sideways and 25 up or down at 1."""
        if name not in self.expression_names:
            raise UserError(f"head model {self._face.head!r} has no blendshape {name!r}")
        self.expression[self.expression_names.index(name)] = value * gain(self._face.head, name)
        for side, row in EYES.items():
            if name.startswith("eyeLook") and name.endswith(side):
                yaw, pitch = blendshapes_gaze(dict(zip(self.expression_names, self.expression.tolist(), strict=True)), side)
                self.pose[row] = to_axis_angle(head_rotation(yaw, pitch))

    def set_coefficient(self, array: Literal["expression", "shape"], index: int, value: float) -> None:
        """One coefficient by its number."""
        (self.expression if array == "expression" else self.shape)[index] = value

    def set_shape_measure(self, name: str, value: float) -> None:
        """A measurement of the face at rest, in standard deviations; the other measurements stay."""
        if self._face.measures is None:
            raise UserError(f"head model {self._face.head!r} has no measurement {name!r} of its shape")
        self.shape = self._face.measures.moved(name, self.shape, value)

    # ---- joints, degrees

    def set_jaw(self, angle: float) -> None:
        """The jaw joint, open by this angle."""
        self.pose[JAW] = (math.radians(angle), 0, 0)

    def head_angle(self, axis: Literal["yaw", "pitch", "roll"]) -> float:
        """An angle of the head in the picture, as it stands now."""
        return (self._head or self._angles())[axis]

    def set_head(self, axis: Literal["yaw", "pitch", "roll"], angle: float) -> None:
        """An angle of the head in the picture; the neck turns, the bust stays: R_neck = R_global^T R_head."""
        self._head = {**(self._head or self._angles()), axis: angle}

    def set_gaze(self, axis: Literal["yaw", "pitch"], angle: float) -> None:
        """An angle of both eyes relative to the head; the lids follow."""
        self._gaze = {**(self._gaze or dict(zip(("yaw", "pitch"), self._face.gaze, strict=True))), axis: angle}

    def _angles(self) -> dict[str, float]:
        return dict(zip(("yaw", "pitch", "roll"), head_angles(self._face.head_rotation), strict=True))

    # ---- light. PyTorch is loaded here only: most edits need none, and it takes a second.

    def set_light(self, light: str | NDArray[np.floating]) -> None:
        """A light by name, as bright and of the tint of the one that is there; or coefficients (9, 3)."""
        if not isinstance(light, str):
            self.light = self._face.with_(light=light).light
            return
        import torch

        from discontrolface.render.shade import light_preset, mean_face_shading

        mean = mean_face_shading(torch.tensor(self.light))
        self.light = light_preset(light, torch.where(mean > 0.05, mean, torch.ones_like(mean))).numpy()

    def rotate_light(self, angle: float) -> None:
        """Turn the light about the vertical axis, positive: to the image's right."""
        import torch

        from discontrolface.render.shade import rotate_sh

        rotation = torch.from_numpy(head_rotation(angle, 0).astype(np.float32))
        self.light = rotate_sh(torch.tensor(self.light), rotation).numpy()
