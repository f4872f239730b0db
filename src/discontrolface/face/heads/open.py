"""The open head, read by the fit to landmarks and to what the blendshape network says."""

from __future__ import annotations

from typing import Any

from discontrolface.common.pixels import to_float
from discontrolface.face.crop import Crop, landmarks_in_crop
from discontrolface.face.fit import read_face
from discontrolface.face.geometry import Geometry
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.heads.contract import FaceReading, Head, HeadOptions
from discontrolface.face.landmarks import Landmarks


class FittedReader:
    """Reads faces by the fit, with any head model whose landmarks are MediaPipe's 468."""

    def __init__(self, head: HeadModel) -> None:
        self.geometry = Geometry(head)

    def read(self, crop: Crop, landmarks: Landmarks, like: FaceReading | None = None) -> FaceReading:
        """See HeadReader."""
        points, iris = landmarks_in_crop(crop, landmarks)
        known: dict[str, Any] = {}
        if like is not None:
            habits = like.fit.blendshape_offsets
            known = {"shape": like.parameters.shape, "offsets": like.fit.offsets, "blendshape_offsets": habits}
        parameters, fit = read_face(to_float(crop.image), points, self.geometry.head, iris, blendshapes=landmarks.blendshapes, **known)
        return FaceReading(parameters, fit, self.geometry)


def load_model(options: HeadOptions) -> HeadModel:
    """The head model of the package; no option concerns it."""
    return HeadModel.open()


def load_reader(options: HeadOptions) -> FittedReader:
    """The head model and the fit."""
    return FittedReader(load_model(options))


HEAD = Head("open", load_model, load_reader)
