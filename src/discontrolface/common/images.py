"""Photos in, pictures out. Files from outside are hostile or odd; every fault is one sentence (UserError)."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from discontrolface.common.credentials import configured
from discontrolface.common.decoding import Decoded, Native, decoded, has_sixteen_bits, is_deep, lower_bytes
from discontrolface.common.errors import UserError
from discontrolface.common.left_out import left_out
from discontrolface.common.opening import READABLE, opened
from discontrolface.common.pixels import filled
from discontrolface.common.writing import WRITABLE, Lines, encode_lines, write_lines

MAX_MEGAPIXELS: Final = 250.0
MAX_FILE_BYTES: Final = 500_000_000
MIN_SIDE: Final = 32
LONGEST_SIDE: Final = {"PNG": 2**31 - 1, "JPEG": 65_500, "WEBP": 16_383}

# What may be wrong with a photo's file, in the words of reports.
PHOTO_FAULTS: Final = ("missing", "not a file", "empty", "not a picture", "damaged", "too small", "too large", "not readable")


class PhotoError(UserError):
    """A file that is no usable photo. fault: one of PHOTO_FAULTS; the message is a sentence as every UserError's."""

    def __init__(self, fault: str, message: str) -> None:
        super().__init__(message)
        self.fault = fault


_TURNS: Final = {  # EXIF orientation -> what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    array: (H, W, 3) uint8, sRGB, upright. path: where it came from. sha256: hex digest of the file's bytes.
    alpha: (H, W) uint8 when the file had transparency, else None. stored_size: (width, height) in the file, before EXIF orientation.
    native: the photo in its own colour profile and depth, upright; None where `array` and `alpha` hold all of it. remarks: what of the file is
    left out, in words that go on from the photo's name ("is in CMYK colours; they become sRGB").
    """

    array: NDArray[np.uint8]
    path: Path
    sha256: str
    alpha: NDArray[np.uint8] | None
    stored_size: tuple[int, int]
    native: Native | None = None
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(cls, picture: NDArray[np.uint8], path: Path) -> Photo:
        """A picture (H, W, 3) that comes from no file of its own: a frame, a drawing. path: what errors call it; sha256: of its pixels."""
        return cls(picture, path, hashlib.sha256(picture.tobytes()).hexdigest(), None, (picture.shape[1], picture.shape[0]))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), upright."""
        return self.array.shape[1], self.array.shape[0]

    @cached_property
    def filled(self) -> NDArray[np.uint8]:
        """`array`, and where it is transparent the colours around: what an edit works on."""
        return self.array if self.alpha is None else filled(self.array, self.alpha)


def load_photo(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> Photo:
    """Read a photo: EXIF orientation applied, any colour mode and depth turned into 8-bit sRGB, the first frame of an animation.

    Pillow's remarks on odd metadata are Python warnings, as always; nothing of the process is changed here, so that threads may read at once.
    Raises UserError when the file is missing, a folder, not a picture, damaged, smaller than 32 pixels a side or larger than
    `max_megapixels` (known from its header, before any pixel is decoded).
    """
    path = Path(path)
    return decode_photo(_read_bytes(path), path, max_megapixels)


def decode_photo(data: bytes, path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> Photo:
    """`load_photo` of a file's bytes, such as an upload. path: what errors call it; nothing is read there."""
    image = _open(path, data, max_megapixels)
    size, turn = image.size, None
    try:
        deep = is_deep(image)
        shallow = () if deep or not has_sixteen_bits(image) else ("has 16 bits a channel that cannot all be kept; they become 8",)
        _decode(path, image)
        turn = _TURNS.get(_orientation(image))
        pixels = decoded(image, _lower(data) if deep else None)
        del image  # four bytes a pixel
        if turn is not None:
            pixels = pixels.turned(turn)
    except MemoryError as error:
        raise PhotoError("too large", f"{path} ({size[0]}x{size[1]}) does not fit into memory; make it smaller") from error
    except (OSError, ValueError) as error:  # pixels or a palette that mean no colours; anything else would be our own fault
        if isinstance(error, PhotoError):
            raise
        raise _damaged(path, error) from error
    return _photo(path, data, replace(pixels, remarks=(*shallow, *pixels.remarks)), size)


def _photo(path: Path, data: bytes, pixels: Decoded, stored_size: tuple[int, int]) -> Photo:
    digest = hashlib.sha256(data).hexdigest()
    return Photo(pixels.array, path, digest, pixels.alpha, stored_size, pixels.native, (*pixels.remarks, *left_out(data)))


def _lower(data: bytes) -> Image.Image | None:
    """The lower bytes of a file of 16-bit colours; None where the decoder does not hand them over."""
    image = _identified(data)
    try:
        return None if image is None else lower_bytes(image)
    except (OSError, ValueError, SyntaxError, KeyError):
        return None


def _decode(path: Path, image: Image.Image) -> None:
    """Read the pixels of the first frame."""
    try:
        image.seek(0)
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # decoders fail in many ways on damaged files: OSError, SyntaxError, ValueError, zlib.error, ...
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> PhotoError:
    return PhotoError("damaged", f"{path} is damaged or cut off and cannot be decoded ({error}); try to export it again")


def _read_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise PhotoError("not a file", f"{path} is a folder; give the path of one photo")
        if not stat.S_ISREG(status.st_mode):
            raise PhotoError("not a file", f"{path} is not a file; give the path of one photo")
        if status.st_size == 0:
            raise PhotoError("empty", f"{path} is empty; it holds no picture")
        if status.st_size > MAX_FILE_BYTES:
            raise PhotoError(
                "too large", f"{path} has {status.st_size / 1e6:.0f} MB, more than the limit of {MAX_FILE_BYTES / 1e6:.0f} MB for a photo"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PhotoError("missing", f"{path} does not exist; check the path of the photo") from error
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise PhotoError("not readable", f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _open(path: Path, data: bytes, max_megapixels: float) -> Image.Image:
    """The picture's header, checked. No pixel is decoded."""
    limit = f"more than the limit of {max_megapixels:g} megapixels; make it smaller first, or raise the limit with --max-megapixels"
    try:
        image = _identified(data)
    except Image.DecompressionBombError as error:  # some of Pillow's decoders have a guard of their own
        raise PhotoError("too large", f"{path} has {limit}") from error
    except Exception:  # header parsers raise what they like
        image = None
    if image is None:
        if _is_heic(data):
            raise PhotoError("not a picture", f"{path} is a HEIC photo; install what reads it with pip install 'discontrolface[heif]'")
        known = ", ".join(name for name in READABLE if name in Image.OPEN and name != "MPO")
        raise PhotoError("not a picture", f"{path} is not a picture that can be read (known: {known}); convert it to JPEG or PNG")
    width, height = image.size
    if width * height > max_megapixels * 1e6:
        raise PhotoError("too large", f"{path} is {width}x{height}, {width * height / 1e6:.0f} megapixels, {limit}")
    if min(width, height) < MIN_SIDE:
        raise PhotoError("too small", f"{path} is {width}x{height}, smaller than {MIN_SIDE} pixels; use a larger photo")
    return image


def _identified(data: bytes) -> Image.Image | None:
    """The picture, not decoded yet; None for no known format."""
    return opened(io.BytesIO(data)) or _heic(data)


def _is_heic(data: bytes) -> bool:
    """By the brands of HEIC (ISO/IEC 23008-12, annex B)."""
    return data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def _heic(data: bytes) -> Image.Image | None:
    """A HEIC photo by pillow-heif, where that is installed; Pillow itself reads AVIF."""
    if not _is_heic(data):
        return None
    try:
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError:
        return None
    try:
        return HeifImageFile(io.BytesIO(data), "")
    except (SyntaxError, IndexError, TypeError, struct.error):
        return None


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF does not make a photo unreadable
        return 1


def check_output(path: str | Path, overwrite: bool = False, size: tuple[int, int] | None = None) -> Path:
    """Say before the long work whether a picture can be written there. size: (width, height) if known.

    Raises UserError when the ending is unknown, the folder is missing or not writable, the path is a folder, the file exists and
    `overwrite` is False, or the format cannot hold a picture of that size.
    """
    path = Path(path)
    file_format = WRITABLE.get(path.suffix.lower())
    if file_format is None:
        ending = f"the ending {path.suffix}" if path.suffix else "no ending"
        raise UserError(f"{path} has {ending}, which is not a known picture format; use one of {', '.join(WRITABLE)}")
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder; give the path of the picture to write")
        if not path.parent.is_dir():
            raise UserError(f"the folder {path.parent} of the output {path.name} does not exist; create it first")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise UserError(f"the folder {path.parent} is not writable; choose another folder for {path.name}")
        if not overwrite and os.path.lexists(path):
            raise UserError(f"{path} exists already; choose another name or allow overwriting with --overwrite")
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    if size is not None and max(size) > LONGEST_SIDE[file_format]:
        raise UserError(f"{path}: {file_format} cannot hold {size[0]}x{size[1]} pixels; write a .png")
    return path


def save_photo(
    image: NDArray[Any] | Image.Image,
    path: str | Path,
    overwrite: bool = False,
    info: Mapping[str, Any] | None = None,
    alpha: NDArray[Any] | None = None,
    profile: bytes | None = None,
    background: str = "white",
) -> Path:
    """Write a picture, (H, W, 3 or 1) uint8 or uint16 or Pillow: see `writing.write_lines`. alpha: (H, W). Raises UserError
    as `check_output` and `write_lines` do."""
    path = Path(path)
    lines = _lines_of(image, alpha, profile)
    check_output(path, overwrite, (lines.width, lines.height))
    write_lines(lines, path, overwrite, info, background)
    return path


def encode_photo(image: NDArray[np.uint8] | Image.Image, file_format: str, info: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of the file that `save_photo` writes. file_format: PNG, JPEG or WEBP."""
    out = io.BytesIO()
    encode_lines(_lines_of(image), out, file_format, info)
    signing = configured() if info is not None else None
    return out.getvalue() if signing is None or info is None else signing.sign(out.getvalue(), file_format, info, "picture")


def _lines_of(image: NDArray[Any] | Image.Image, alpha: NDArray[Any] | None = None, profile: bytes | None = None) -> Lines:
    """A picture to be written, without any metadata of its source."""
    if isinstance(image, Image.Image):
        mode = image.mode if image.mode in ("RGB", "RGBA", "L") else "RGBA" if image.has_transparency_data else "RGB"
        image = np.asarray(image.convert(mode))
        image = image[..., None] if image.ndim == 2 else image
        if image.shape[2] == 4:
            alpha = image[..., 3] if alpha is None else alpha
            image = image[..., :3]
    return Lines.of(Native(image, profile, alpha))


def encode_picture(picture: NDArray[np.uint8], kind: str = "png") -> bytes:
    """A picture (H, W, 3) as PNG, or as JPEG of quality 95 without colour subsampling."""

    out = io.BytesIO()
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if kind == "jpg" else {"compress_level": 6}
    Image.fromarray(np.ascontiguousarray(picture)).save(out, "JPEG" if kind == "jpg" else "PNG", **options)
    return out.getvalue()
