"""Where faces are and may be: turned squares of a photo, tiles that cover it, boxes that overlap."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discontrolface.face.landmark_sets import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS

DETECTOR_SIZE = 192  # pixels of a view
MAX_OVERLAP = 0.3  # boxes that overlap more are one face
ROI_MARGIN = 1.5  # region of interest / face box, as the mesh model was trained


@dataclass(frozen=True)
class Region:
    """A turned square of the photo: centre and side in pixels, angle in radians (clockwise in the picture)."""

    x: float
    y: float
    side: float
    angle: float

    def to_photo(self, size: int) -> NDArray[np.float64]:
        """The (2, 3) affine map from a picture of size x size to the photo."""
        step = self.side / size
        c, s = step * math.cos(self.angle), step * math.sin(self.angle)
        half = size / 2
        return np.array([[c, -s, self.x - half * (c - s)], [s, c, self.y - half * (s + c)]])


@dataclass(frozen=True)
class Face:
    """A detected face. box: x0, y0, x1, y1, upright; keypoints (6, 2): right eye, left eye, nose tip, mouth, right ear, left ear
    (the subject's right and left); score in [0, 1]; region: where to look for the mesh; size: side of the box, in a face that the mesh model
    confirmed the larger side of the mesh with its eyes level. All in photo pixels."""

    box: tuple[float, float, float, float]
    keypoints: NDArray[np.float32]
    score: float
    region: Region
    size: float


def tiles(width: int, height: int, side: float, common: float) -> list[Region]:
    """Squares that cover the picture, each with at least `common` pixels of its neighbours."""

    def centres(length: int) -> list[float]:
        if length <= side:
            return [length / 2]
        steps = math.ceil((length - side) / (side - common))
        return [side / 2 + i * (length - side) / steps for i in range(steps + 1)]

    return [Region(x, y, side, 0.0) for y in centres(height) for x in centres(width)]


def overlap(box: NDArray[np.floating], boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of one box (4,) with boxes (N, 4)."""
    size = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.clip(size, 0, None).prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - common
    return np.asarray(common / np.maximum(union, 1e-9), dtype=np.float64)


def merge(
    boxes: NDArray[np.float64], keypoints: NDArray[np.float64], scores: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64], float]]:
    """Weighted non-maximum suppression (BlazeFace, section 3.3): overlapping boxes become their score-weighted mean."""
    out = []
    order = np.argsort(-scores, kind="stable")
    while len(order):
        best = order[0]
        same: NDArray[np.bool_] = np.greater(overlap(boxes[best], boxes[order]), MAX_OVERLAP)
        same[0] = True
        group = order[same]
        weight = scores[group] / scores[group].sum()
        out.append((weight @ boxes[group], np.tensordot(weight, keypoints[group], axes=1), float(scores[best])))
        order = order[~same]
    return out


def turn_between(a: float, b: float) -> float:
    """The angle between two directions, in [0, pi]."""
    return abs(math.remainder(a - b, math.tau))


def same_face(a: Face, b: Face, least: float = MAX_OVERLAP) -> bool:
    """Whether two boxes overlap by more than `least`."""
    return bool(overlap(np.array(a.box), np.array([b.box]))[0] > least)


def face_of(box: NDArray[np.float64], keypoints: NDArray[np.float64], score: float) -> Face:
    x0, y0, x1, y1 = (float(v) for v in box)
    along = keypoints[1] - keypoints[0]
    region = Region((x0 + x1) / 2, (y0 + y1) / 2, ROI_MARGIN * max(x1 - x0, y1 - y0), math.atan2(along[1], along[0]))
    return Face((x0, y0, x1, y1), keypoints.astype(np.float32), score, region, max(x1 - x0, y1 - y0))


def mesh_region(points: NDArray[np.float32]) -> Region:
    """The square around mesh points (468, 3), eyes level, with the margin that the mesh model expects."""
    along = points[LEFT_EYE_CORNERS[0], :2] - points[RIGHT_EYE_CORNERS[0], :2]
    angle = math.atan2(float(along[1]), float(along[0]))
    c, s = math.cos(angle), math.sin(angle)
    level = points[:, :2].astype(np.float64) @ np.array([[c, -s], [s, c]])  # turned by -angle
    low, high = level.min(axis=0), level.max(axis=0)
    u, v = (low + high) / 2
    return Region(c * u - s * v, s * u + c * v, ROI_MARGIN * max(float((high - low).max()), 1.0), angle)
