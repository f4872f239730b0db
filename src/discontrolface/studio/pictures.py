"""Pictures as files in memory: each edited one says so in its metadata, and on request in its pixels."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from discontrolface.common.images import decode_photo, encode_photo
from discontrolface.common.pixels import to_uint8
from discontrolface.common.provenance import make_record, metadata_options
from discontrolface.editing.exporting import textured_head
from discontrolface.editing.sheet import mesh_overlay
from discontrolface.face.export import glb_bytes

if TYPE_CHECKING:
    from discontrolface.editing.person import Person
    from discontrolface.face.parameters import FaceParameters

SCREEN_QUALITY: Final = 90  # of pictures for the page
THUMBNAIL: Final = 160  # pixels
MARK: Final = "EDITED"
DRAFT_RECORD: Final = make_record({}, picture="preview on the page")


def jpeg(picture: NDArray[np.uint8] | Image.Image, record: Mapping[str, Any] | None = None, longest: int | None = None) -> bytes:
    """A picture for the page. longest: its longer side in pixels, if it is larger."""
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    image = image.convert("RGB")
    if longest is not None:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=SCREEN_QUALITY, **(metadata_options(record, "JPEG") if record is not None else {}))
    return out.getvalue()


def mesh_layer(person: Person, target: FaceParameters, picture: NDArray[np.uint8]) -> Image.Image:
    """The mesh of the target over a picture of it."""
    return mesh_overlay(person, target, picture.shape[0], Image.fromarray(picture))


def normals_layer(person: Person, target: FaceParameters, size: int) -> NDArray[np.uint8]:
    """The normals of the target's head, as the control network sees them: (size, size, 3)."""
    normals = person.geometry.snapshot(target, size, ("normals",)).image[0].permute(1, 2, 0).numpy()
    return to_uint8((normals + 1) / 2 * (np.abs(normals).sum(-1, keepdims=True) > 0))


def marked(picture: Image.Image) -> Image.Image:
    """With a visible mark in the lower right corner."""
    size = max(10, round(min(picture.size) / 28))
    font = ImageFont.load_default(size=size)
    over = Image.new("RGBA", picture.size)
    draw = ImageDraw.Draw(over)
    left, top, right, bottom = draw.textbbox((picture.width - size * 0.6, picture.height - size * 0.6), MARK, font=font, anchor="rs")
    pad = size * 0.3
    draw.rounded_rectangle((left - pad, top - pad, right + pad, bottom + pad), radius=pad, fill=(0, 0, 0, 140))
    draw.text((picture.width - size * 0.6, picture.height - size * 0.6), MARK, font=font, anchor="rs", fill=(255, 255, 255, 230))
    done = Image.alpha_composite(picture.convert("RGBA"), over)
    return done if picture.mode == "RGBA" else done.convert("RGB")


def reencoded(png: bytes, file_format: str, record: Mapping[str, Any], mark: bool) -> bytes:
    """A PNG of ours in another format, or with the mark: 8-bit sRGB."""
    photo = decode_photo(png, Path("the picture"))
    picture = Image.fromarray(photo.array)
    if photo.alpha is not None:
        picture.putalpha(Image.fromarray(photo.alpha))
    return encode_photo(marked(picture) if mark else picture, file_format, record)


def head_glb(person: Person, target: FaceParameters, record: Mapping[str, Any]) -> bytes:
    """The head with the photo as its texture, for 3D programs; what it says about itself is in `asset.extras`."""
    return glb_bytes(*textured_head(person, target), extras=record)
