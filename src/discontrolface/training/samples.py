"""One photo to the samples of a data set: face, aligned crop, parameters, snapshot, masks, as the bytes of small files. Or why not."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.images import PHOTO_FAULTS, Photo, PhotoError, encode_picture, load_photo
from discontrolface.common.snapshot_spec import PAPER_MAPS
from discontrolface.editing.person import Person
from discontrolface.editing.reading import Reader
from discontrolface.face.heads.registry import find_head

FACES = ("largest", "one", "all")
FORMATS = ("png", "jpg")
SNAPSHOT = PAPER_MAPS  # side by side in KEY.snapshot.png
REASONS = (*PHOTO_FAULTS, "no face", "several faces", "no reading", "bad fit", "crash")


@dataclass(frozen=True)
class SampleSettings:
    """How photos become samples."""

    size: int = 256  # pixels of the crop
    faces: str = "largest"  # of a photo with several: "largest", "one" (such photos are left out) or "all" (each is a sample)
    crop_format: str = "png"  # or "jpg" (quality 95, a third of the space)
    max_error: float = 3.0  # landmark error in percent of the face's width above which a reading is not trusted
    head: str = "open"  # the head model that photos are read with, and snapshots show
    detail: bool = True  # with FLAME: snapshots with wrinkles, where imported networks read them
    assets: str | None = None  # the folder of imported files, for FLAME; None: the user's

    def __post_init__(self) -> None:
        for name, known in (("faces", FACES), ("crop_format", FORMATS)):
            if getattr(self, name) not in known:
                raise UserError(f"{name} {getattr(self, name)!r} is not known; choose one of {', '.join(known)}")
        find_head(self.head)
        if not 32 <= self.size <= 1024:
            raise UserError(f"size {self.size} must lie between 32 and 1024 pixels")


class SkippedError(Exception):
    """A photo that gives no sample: one of REASONS, and a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@functools.lru_cache(maxsize=1)
def reader(head: str, size: int, assets: str | None, detail: bool) -> Reader:
    """The models, loaded once in each process."""
    return Reader.load(head, size, assets, detail)


def photo_samples(path: Path, settings: SampleSettings) -> list[dict[str, bytes]]:
    """The samples of a photo, {ending: file}; raises SkippedError when there is none."""
    photo = _load(path)
    models = reader(settings.head, settings.size, settings.assets, settings.detail)
    faces = models.landmarker.detect(photo.array, enough=1 if settings.faces == "largest" else None)
    if not faces:
        raise SkippedError("no face", "no face found")
    if len(faces) > 1 and settings.faces == "one":
        raise SkippedError("several faces", f"{len(faces)} faces found")
    samples, worst = [], 0.0
    for index, face in enumerate(faces if settings.faces == "all" else faces[:1]):
        person = _read(models, photo, face)
        worst = max(worst, person.fit.mean_percent)
        if person.fit.mean_percent <= settings.max_error:
            samples.append(_files(person, settings, index, None if settings.faces == "largest" else len(faces)))
    if not samples:
        raise SkippedError("bad fit", f"landmark error {worst:.1f} % of the face's width")
    return samples


def _load(path: Path) -> Photo:
    try:
        return load_photo(path)
    except PhotoError as error:
        raise SkippedError(error.fault, str(error).replace(str(path), "the file")) from error


def _read(models: Reader, photo: Photo, face: Any) -> Person:
    """The person of a detected face. What is read may be no face parameters (not finite, for instance): then it is the photo, not us."""
    try:
        return models.person(photo, models.landmarker.landmarks(photo.array, face))
    except (UserError, np.linalg.LinAlgError) as error:
        raise SkippedError("no reading", str(error)) from error


def _files(person: Person, settings: SampleSettings, face: int, faces: int | None) -> dict[str, bytes]:
    """faces: of the photo; None where only the largest was looked for."""
    size = settings.size
    snapshot = person.geometry.snapshot(person.parameters, size, SNAPSHOT)
    maps = np.rint((snapshot.image[0].permute(1, 2, 0).numpy() * 0.5 + 0.5) * 255).clip(0, 255).astype(np.uint8)
    masks = np.zeros((size, size, 3), np.uint8)
    masks[..., 0] = np.rint(snapshot.mask[0, 0].numpy() * 255)
    masks[..., 1] = 255 * _inside(person, size)
    about: dict[str, Any] = {
        "source": person.photo.path.name,
        "sha256": person.photo.sha256,
        "photo_size": list(person.photo.size),
        "photo_to_crop": np.round(person.crop.photo_to_crop, 6).tolist(),
        "face": face,
        "faces": faces,
        "landmarks": np.round(person.landmarks.points.astype(float), 1).tolist(),
        "drawn_by": person.geometry.label,
        "landmark_error_percent": round(person.fit.mean_percent, 3),
    }
    return {
        f"crop.{settings.crop_format}": encode_picture(person.crop.image, settings.crop_format),
        "snapshot.png": encode_picture(np.concatenate([maps[..., :3], maps[..., 3:]], 1)),
        "masks.png": encode_picture(masks),
        "parameters.json": person.parameters.to_json().encode(),
        "meta.json": json.dumps(about, separators=(",", ":")).encode(),
    }


def _inside(person: Person, size: int) -> NDArray[np.bool_]:
    """(size, size): the crop's pixels that lie in the photo."""
    centres = np.arange(size) + 0.5
    where = person.crop.to_photo(np.stack(np.meshgrid(centres, centres), -1))
    return np.asarray(((where >= 0) & (where < np.array(person.photo.size))).all(-1))
