"""Creases: lines that expressions and age draw into the skin, which the mesh is too coarse to fold."""

from __future__ import annotations

import numpy as np

from discontrolface.render.compiled import lean
from discontrolface.synthetic.anatomy import Array, anatomy


def crease_strengths(expression: Array, age: float) -> Array:
    """(5,) how deep these are, 0..1: nasolabial folds left and right, forehead lines, frown lines, crow's feet."""
    value = dict(zip(anatomy().head.expression_names, expression.tolist(), strict=True))
    up = (value["browInnerUp"] + value["browOuterUpLeft"] + value["browOuterUpRight"]) / 3
    down = (value["browDownLeft"] + value["browDownRight"]) / 2
    feet = (value["mouthSmileLeft"] + value["mouthSmileRight"]) / 4 + (
        value["eyeSquintLeft"] + value["eyeSquintRight"] + value["cheekSquintLeft"]
    ) / 3
    folds = [0.1 + 0.35 * age + 0.6 * value[f"mouthSmile{side}"] + 0.5 * value[f"noseSneer{side}"] for side in ("Left", "Right")]
    strengths = [
        *folds,
        0.25 * age * age + (0.3 + 0.7 * age) * up,
        0.2 * age * age + 0.8 * down,
        0.25 * age * age + (0.2 + 0.6 * age) * feet,
    ]
    return np.clip(np.array(strengths, np.float32), 0, 1)


@lean
def crease_at(strengths, x, y, wobble):  # type: ignore[no-untyped-def]
    """How dark the creases make the skin at a place of the template: 0 (none) to about 0.35. wobble: noise in [-1, 1] that bends the lines."""
    side = abs(x)
    total = 0.0
    fold = strengths[0] if x > 0 else strengths[1]
    if fold > 0.02 and -0.085 < y < -0.035 and 0.008 < side < 0.045:
        along = (-0.043 - y) / 0.037  # from the nose's wing to beside the mouth
        if -0.15 < along < 1.1:
            middle = 0.017 + 0.017 * along - 0.004 * along * (1 - along) * 4 * 0.5
            off = (side - middle) / (0.0016 if side < middle else 0.0009)
            total += fold * 0.30 * np.exp(-0.5 * off * off) * min(1.0, max(0.0, 1.1 - along)) * min(1.0, max(0.0, (along + 0.15) * 5))
    if strengths[2] > 0.02 and 0.03 < y < 0.075 and side < 0.05:
        height = (y + 0.0016 * wobble + 0.12 * x * x * 10) / 0.0105
        off = (height - np.floor(height) - 0.5) / 0.085
        total += strengths[2] * 0.16 * np.exp(-0.5 * off * off) * min(1.0, max(0.0, (0.05 - side) / 0.02)) * min(1.0, (y - 0.03) / 0.008)
    if strengths[3] > 0.02 and 0.004 < y < 0.034 and side < 0.012:
        off = (side - 0.0055 + 0.0006 * wobble) / 0.0009
        total += (
            strengths[3]
            * 0.25
            * np.exp(-0.5 * off * off)
            * min(1.0, max(0.0, (y - 0.004) / 0.006))
            * min(1.0, max(0.0, (0.034 - y) / 0.01))
        )
    if strengths[4] > 0.02 and 0.046 < side < 0.062 and -0.016 < y < 0.012:
        height = ((y + 0.002) / (side - 0.036) + 0.08 * wobble) * 3.2
        off = (height - np.floor(height) - 0.5) / 0.12
        total += strengths[4] * 0.16 * np.exp(-0.5 * off * off) * min(1.0, (side - 0.046) / 0.004) * max(0.0, (0.062 - side) / 0.016)
    return total
