"""The files of a picture in the history."""

from __future__ import annotations

from typing import Final

from discontrolface.common.errors import UserError
from discontrolface.studio.pictures import head_glb, reencoded
from discontrolface.studio.session import Picture

TYPES: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "mp4": "video/mp4",
    "json": "application/json",
    "glb": "model/gltf-binary",
}
FORMATS: Final = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
RENDERED: Final = ("photo.png", "photo.jpg", "photo.webp", "crop.png", "crop.jpg", "sheet.webp", "parameters.json", "head.glb")


def names(picture: Picture) -> tuple[str, ...]:
    """What can be downloaded of it."""
    if picture.kind == "sweep":
        return tuple(picture.files)
    return tuple(name for name in RENDERED if name != "head.glb" or picture.person is not None)


def file_of(picture: Picture, name: str, mark: bool) -> tuple[bytes, str]:
    """(bytes, media type). mark: with the visible mark, where the file is a still picture. UserError for an unknown name."""
    if name not in names(picture):
        raise UserError(f"there is no {name[:40]!r} of this picture; there are {', '.join(names(picture))}")
    stem, _, ending = name.partition(".")
    if name == "head.glb":
        assert picture.person is not None
        return head_glb(picture.person, picture.parameters, picture.record), TYPES[ending]
    if stem in ("photo", "crop") and (mark or ending != "png"):
        return reencoded(picture.files[f"{stem}.png"], FORMATS[ending], picture.record, mark), TYPES[ending]
    return picture.files[name], TYPES[ending]
