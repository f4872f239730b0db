"""Photo in, person out: face, crop, parameters. No networks but the landmark models and, for FLAME, those that read faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from discontrolface.common.images import Photo, load_photo
from discontrolface.editing.person import Person
from discontrolface.face.crop import cut_square, make_crop
from discontrolface.face.geometry import Geometry
from discontrolface.face.head import HeadModel
from discontrolface.face.landmarks import FaceLandmarker, Landmarks
from discontrolface.face.readers import FlameHeadReader, HeadReader, OpenHeadReader
from discontrolface.weights.assets import default_folder

if TYPE_CHECKING:
    from PIL import Image

Box = tuple[float, float, float, float]


class Reader:
    """A head model and the landmark models, loaded once."""

    def __init__(self, head: HeadReader, size: int = 256) -> None:
        self.head = head
        self.landmarker = FaceLandmarker()
        self.size = size  # of the crop, pixels

    @property
    def geometry(self) -> Geometry:
        """The head model, without anybody's wrinkles."""
        return self.head.geometry

    @classmethod
    def open(cls, size: int = 256) -> Reader:
        """With the open head."""
        return cls(OpenHeadReader(HeadModel.open()), size)

    @classmethod
    def flame(
        cls,
        assets: str | Path | None = None,  # the folder of imported assets; None: the user's
        size: int = 256,
        detail: bool = True,  # False: snapshots without wrinkles, the paper's ablation
        regressor: bool = True,  # False: by the landmark fit, also where EMOCA's networks are there
        device: str = "cpu",
    ) -> Reader:
        """With FLAME. Only the model and its landmarks are needed; without EMOCA's or DECA's networks the landmark fit reads faces."""
        return cls(FlameHeadReader.load(default_folder() if assets is None else Path(assets), detail, regressor, device), size)

    def read(self, photo: str | Path | Photo, face: int | None = None, face_box: Box | None = None) -> Person:
        """Find the face (the largest, number `face`, or the one in `face_box` = left, top, right, bottom), align the crop, read the parameters.

        UserError for unreadable photos and when there is no such face.
        """
        if not isinstance(photo, Photo):
            photo = load_photo(photo)
        return self.person(photo, self.landmarker.find_face(photo.array, face, face_box, str(photo.path)))

    def person(self, photo: Photo, landmarks: Landmarks, like: Person | None = None) -> Person:
        """The person of known landmarks. like: the same person before an edit, whose identity (shape) and crop are kept, so that angles and
        positions can be compared."""
        crop = (
            make_crop(photo.array, landmarks, self.size)
            if like is None
            else cut_square(photo.array, like.crop.photo_to_crop, like.crop.size)
        )
        read = self.head.read(crop, landmarks, like)
        return Person(photo, crop, read.parameters, landmarks, read.fit, read.geometry, codes=read.codes)

    def reread(self, person: Person, image: Image.Image) -> Person:
        """Read an edited picture of the same person again, identity and crop fixed: what did the edit really do?"""
        photo = replace(person.photo, array=np.ascontiguousarray(np.asarray(image.convert("RGB"))))
        return self.person(
            photo, self.landmarker.find_face(photo.array, box=person.landmarks.box, source="the edited picture"), like=person
        )
