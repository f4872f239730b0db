"""Photo in, person out: face, crop, parameters. No networks but the landmark models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from discontrolface.editing.align import make_crop
from discontrolface.editing.geometry import Geometry
from discontrolface.editing.images import Photo, load_photo
from discontrolface.editing.person import Person, to_float
from discontrolface.face.fit import read_face
from discontrolface.face.head import HeadModel
from discontrolface.face.landmarks import FaceLandmarker, Landmarks

if TYPE_CHECKING:
    from PIL import Image

Box = tuple[float, float, float, float]


class Reader:
    """A head model and the landmark models, loaded once."""

    def __init__(self, head: HeadModel, size: int = 256) -> None:
        self.geometry = Geometry.of(head)
        self.landmarker = FaceLandmarker()
        self.size = size  # of the crop, pixels

    @classmethod
    def open(cls, size: int = 256) -> Reader:
        """With the open head."""
        return cls(HeadModel.open(), size)

    def read(self, photo: str | Path | Photo, face: int | None = None, face_box: Box | None = None) -> Person:
        """Find the face (the largest, number `face`, or the one in `face_box` = left, top, right, bottom), align the crop, read the parameters.

        UserError for unreadable photos and when there is no such face.
        """
        if not isinstance(photo, Photo):
            photo = load_photo(photo)
        return self.person(photo, self.landmarker.find_face(photo.array, face, face_box, str(photo.path)))

    def person(self, photo: Photo, landmarks: Landmarks, like: Person | None = None) -> Person:
        """The person of known landmarks. like: somebody whose identity (shape) is to be kept, as when an edited picture is read again."""
        crop = make_crop(photo.array, landmarks, self.size)
        points = np.concatenate([crop.to_crop(landmarks.points[:, :2]), landmarks.points[:, 2:] * crop.scale], 1)
        iris, eyes = (None if a is None else crop.to_crop(a) for a in (landmarks.iris, landmarks.eyes))
        known = {} if like is None else {"shape": like.parameters.shape, "offsets": like.fit.offsets}
        parameters, fit = read_face(to_float(crop.image), points, self.geometry.head, iris, eyes=eyes, **known)
        return Person(photo, crop, parameters, landmarks, fit, self.geometry)

    def reread(self, person: Person, image: Image.Image) -> Person:
        """Read an edited picture of the same person again, identity fixed: what did the edit really do?"""
        photo = replace(person.photo, array=np.ascontiguousarray(np.asarray(image.convert("RGB"))))
        return self.person(
            photo, self.landmarker.find_face(photo.array, box=person.landmarks.box, source="the edited picture"), like=person
        )
