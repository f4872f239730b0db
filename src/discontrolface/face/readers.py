"""How a face is read off its crop, by head model: the open head by landmarks; FLAME by EMOCA's or DECA's networks, or by landmarks too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.pixels import to_float
from discontrolface.editing.person import Person
from discontrolface.face.crop import Crop
from discontrolface.face.fit import FitReport, read_face
from discontrolface.face.geometry import DetailGeometry, Geometry
from discontrolface.face.head import HeadModel
from discontrolface.face.landmarks import Landmarks
from discontrolface.face.parameters import FaceParameters

if TYPE_CHECKING:
    from discontrolface.face.paper import PaperFace
    from discontrolface.face.regress import Codes


class FaceReading(NamedTuple):
    """What was read: see `Person`, whose fields these are."""

    parameters: FaceParameters
    fit: FitReport
    geometry: Geometry
    codes: Codes | None = None


class HeadReader(Protocol):
    """Reads faces with one head model. geometry: of that model, without anybody's wrinkles."""

    @property
    def geometry(self) -> Geometry: ...

    def read(self, crop: Crop, landmarks: Landmarks, like: Person | None = None) -> FaceReading:
        """The face in a crop. landmarks: in photo pixels. like: the same person, read before, whose identity is held."""
        ...


class OpenHeadReader:
    """The open head, by the landmark fit."""

    def __init__(self, head: HeadModel) -> None:
        self.geometry = Geometry.of(head)

    def read(self, crop: Crop, landmarks: Landmarks, like: Person | None = None) -> FaceReading:
        """See HeadReader."""
        points, iris, eyes = landmarks_in_crop(crop, landmarks)
        known: dict[str, Any] = {} if like is None else {"shape": like.parameters.shape, "offsets": like.fit.offsets}
        parameters, fit = read_face(to_float(crop.image), points, self.geometry.head, iris, eyes=eyes, **known)
        return FaceReading(parameters, fit, self.geometry)


def landmarks_in_crop(
    crop: Crop, landmarks: Landmarks
) -> tuple[NDArray[np.floating], NDArray[np.floating] | None, NDArray[np.floating] | None]:
    """Points (468, 3), iris (2, 5, 2) and eyes (2, 71, 2) in pixels of the crop, as `read_face` takes them."""
    points = np.concatenate([crop.to_crop(landmarks.points[:, :2]), landmarks.points[:, 2:] * crop.scale], 1)
    iris, eyes = (None if a is None else crop.to_crop(a) for a in (landmarks.iris, landmarks.eyes))
    return points, iris, eyes


class FlameHeadReader:
    """FLAME, by the regressor where its networks are there (and wanted), else by the landmark fit."""

    def __init__(self, face: PaperFace, detail: bool = True, regressor: bool = True) -> None:
        self.face = face
        self.geometry = Geometry.of(face.head)
        self.detail = detail and face.detail is not None  # snapshots with the person's wrinkles; False: the paper's ablation
        self.regressor = regressor

    @classmethod
    def load(cls, folder: Path, detail: bool = True, regressor: bool = True, device: str = "cpu") -> FlameHeadReader:
        """From imported assets: FLAME and its landmarks are needed, what else is there is used."""
        from discontrolface.face.paper import PaperFace

        return cls(PaperFace.load(folder, device), detail, regressor)

    def read(self, crop: Crop, landmarks: Landmarks, like: Person | None = None) -> FaceReading:
        """See HeadReader."""
        from discontrolface.face.paper import PaperReading

        known = None if like is None else PaperReading(like.parameters, like.codes, like.fit)
        points, iris, eyes = landmarks.points, landmarks.iris, landmarks.eyes
        read = self.face.read(
            crop.photo, points, crop.photo_to_crop, crop.size, self.regressor, to_float(crop.image), iris, eyes, like=known
        )  # fmt: skip
        return FaceReading(read.parameters, read.fit, self._geometry(read.codes), read.codes)

    def _geometry(self, codes: Codes | None) -> Geometry:
        if not self.detail or codes is None or codes.detail is None:
            return self.geometry
        return DetailGeometry(self.geometry.head, self.geometry.rig, self.face, codes)
