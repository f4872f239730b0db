"""Pictures into files: the format by the ending, the colour profile and the provenance embedded, what a format cannot hold said."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from discontrolface.common.colour import from_srgb, srgb_profile
from discontrolface.common.credentials import configured
from discontrolface.common.decoding import Native, eight_bits
from discontrolface.common.encoding import Rows, write_jpeg, write_png
from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing
from discontrolface.common.provenance import metadata_options

WRITABLE: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


@dataclass(frozen=True)
class Lines:
    """A picture to be written, row by row. rows: (first, last) -> (last - first, width, C) uint8 or uint16, C = 3 or 1. alpha: (last - first, width)
    of the same depth, None: opaque. profile: ICC; None: sRGB."""

    width: int
    height: int
    rows: Rows
    alpha: Rows | None = None
    profile: bytes | None = None

    @classmethod
    def of(cls, picture: Native) -> Lines:
        """Of arrays."""
        height, width = picture.values.shape[:2]
        values, alpha = picture.values, picture.alpha
        return cls(width, height, lambda a, b: values[a:b], None if alpha is None else (lambda a, b: alpha[a:b]), picture.profile)

    @property
    def deep(self) -> bool:
        """16 bits a channel."""
        return self.rows(0, 1).dtype == np.uint16

    @property
    def grey(self) -> bool:
        """One channel."""
        return self.rows(0, 1).shape[2] == 1

    def whole(self) -> NDArray[Any]:
        """(H, W, C), alpha as the last channel."""
        values = self.rows(0, self.height)
        return values if self.alpha is None else np.dstack([values, self.alpha(0, self.height)])


def write_lines(
    picture: Lines, path: Path, overwrite: bool = False, info: Mapping[str, Any] | None = None, background: str = "white"
) -> tuple[str, ...]:
    """Write a picture, all of it or nothing (temporary file, then rename). The ending chooses the format. Otherwise as `encode_lines`.

    A picture with a record is signed where a certificate is configured (credentials.py).
    """
    background_colour(background)
    file_format = WRITABLE[path.suffix.lower()]
    signing = configured() if info is not None else None
    with replacing(path, overwrite=overwrite) as file:
        if signing is None or info is None:
            return encode_lines(picture, file, file_format, info, background)
        plain = io.BytesIO()
        remarks = encode_lines(picture, plain, file_format, info, background)
        file.write(signing.sign(plain.getvalue(), file_format, info, path.name))
        return remarks


def encode_lines(
    picture: Lines, out: IO[bytes], file_format: str, info: Mapping[str, Any] | None = None, background: str = "white"
) -> tuple[str, ...]:
    """A picture as PNG (lossless, 8 or 16 bits), JPEG (quality 95, 4:4:4) or WEBP (quality 95).

    A profile is embedded always, sRGB's if the picture has none of its own; a grey picture without one gets none, and is written in colours where it
    has 8 bits. info: the provenance record (`provenance.make_record`). background: what a transparent picture stands on in a JPEG, a colour's name
    or #rrggbb. Returns what the format cannot hold, in words that go on from the file's name. UserError for a colour that is none.
    """
    under = background_colour(background)
    options = metadata_options(info, file_format) if info is not None else {}
    remarks = []
    if picture.deep and file_format != "PNG":
        remarks.append(f"has 8 bits a channel, the photo 16: {file_format} holds no more; write a .png to keep them")
        picture = _shallow(picture)
    if picture.alpha is not None and file_format == "JPEG":
        remarks.append(
            f"cannot be transparent, as the photo is: it stands on {background}; write a .png or .webp, or choose a --background"
        )
        picture = _on_background(picture, under)
    if picture.grey and (file_format == "WEBP" or (picture.profile is None and not picture.deep)):
        if picture.profile is not None:
            raise ValueError("WebP holds no grey pictures with a profile")
        picture = _coloured(picture)
    profile = picture.profile or (None if picture.grey else srgb_profile())
    if file_format == "JPEG":
        options |= {"quality": 95, "subsampling": -1 if picture.grey else 0, "icc_profile": profile}
        write_jpeg(out, picture.rows, picture.width, picture.height, options)
    elif picture.deep:
        write_png(out, _with_alpha(picture), picture.width, picture.height, _png_chunks(profile, options))
    else:
        values = picture.whole()
        options |= {"PNG": {}, "WEBP": {"quality": 95, "exact": True}}[file_format]
        whole = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
        whole.save(out, format=file_format, icc_profile=profile, **options)
    return tuple(remarks)


def background_colour(name: str) -> tuple[int, int, int]:
    """A colour by name or #rrggbb. UserError for what is none."""
    try:
        return ImageColor.getrgb(name)[:3]  # type: ignore[return-value]
    except ValueError as error:
        raise UserError(f"the background {name!r} is no colour; give a name such as white, or #rrggbb") from error


def _shallow(picture: Lines) -> Lines:
    alpha = picture.alpha
    return Lines(
        picture.width,
        picture.height,
        lambda a, b: eight_bits(picture.rows(a, b)),
        None if alpha is None else lambda a, b: eight_bits(alpha(a, b)),
        picture.profile,
    )


def _coloured(picture: Lines) -> Lines:
    return Lines(picture.width, picture.height, lambda a, b: np.repeat(picture.rows(a, b), 3, axis=2), picture.alpha)


def _on_background(picture: Lines, colour: tuple[int, int, int]) -> Lines:
    alpha, channels = picture.alpha, picture.rows(0, 1).shape[2]
    under = from_srgb(np.array(colour, np.float32)[None, None] / 255, picture.profile, channels) * 255  # (1, 1, C)

    def rows(first: int, last: int) -> NDArray[np.uint8]:
        values = picture.rows(first, last)
        cover = np.ones(values.shape[:2], np.float32) if alpha is None else alpha(first, last) / np.float32(255)
        return np.rint(under + cover[..., None] * (values - under)).astype(np.uint8)

    return Lines(picture.width, picture.height, rows, None, picture.profile)


def _with_alpha(picture: Lines) -> Rows:
    alpha = picture.alpha
    return picture.rows if alpha is None else lambda a, b: np.dstack([picture.rows(a, b), alpha(a, b)])


def _png_chunks(profile: bytes | None, options: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """Profile and texts as chunks of a PNG."""
    chunks = [(b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile))] if profile else []
    texts = options["pnginfo"].chunks if "pnginfo" in options else []
    return chunks + [(chunk[0], chunk[1]) for chunk in texts]
