"""FLAME, read by EMOCA's or DECA's networks where they are imported (and asked for), else by the landmark fit."""

from __future__ import annotations

from discontrolface.common.folders import default_folder
from discontrolface.common.pixels import to_float
from discontrolface.face.crop import Crop
from discontrolface.face.geometry import DetailGeometry, Geometry
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.heads.contract import FaceReading, Head, HeadOptions
from discontrolface.face.landmarks import Landmarks
from discontrolface.face.paper import PaperFace, PaperReading, load_named_flame
from discontrolface.face.regress import Codes


class FlameReader:
    """Reads faces with FLAME; the networks' detail vector gives the person's wrinkles."""

    def __init__(self, face: PaperFace, detail: bool = True, regressor: bool = True) -> None:
        self.face = face
        self.geometry = Geometry(face.head)
        self.detail = detail and face.detail is not None
        self.regressor = regressor

    def read(self, crop: Crop, landmarks: Landmarks, like: FaceReading | None = None) -> FaceReading:
        """See HeadReader."""
        known = None if like is None else PaperReading(like.parameters, like.codes, like.fit)
        points, iris, seen = landmarks.points, landmarks.iris, landmarks.blendshapes
        read = self.face.read(
            crop.photo, points, crop.photo_to_crop, crop.size, self.regressor, to_float(crop.image), iris, seen, like=known
        )  # fmt: skip
        return FaceReading(read.parameters, read.fit, self._geometry(read.codes), read.codes)

    def _geometry(self, codes: Codes | None) -> Geometry:
        if not self.detail or codes is None or codes.detail is None:
            return self.geometry
        return DetailGeometry(self.geometry.head, self.geometry, self.face, codes)


def load_model(options: HeadOptions) -> HeadModel:
    """FLAME with named actions. UserError if its files are not imported."""
    return load_named_flame(options.assets or default_folder())[0]


def load_reader(options: HeadOptions) -> FlameReader:
    """From imported assets: FLAME and its landmarks are needed, what else is there is used."""
    face = PaperFace.load(options.assets or default_folder(), options.device)
    return FlameReader(face, options.detail, options.regressor)


HEAD = Head("flame", load_model, load_reader)
