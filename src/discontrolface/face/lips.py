"""Whether a photo shows lips where the mesh says they are: a hand, a microphone, a cup before the mouth is neither redder below the mouth's line than
the skin below, nor dark between the lips, nor are there teeth; and the landmark model, which draws a mouth there all the same, draws another one each
time it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from discontrolface.face.regions_of_faces import mesh_region
from discontrolface.geometry.affine import apply_affine, invert_affine, sample_affine

if TYPE_CHECKING:
    from discontrolface.face.landmarks import Landmarks

HIDDEN, SEEN = 0.0, 0.72  # `lips_seen`: something is before the mouth for certain, nothing is
SIDE: Final = 256  # pixels of the face that is looked at
LEAST: Final = 6.0  # levels: darker pixels have no colour
# Columns of the mouth from near the subject's right corner to near the left one: outer and inner rim of the upper lip, inner and outer of the lower.
UPPER_OUTER: Final = (40, 39, 37, 0, 267, 269, 270)
UPPER_INNER: Final = (80, 81, 82, 13, 312, 311, 310)
LOWER_INNER: Final = (88, 178, 87, 14, 317, 402, 318)
LOWER_OUTER: Final = (91, 181, 84, 17, 314, 405, 321)
EYES: Final = (33, 133, 145, 159, 263, 362, 374, 386)
RED: Final = 0.08  # logarithm of red over green, lower lip against the skin below, of lips beyond doubt,
LINE: Final = 0.15  # logarithm of the light of lips over the darkest between them, the same,
TEETH: Final = 0.1  # how much less red than lips what lies between them is where teeth show beyond doubt,
WANDERS: Final = 0.7  # and what is taken off for each percent of the face's size that the mouth wanders,
STEADY: Final = 1.0  # beyond so many, which live mouths wander
COLOURLESS: Final = 0.01  # logarithm of red over green that faces in photos without colours have at most,
GREY: Final = 0.3  # where this stands for what red would say


def hidden_lips(image: NDArray[np.uint8], landmarks: Landmarks) -> float:
    """0..1: how surely something is before the mouth; 0 where the landmarks were not looked for more than once. image: the photo (H, W, 3)."""
    if landmarks.mouth_unsteadiness is None:
        return 0.0
    return float(np.clip((SEEN - lips_seen(image, landmarks)) / (SEEN - HIDDEN), 0, 1))


def lips_seen(image: NDArray[np.uint8], landmarks: Landmarks) -> float:
    """Live mouths, open or closed, have 0.6 to 5; hands and things before the mouth -3 to 0.2. image: the photo (H, W, 3)."""
    from scipy.ndimage import gaussian_filter

    to_photo = mesh_region(landmarks.points).to_photo(SIDE)
    face = np.maximum(gaussian_filter(sample_affine(image, to_photo, (SIDE, SIDE)).astype(np.float32), (1, 1, 0)), LEAST)
    points = apply_affine(invert_affine(to_photo), landmarks.points[:, :2])
    upper_outer, upper, lower, outer = (points[list(rim)] for rim in (UPPER_OUTER, UPPER_INNER, LOWER_INNER, LOWER_OUTER))
    down = points[17] - points[0]
    down = down / max(float(np.hypot(*down)), 1e-3)
    thick = np.maximum(np.hypot(*(outer - lower).T), 3.0)[:, None]
    upper_lip, lower_lip = _at(face, (upper_outer + upper) / 2), _at(face, (outer + lower) / 2)
    skin = _at(face, outer + 0.9 * thick * down)
    between = [upper + share * (lower - upper) for share in np.linspace(-0.3, 1.3, 9)]
    between += [(upper + lower) / 2 + step * down for step in range(-2, 3)]
    darkest = np.min([_light(_at(face, places)) for places in between], axis=0)
    line = np.quantile((_light(upper_lip) + _light(lower_lip)) / 2 - darkest, 0.2)
    lips = np.minimum(_redness(upper_lip), _redness(lower_lip))
    palest = np.min([_redness(_at(face, upper + share * (lower - upper))) for share in (0.35, 0.5, 0.65)], axis=0)
    teeth = np.quantile(lips - palest, 0.3)
    grey = abs(_redness(face.reshape(-1, 3))).max() < COLOURLESS
    red = GREY if grey else float(np.clip(np.median(_redness(lower_lip) - _redness(skin)) / RED, -1, 2))
    wanders = STEADY if landmarks.mouth_unsteadiness is None else landmarks.mouth_unsteadiness
    return float(red + np.clip(line / LINE, -1, 2) + np.clip(teeth / TEETH, 0, 1) - WANDERS * (wanders - STEADY))


def _at(face: NDArray[np.floating], places: NDArray[np.floating]) -> NDArray[np.floating]:
    """(N, 3) the pixels at places (N, 2)."""
    columns, rows = np.clip(places.astype(int), 0, SIDE - 1).T
    return face[rows, columns]


def _redness(colours: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.log(colours[:, 0] / colours[:, 1])


def _light(colours: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.log(colours @ np.array([0.3, 0.6, 0.1]))
