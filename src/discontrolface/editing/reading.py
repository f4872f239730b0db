"""Photo in, person out: face, crop, parameters. No networks but the landmark models and, for FLAME, those that read faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from discontrolface.common.images import Photo, load_photo
from discontrolface.editing.person import Person
from discontrolface.face.crop import cut_square, make_crop
from discontrolface.face.face_search import quick_size
from discontrolface.face.geometry import Geometry
from discontrolface.face.heads.contract import HeadOptions, HeadReader
from discontrolface.face.heads.registry import find_head
from discontrolface.face.landmarks import FaceLandmarker, Landmarks, no_face, no_such_face
from discontrolface.face.regions_of_faces import Face

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
    def load(
        cls,
        head: str = "open",  # a name of face/heads/registry.py
        size: int = 256,
        assets: str | Path | None = None,  # this and what follows: see HeadOptions
        detail: bool = True,
        regressor: bool = True,
        device: str = "cpu",
    ) -> Reader:
        """With a head model by name. UserError for an unknown one, and if its files are missing."""
        options = HeadOptions(None if assets is None else Path(assets), detail, regressor, device)
        return cls(find_head(head).reader(options), size)

    @classmethod
    def open(cls, size: int = 256) -> Reader:
        """With the open head."""
        return cls.load("open", size)

    @classmethod
    def flame(
        cls, assets: str | Path | None = None, size: int = 256, detail: bool = True, regressor: bool = True, device: str = "cpu"
    ) -> Reader:
        """With FLAME. Only the model and its landmarks are needed; without EMOCA's or DECA's networks the landmark fit reads faces."""
        return cls.load("flame", size, assets, detail, regressor, device)

    def read(self, photo: str | Path | Photo, face: int | None = None, face_box: Box | None = None, of_clip: bool = False) -> Person:
        """Find the face (the largest, number `face`, or the one in `face_box` = left, top, right, bottom), align the crop, read the parameters.

        of_clip: a frame of a clip, see `FaceLandmarker.landmarks`. UserError for unreadable photos and when there is no such face.
        """
        if not isinstance(photo, Photo):
            photo = load_photo(photo)
        return self.person(photo, self.landmarker.find_face(photo.array, face, face_box, str(photo.path), of_clip))

    def read_all(self, photo: str | Path | Photo) -> list[Person]:
        """Every face of a photo, the largest first. UserError for unreadable photos and when there is no face."""
        return self.read_several(photo, None)

    def read_several(self, photo: str | Path | Photo, numbers: Sequence[int] | None) -> list[Person]:
        """The faces with these numbers, in their order; None: all. UserError as `read` raises it."""
        if not isinstance(photo, Photo):
            photo = load_photo(photo)
        faces = self.find(photo, None if numbers is None else max(numbers, default=0) + 1)
        return [self.read_found(photo, faces, number) for number in (range(len(faces)) if numbers is None else numbers)]

    def find(self, photo: Photo, enough: int | None = None) -> list[Face]:
        """The faces of a photo, the largest first; enough: how many of them are wanted. UserError when there is none."""
        return self._some(self.landmarker.detect(photo.array, enough), photo)

    def find_quickly(self, photo: Photo, number: int = 0) -> tuple[list[Face], float]:
        """The faces of a photo, the largest first, and down to which size in pixels it was searched for all of them, 0 where for any size.

        Small faces of a photo of 50 megapixels and more take minutes to find. `number` is in the list, where it would be among all. UserError when
        there is none at all.
        """
        least = quick_size(*photo.size)
        faces = self.landmarker.detect(photo.array, least=least)
        if least and sum(face.size > least for face in faces) <= number:
            faces = self.landmarker.detect(photo.array, number + 1)
        return self._some(faces, photo), least

    def _some(self, faces: list[Face], photo: Photo) -> list[Face]:
        if not faces:
            raise no_face(photo.size, str(photo.path))
        return faces

    def read_found(self, photo: Photo, faces: Sequence[Face], number: int) -> Person:
        """The person of one of the faces that `find` found. UserError when there are not as many."""
        if not 0 <= number < len(faces):
            raise no_such_face(number, len(faces), str(photo.path))
        return self.person(photo, self.landmarker.landmarks(photo.array, faces[number]))

    def person(self, photo: Photo, landmarks: Landmarks, like: Person | None = None) -> Person:
        """The person of known landmarks. like: the same person before an edit, whose identity (shape) and crop are kept, so that angles and
        positions can be compared."""
        crop = (
            make_crop(photo.filled, landmarks, self.size)
            if like is None
            else cut_square(photo.filled, like.crop.photo_to_crop, like.crop.size)
        )
        read = self.head.read(crop, landmarks, None if like is None else like.reading)
        return Person(photo, crop, read.parameters, landmarks, read.fit, read.geometry, codes=read.codes)

    def reread(self, person: Person, image: Image.Image) -> Person:
        """Read an edited picture of the same person again, identity and crop fixed: what did the edit really do?"""
        photo = replace(person.photo, array=np.ascontiguousarray(np.asarray(image.convert("RGB"))))
        return self.person(
            photo, self.landmarker.find_face(photo.array, box=person.landmarks.box, source="the edited picture"), like=person
        )
