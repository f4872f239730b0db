"""Face parameters of portraits, and edits of them as users make them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discontrolface.face.blendshape_gains import gains
from discontrolface.face.eye_look import GAZE_PITCH, GAZE_YAW
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.rotations import head_rotation, to_axis_angle
from discontrolface.synthetic.anatomy import Array, anatomy, posed
from discontrolface.synthetic.light import random_light

_MOUTHS: tuple[tuple[float, dict[str, tuple[float, float]]], ...] = (  # (weight, {action or alias: range})
    (3.0, {}),
    (3.0, {"smile": (0.2, 0.9)}),
    (2.5, {"smile": (0.4, 1.0), "jawOpen": (0.05, 0.3), "upperLipUp": (0.1, 0.5)}),
    (1.5, {"jawOpen": (0.1, 0.9)}),
    (1.0, {"jawOpen": (0.2, 0.7), "funnel": (0.1, 0.7)}),
    (0.8, {"pucker": (0.3, 1.0)}),
    (0.8, {"frown": (0.3, 1.0)}),
    (0.5, {"stretch": (0.2, 0.8), "jawOpen": (0.0, 0.3)}),
    (0.5, {"press": (0.2, 0.8)}),
    (0.5, {"mouthLeft": (0.2, 0.8)}),
    (0.5, {"mouthRight": (0.2, 0.8)}),
    (0.4, {"mouthSmileLeft": (0.3, 1.0)}),
    (0.4, {"mouthSmileRight": (0.3, 1.0)}),
    (0.3, {"puff": (0.3, 0.9)}),
    (0.4, {"sneer": (0.3, 1.0), "upperLipUp": (0.1, 0.5)}),
    (0.3, {"lowerLipDown": (0.2, 0.8), "jawOpen": (0.0, 0.2)}),
    (0.3, {"mouthRollLower": (0.2, 0.8), "mouthRollUpper": (0.2, 0.8)}),
)
_UPPERS: tuple[tuple[float, dict[str, tuple[float, float]]], ...] = (
    (4.0, {}),
    (1.5, {"browsUp": (0.2, 1.0)}),
    (1.2, {"browsDown": (0.2, 1.0)}),
    (0.5, {"browInnerUp": (0.3, 1.0)}),
    (0.4, {"browOuterUpLeft": (0.3, 1.0)}),
    (0.4, {"browOuterUpRight": (0.3, 1.0)}),
)
_EYES: tuple[tuple[float, dict[str, tuple[float, float]]], ...] = (
    (5.0, {}),
    (1.5, {"blink": (0.85, 1.0)}),
    (1.0, {"blink": (0.1, 0.6)}),
    (1.0, {"squint": (0.2, 0.9), "cheeksUp": (0.0, 0.7)}),
    (0.7, {"wideEyes": (0.2, 0.9)}),
    (0.4, {"winkLeft": (0.8, 1.0)}),
    (0.4, {"winkRight": (0.8, 1.0)}),
)


def _draw_actions(table: Sequence[tuple[float, dict[str, tuple[float, float]]]], rng: np.random.Generator) -> dict[str, float]:
    weights = np.array([weight for weight, _ in table])
    _, actions = table[rng.choice(len(table), p=weights / weights.sum())]
    return {name: float(rng.uniform(low, high)) for name, (low, high) in actions.items()}


def _with_actions(face: FaceParameters, actions: dict[str, float]) -> FaceParameters:
    """The face with these actions, which are in the head's coefficients and not as controls count: drawn faces stay what they were."""
    edited = face.edit(expression=actions)
    own = edited.expression / gains(face.head, face.expression_names)
    return edited.with_(expression=np.where(edited.expression == face.expression, face.expression, own))


def photographed(base: FaceParameters, rng: np.random.Generator) -> FaceParameters:
    """A person as a photographer might find them: mostly facing the camera, an expression, FFHQ's framing.

    base: identity, light, and a camera whose shift is taken from FFHQ's centre.
    """
    yaw = float(np.clip(rng.normal(0, 14), -45, 45))
    pitch, roll = float(np.clip(rng.normal(0, 6), -20, 20)), float(np.clip(rng.normal(0, 4), -12, 12))
    gaze = (float(np.clip(rng.normal(-0.35 * yaw, 7), -25, 25)), float(np.clip(rng.normal(-0.35 * pitch, 4), -15, 12)))
    actions = {**_draw_actions(_MOUTHS, rng), **_draw_actions(_UPPERS, rng)}
    if rng.random() < 0.6:
        actions.update({k: v for k, v in _draw_actions(_EYES, rng).items() if rng.random() < 0.5 or not k.startswith(("blink", "wink"))})
    pose = np.zeros((5, 3), np.float32)
    bust = head_rotation(0.4 * yaw + float(rng.normal(0, 8)), float(rng.normal(0, 2)), 0.3 * roll + float(rng.normal(0, 1.5)))
    pose[0] = to_axis_angle(bust)
    faces = _with_actions(base.with_(pose=pose), actions).edit(yaw=yaw, pitch=pitch, roll=roll, gaze=gaze)
    return faces.with_(camera=_framed(faces))


def _framed(parameters: FaceParameters) -> Array:
    """(3,) a camera as FFHQ's alignment places it: centred a tenth of the eyes-to-mouth distance below the eyes, plus the scene's shift."""
    vertices, _, joints, _ = posed(parameters.shape, parameters.expression, parameters.pose)
    eyes = joints[3:5].mean(0)
    mouth = vertices[anatomy().lips > 0.5].mean(0)
    centre = eyes + 0.1 * (mouth - eyes)
    scale, dx, dy = parameters.camera
    return np.array([scale, dx - centre[0], dy - centre[1]], np.float32)


def edit_parameters(parameters: FaceParameters, rng: np.random.Generator) -> FaceParameters:
    """The same face after one to three edits as a user makes them (expression, head, gaze, light). The bust and the camera stay.

    An edit that shows little (a smile where there was one, the gaze of closed eyes) is drawn again, a few times.
    """
    result = parameters
    for _ in range(5):
        result = _edited(parameters, rng)
        if visible_change(parameters, result) > 0.35:
            break
    return result


def visible_change(before: FaceParameters, after: FaceParameters) -> float:
    """About how much an edit shows: 1 is one action in full, or 15 degrees of the head, or the key lamp on the other side."""
    names = before.expression_names
    looks = np.array([name.startswith("eyeLook") for name in names])
    actions = np.abs(after.expression - before.expression)[~looks].sum()
    turn = max(abs(after.yaw - before.yaw), abs(after.pitch - before.pitch), abs(after.roll - before.roll)) / 15
    lids = max(after.expression[names.index("eyeBlinkLeft")], before.expression[names.index("eyeBlinkLeft")])
    gaze = float(np.hypot(*np.subtract(after.gaze, before.gaze))) / 25 * float(lids < 0.5)
    return float(actions + turn + gaze + np.abs(after.light - before.light).mean() * 3)


def _edited(parameters: FaceParameters, rng: np.random.Generator) -> FaceParameters:
    kinds = ["mouth", "brows", "eyes", "head", "gaze", "light", "neutral"]
    weights = np.array([3.0, 1.0, 1.5, 3.0, 1.0, 1.2, 0.5])
    count = int(rng.choice([1, 2, 3], p=[0.4, 0.35, 0.25]))
    chosen = rng.choice(kinds, count, replace=False, p=weights / weights.sum())
    result = parameters
    for kind in sorted(map(str, chosen), key=["neutral", *kinds[:-1]].index):
        if kind in ("mouth", "brows", "eyes"):
            table = {"mouth": _MOUTHS, "brows": _UPPERS, "eyes": _EYES}[kind]
            start = {
                "mouth": ("mouth", "jaw", "cheekPuff", "nose"),
                "brows": ("brow",),
                "eyes": ("eyeBlink", "eyeSquint", "eyeWide", "cheekSquint"),
            }[kind]
            cleared = {name: 0.0 for name in parameters.expression_names if name.startswith(start)}
            result = _with_actions(result.edit(expression=cleared), _draw_actions(table, rng))
        elif kind == "head":
            turn = rng.uniform(-1, 1, 3) * np.array([32, 16, 16])
            axis = int(rng.integers(4))
            if axis < 3:
                turn = turn * (np.arange(3) == axis)
            now = np.array([result.yaw, result.pitch, result.roll])
            yaw, pitch, roll = np.clip(now + turn, [-50, -28, -28], [50, 28, 28]).tolist()
            result = result.edit(yaw=yaw, pitch=pitch, roll=roll)
        elif kind == "gaze":
            result = result.edit(gaze=(float(rng.uniform(-0.8, 0.8) * GAZE_YAW), float(rng.uniform(-0.7, 0.6) * GAZE_PITCH)))
        elif kind == "light":
            result = (
                result.with_(light=random_light(rng)) if rng.random() < 0.6 else result.edit(light_rotation=float(rng.uniform(-90, 90)))
            )
        elif kind == "neutral":
            result = result.edit(neutral=True)
    return result
