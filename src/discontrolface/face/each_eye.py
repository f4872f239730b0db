"""Each eye by itself: what a mesh model says of one eye follows the other.

Beside a closed eye it closes an open one by 8 to 23 %, though not a pixel there has changed, and opens the closed one. So of a face whose eyes are
not open alike two more pictures are looked at, in each of which one eye is its own and the other its mirror image: both say the same then.
An eye that the picture does not show, or shows from the side only, is left as the mesh guesses it from the other.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.ramp import ramp
from discontrolface.face.landmark_sets import LEFT_EYE, LEFT_EYE_CORNERS, LEFT_LIDS, RIGHT_EYE, RIGHT_EYE_CORNERS, RIGHT_LIDS
from discontrolface.geometry.affine import sample_affine

Array = NDArray[np.float64]

ALIKE: Final = 0.02  # difference of the two openings in widths of an eye: of 90 neutral and smiling faces from the front 0.02 and less
UNLIKE: Final = 0.05  # from here on each eye is read by itself altogether; winks have 0.05 to 0.13
NARROW: Final = 0.65  # the far eye's width over the near one's, from which its share falls: about 0.7 at a turn of 40 degrees
NARROWEST: Final = 0.5  # and at which it is nothing: about a turn of 55 degrees


class Eye(NamedTuple):
    """The landmarks of an eye (`landmark_sets.py`), and the blendshapes that are its lids'."""

    ring: tuple[int, ...]
    corners: tuple[int, int]
    lids: tuple[int, ...]
    blendshapes: tuple[str, ...]


LEFT: Final = Eye(LEFT_EYE, LEFT_EYE_CORNERS, LEFT_LIDS, ("eyeBlinkLeft", "eyeSquintLeft", "eyeWideLeft"))
RIGHT: Final = Eye(RIGHT_EYE, RIGHT_EYE_CORNERS, RIGHT_LIDS, ("eyeBlinkRight", "eyeSquintRight", "eyeWideRight"))
EYES: Final = (LEFT, RIGHT)
# Half axes of the ellipse that is replaced: along the eye in halves of that place's width, across in those of the wider eye.
REACH: Final = (1.5, 1.0)
SOFT: Final = 0.15  # of them, the ramp at its edge, either way


def opening(points: NDArray[np.floating], eye: Eye) -> float:
    """Mean distance of the lids over the middle of an eye, of points (N >= 468, 2 or 3), in their unit."""
    lower, upper = points[list(eye.ring[2:7]), :2], points[list(eye.ring[10:15]), :2]
    return float(np.hypot(*(upper - lower).T).mean())


def unlikeness(points: NDArray[np.floating], size: tuple[int, int]) -> float:
    """How far each eye is to be read by itself, in [0, 1]; 0: the eyes are open alike, or one cannot be seen.

    points: (N >= 468, 2 or 3) in pixels of a picture of `size` = (width, height).
    """
    if not all(_within(points[list(eye.ring), :2], size) for eye in EYES):
        return 0.0
    narrow, wide = sorted(2 * _frame(points, eye).half for eye in EYES)
    apart = abs(opening(points, LEFT) - opening(points, RIGHT)) / wide
    return ramp(apart, (ALIKE, UNLIKE)) * ramp(narrow / wide, (NARROWEST, NARROW))


def _within(points: NDArray[np.floating], size: tuple[int, int]) -> bool:
    return bool(((points >= 0) & (points <= size)).all())


def with_mirror_image(picture: NDArray[np.uint8], points: NDArray[np.floating], eye: Eye) -> NDArray[np.uint8]:
    """The picture (H, W, 3) with the mirror image of `eye` in the place of the other eye. points: (N >= 468, 2 or 3) in its pixels.

    Along the eye it is scaled to the width of that place, across it is not: a head that is turned shows its far eye narrower, not lower.
    """
    height, width = picture.shape[:2]
    own, place = _frame(points, eye), _frame(points, RIGHT if eye is LEFT else LEFT)
    to_own = own.axes * [own.half / place.half, 1.0] @ place.axes.T  # (2, 2) of the place's pixels
    mirrored = sample_affine(picture, np.column_stack([to_own, own.centre - to_own @ place.centre]), (width, height))
    rows, columns = np.mgrid[:height, :width] + 0.5
    along, across = np.moveaxis((np.stack([columns, rows], axis=-1) - place.centre) @ place.axes, -1, 0)
    away = np.hypot(along / (REACH[0] * place.half), across / (REACH[1] * max(own.half, place.half)))
    share = np.clip((1 + SOFT - away) / (2 * SOFT), 0, 1)[..., None]
    mixed: NDArray[np.uint8] = (picture + share * (mirrored.astype(np.float64) - picture) + 0.5).astype(np.uint8)
    return mixed


class _Frame(NamedTuple):
    """Where an eye lies: its middle (2,), half its width, axes (2, 2) in columns: from the inner to the outer corner, and downward."""

    centre: Array
    half: float
    axes: Array


def _frame(points: NDArray[np.floating], eye: Eye) -> _Frame:
    outer, inner = (points[index, :2].astype(np.float64) for index in eye.corners)
    half = max(float(np.hypot(*(outer - inner))) / 2, 1e-6)
    along = (outer - inner) / (2 * half)
    down = np.array([-along[1], along[0]])
    return _Frame((outer + inner) / 2, half, np.column_stack([along, down if down[1] > 0 else -down]))
