"""Where dlib's face network looks: the square that it cuts out of a picture, its chip, from where the head model has the face.

dlib lays points of nose, eyes and upper lip on a mean face by a similarity (`get_face_chip_details`, padding 0.25; brows and what the jaw moves do
not count). Here the head model's own points are laid on those of its mean face, seen from the front. With dlib's points of 100 photos of ten people,
front and three-quarter views, the chip has dlib's side to 0.3 % and its angle to 0.4 degrees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discontrolface.face.geometry import Geometry
from discontrolface.face.landmark_sets import IBUG_68
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.similarity import Similarity

POINTS = (*IBUG_68[27:55], *IBUG_68[60:65])  # nose, eyes, upper lip with the mouth's corners
SIDE, OFFSET = 0.18, (0.0012, 0.0011)  # metres on the mean face: the chip's side, its middle's way right and down from that of the points


def chip_of(geometry: Geometry, parameters: FaceParameters) -> NDArray[np.float32]:
    """(4,): the chip's middle (right, down) and its side, in the crop's side, and its angle, radians, clockwise in the picture."""
    chosen = list(POINTS)
    mean = geometry.head().landmarks_3d[0].numpy()[chosen, :2] * [1, -1]
    laid = Similarity.between(mean, geometry.landmarks(parameters, 1)[chosen, :2])
    right, down = laid(mean.mean(0) + OFFSET)
    return np.array([right, down, laid.scale * SIDE, np.arctan2(laid.matrix[1, 0], laid.matrix[0, 0])], np.float32)
