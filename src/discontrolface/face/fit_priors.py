"""What the fit holds to be likely before it sees a face: how far to trust each landmark, and each action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from discontrolface.face import landmark_sets
from discontrolface.face.blendshape_gains import GAINS

Array = NDArray[np.float64]

NOISE: Final = 1.0 / 128  # ndc: what a landmark of weight 1 is off, one pixel of 256
DEPTH_NOISE: Final = 8.0 / 128  # what its depth is off, when there is one
INDEPENDENT: Final = 0.08  # share of the landmarks that count as independent; neighbours err together

# Actions that landmarks do not show well, or that other actions explain: not fitted.
NOT_FITTED: Final = (
    "tongueOut",
    "mouthClose",
    "cheekPuff",
)  # mouthClose undoes jawOpen, up to the outline of the chin; puffed cheeks pucker
RARE: Final = ("jawForward", "jawLeft", "jawRight", "mouthLeft", "mouthRight", "mouthRollLower", "mouthRollUpper",
               "mouthShrugLower", "mouthShrugUpper", "mouthFunnel", "noseSneer", "mouthDimple", "mouthPress", "cheekSquint")  # fmt: skip
MILD: Final = ("mouthLowerDown", "mouthUpperUp", "eyeSquint", "eyeWide")  # jawOpen, smile and blink come first
AGAINST: Final = (("eyeBlink", "eyeWide"), ("eyeSquint", "eyeWide"), ("browDown", "browOuterUp"), ("mouthSmile", "mouthFrown"))
TOGETHER: Final = (
    0.65  # of sqrt(p_i p_j), what two such actions cost at once, on one side; no action has more than two: below 0.7 it stays convex
)
ALONE: Final = ("eyeBlink",)  # left and right act on their own: winks
ANTAGONISTS: Final = ("jaw", "mouth")  # jawLeft is not the left half of jawRight


@dataclass(frozen=True)
class Priors:
    """Precision (n, n) and linear term (n,) of the coefficients' prior, x^T P x / 2 + l^T x, and their bounds (n,)."""

    precision: Array
    linear: Array
    low: Array
    high: Array


def landmark_weights(count: int) -> Array:
    """(L,) trust in each landmark, relative. Lips, eyes and brows high, the oval and bare skin (forehead, chin) low; all 1 unless it is MediaPipe's
    set of 468."""
    weights = np.ones(count)
    if count == 468:
        weights[list(landmark_sets.FACE_OVAL)] = 0.3
        weights[[*landmark_sets.LIPS_OUTER, *landmark_sets.LIPS_INNER]] = 3.0
        weights[[*landmark_sets.LEFT_EYE, *landmark_sets.RIGHT_EYE]] = 6.0
        weights[[*landmark_sets.LEFT_BROW, *landmark_sets.RIGHT_BROW]] = 4.0
        weights[[*landmark_sets.FOREHEAD, *landmark_sets.BELOW_BROWS]] *= 0.1
        weights[list(landmark_sets.BELOW_LIPS)] *= 0.3
    return weights


def coefficient_priors(shape_count: int, expression_count: int, names: Sequence[str]) -> Priors:
    """Unit Gaussian on the shape. Named actions: from 0 to a control's 1, an exponential and a wide Gaussian, left and right alike; the eyeLook
    actions are set by the gaze, and held. Without names: a unit Gaussian, no bounds."""
    n = shape_count + expression_count
    precision, linear = np.eye(n), np.zeros(n)
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    low[:shape_count], high[:shape_count] = -4, 4
    if names:
        for i, name in enumerate(names, shape_count):
            rare = name.startswith(RARE) if not name.startswith(("mouthLeft", "mouthRight")) else True
            precision[i, i], linear[i] = (4.0, 2.0) if rare else (3.0, 0.6) if name.startswith(MILD) else (0.6, 0.3)
            low[i], high[i] = 0.0, 0.0 if name in NOT_FITTED else GAINS.get(name, 1.0)
        set_against(precision, names)
        for left, right in _pairs(names):
            i, j = left + shape_count, right + shape_count
            strength = 0.5 if names[left].startswith(ALONE) else 8.0
            precision[[i, j], [i, j]] += strength
            precision[[i, j], [j, i]] -= strength
    return Priors(precision, linear, low, high)


def set_against(precision: Array, names: Sequence[str]) -> None:
    """Write into a precision (n, n), whose last rows are the actions `names`, that some are hardly there at once."""
    start = len(precision) - len(names)
    for one, other in AGAINST:
        for side in ("Left", "Right"):
            if {f"{one}{side}", f"{other}{side}"} <= set(names):
                i, j = (list(names).index(f"{stem}{side}") + start for stem in (one, other))
                precision[[i, j], [j, i]] = TOGETHER * np.sqrt(precision[i, i] * precision[j, j])


def _pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """(left, right) of the actions that mirror each other."""
    stems = [name.removesuffix("Left") for name in names if name.endswith("Left")]
    return [(list(names).index(f"{s}Left"), list(names).index(f"{s}Right")) for s in stems if f"{s}Right" in names and s not in ANTAGONISTS]
