"""An album: people's read photos in one small file, from which pairs are made wherever there are cores. What travels to a rented machine.

ALBUM.zip/album.json              head model, and a line a photo: person, set, name, file, photo_to_crop (2x3), the face parameters
ALBUM.zip/pictures/000000.webp    the part of the photo around the face, as many pixels as the networks' crops have

Reading (landmarks, fit, one shape a person) was done when it was made: whoever has an album needs no landmark models and no photos.
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing
from discontrolface.common.images import Photo
from discontrolface.editing.person import Person
from discontrolface.face.crop import cut_square
from discontrolface.face.fit import FitReport
from discontrolface.face.geometry import Geometry
from discontrolface.face.heads.registry import find_head
from discontrolface.face.landmarks import Landmarks
from discontrolface.face.layout import ARRAYS
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.affine import affine_scale, apply_affine, invert_affine

KIND, VERSION = "discontrolface-album", 1
EXTENT = (
    1.8  # side of what is kept, in aligned crops; the truth of a pair is cut anew, in another frame, and a wall is found around the head
)
FINENESS = (
    1.25  # pixels of the album in one of the crop's side, where the photo has them: crops are cut out of it turned and in other frames
)
QUALITY = 88  # of the WebP pictures
STAMP = (1980, 1, 1, 0, 0, 0)  # time of the files in the zip: the same photos give the same bytes
# What is read: nothing in the file is executed, and nothing larger than this is unpacked.
MAX_ABOUT, MAX_PICTURE, MAX_SIDE, MAX_PHOTOS = 1_000_000_000, 10_000_000, 4096, 500_000


@dataclass(frozen=True)
class Entry:
    """One read photo. picture: WebP bytes; photo_to_crop: (2, 3), from its pixels to a crop of `size` pixels."""

    person: str
    name: str  # of the photo's file
    group: str  # the set it is from, or empty
    size: int
    photo_to_crop: NDArray[np.float64]
    parameters: FaceParameters
    picture: bytes

    @classmethod
    def of(cls, person: Person, name: str, group: str = "") -> Entry:
        """A person as read: the square of EXTENT crops around the face, as far as the photo goes."""
        crop, (width, height) = person.crop, person.photo.size
        reach = (EXTENT - 1) / 2 * crop.size
        near, far = -reach, crop.size + reach
        corners = crop.to_photo(np.array([[near, near], [far, near], [near, far], [far, far]]))
        left, top = np.clip(np.floor(corners.min(0)), 0, [width - 1, height - 1])
        right, bottom = np.clip(np.ceil(corners.max(0)), [left + 1, top + 1], [width, height])
        scale = min(1.0, FINENESS * affine_scale(crop.photo_to_crop))
        shape = max(1, int((right - left) * scale)), max(1, int((bottom - top) * scale))
        # No wider than the part, and scaled alike in both directions.
        box = float(left), float(top), float(left + shape[0] / scale), float(top + shape[1] / scale)
        part = Image.fromarray(person.photo.filled).resize(shape, Image.Resampling.LANCZOS, box=box)
        matrix = crop.photo_to_crop.copy()
        matrix[:, 2] += matrix[:, :2] @ [left, top]
        matrix[:, :2] /= scale
        data = io.BytesIO()
        part.save(data, "WEBP", quality=QUALITY, method=6)
        return cls(person=name, name=person.photo.path.name, group=group, size=crop.size, photo_to_crop=matrix,
                   parameters=person.parameters, picture=data.getvalue())  # fmt: skip

    def about(self, file: str) -> dict[str, Any]:
        """Its line in album.json."""
        line = {"person": self.person, "name": self.name, "set": self.group, "file": file, "size": self.size}
        face = {name: numbers(getattr(self.parameters, name)) for name in ARRAYS}
        names = list(self.parameters.expression_names)
        return {**line, "photo_to_crop": np.round(self.photo_to_crop, 7).tolist(), "parameters": {**face, "expression_names": names}}


def numbers(values: NDArray[np.float32]) -> list[Any]:
    """Nested lists of the shortest decimals that are these float32 again."""
    return [numbers(v) for v in values] if values.ndim > 1 else [float(str(v)) for v in values]


def write_album(path: Path, entries: Iterable[Entry], head: str, left_out: Mapping[str, str]) -> int:
    """Write an album, whole or not at all. left_out: {photo: why}, for the record. Returns the number of photos."""
    lines: list[dict[str, Any]] = []
    with replacing(path, "the album") as file, zipfile.ZipFile(file, "w") as album:
        for number, entry in enumerate(entries):
            lines.append(entry.about(f"pictures/{number:06d}.webp"))
            album.writestr(zipfile.ZipInfo(lines[-1]["file"], STAMP), entry.picture)
        about = {"kind": KIND, "version": VERSION, "head": head, "photos": lines, "left_out": dict(left_out)}
        text = json.dumps(about, separators=(",", ":"), ensure_ascii=False)
        album.writestr(zipfile.ZipInfo("album.json", STAMP), text.encode(), zipfile.ZIP_DEFLATED, 9)
    return len(lines)


class Album:
    """An album, read into memory as it is; pictures are unpacked when their person is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
            about = json.loads(self._member("album.json", MAX_ABOUT))
            kind = about["kind"], about["version"]
            lines, self.head, self.left_out = list(about["photos"]), str(about["head"]), dict(about["left_out"])
        except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError, NotImplementedError, RuntimeError) as error:
            raise UserError(
                f"{path} is not an album ({type(error).__name__}); make one with discontrolface prepare PHOTOS --people PEOPLE -o ALBUM.zip"
            ) from error
        if kind != (KIND, VERSION):
            raise UserError(f"{path} is {kind[0]!r} of version {kind[1]!r}, not {KIND!r} {VERSION}; make the album again")
        if len(lines) > MAX_PHOTOS:
            raise UserError(f"{path} lists {len(lines)} photos, more than the limit of {MAX_PHOTOS}")
        self.entries = [self._entry(line, k) for k, line in enumerate(lines)]

    def __len__(self) -> int:
        return len(self.entries)

    @functools.cached_property
    def people(self) -> dict[str, tuple[int, ...]]:
        """{person: numbers of the photos}, sorted by name."""
        found: dict[str, list[int]] = {}
        for number, entry in enumerate(self.entries):
            found.setdefault(entry.person, []).append(number)
        return {name: tuple(found[name]) for name in sorted(found)}

    @functools.cached_property
    def geometry(self) -> Geometry:
        """What draws the heads."""
        return find_head(self.head).geometry()

    def person(self, number: int, size: int) -> Person:
        """A photo of the album as it was read, with a crop of `size` pixels."""
        entry = self.entries[number]
        picture = self._picture(entry)
        matrix = entry.photo_to_crop * (size / entry.size)
        crop = cut_square(picture, matrix, size)
        points = self.geometry.landmarks(entry.parameters, size)
        points = np.concatenate([apply_affine(invert_affine(matrix), points[:, :2]), points[:, 2:]], 1)
        fit = FitReport(0.0, 0.0, 0.0, 0, np.zeros_like(points))  # the landmarks are the head model's own
        photo = Photo.of(picture, Path(entry.name))
        return Person(photo, crop, entry.parameters, Landmarks(points.astype(np.float32), 1.0), fit, self.geometry)

    def _member(self, name: str, limit: int) -> bytes:
        """A file of the zip. ValueError when it is larger than the limit."""
        info = self._zip.getinfo(name)
        if info.file_size > limit:
            raise ValueError(f"{name} has {info.file_size} bytes")
        with self._zip.open(info) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise ValueError(f"{name} has more than {limit} bytes")
        return data

    def _entry(self, line: Any, number: int) -> Entry:
        what = f"photo {number} of {self.path}"
        try:
            face = line["parameters"]
            parameters = FaceParameters(**{name: face[name] for name in (*ARRAYS, "expression_names")}, head=self.head)
            matrix, size = np.array(line["photo_to_crop"], np.float64), int(line["size"])
            if matrix.shape != (2, 3) or not np.isfinite(matrix).all() or not 1e-4 < abs(affine_scale(matrix)) < 1e4:
                raise ValueError("photo_to_crop is no similarity")
            if not 32 <= size <= 1024:
                raise ValueError(f"a crop of {size} pixels")
            data = self._member(str(line["file"]), MAX_PICTURE)
            return Entry(str(line["person"]), str(line["name"]), str(line["set"]), size, matrix, parameters, data)
        except (KeyError, TypeError, ValueError, UserError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise UserError(f"{what} cannot be read ({error}); make the album again") from error

    def _picture(self, entry: Entry) -> NDArray[np.uint8]:
        try:
            image = Image.open(io.BytesIO(entry.picture), formats=["WEBP"])
            if max(image.size) > MAX_SIDE:
                raise ValueError(f"{image.size[0]}x{image.size[1]} pixels")
            return np.array(image.convert("RGB"))
        except (OSError, ValueError, SyntaxError) as error:
            raise UserError(f"the picture of {entry.name} in {self.path} cannot be read ({error}); make the album again") from error


def merged(albums: Sequence[Path], path: Path, head: str) -> dict[str, Any]:
    """Several albums in one. Returns counts: photos, people, and {photo: why} of those left out."""
    left_out: dict[str, str] = {}
    people: set[str] = set()

    def entries() -> Iterable[Entry]:
        for part in albums:
            album = Album(part)
            left_out.update(album.left_out)
            people.update(album.people)
            yield from album.entries

    count = write_album(path, entries(), head, left_out)
    return {"photos": count, "people": len(people), "left_out": left_out, "bytes": path.stat().st_size}
