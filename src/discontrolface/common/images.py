"""Photos in, pictures out. Files from outside are hostile or odd; every fault is one sentence (UserError)."""

import hashlib
import io
import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.provenance import metadata_options

MAX_PIXELS: Final = 50_000_000
MAX_FILE_BYTES: Final = 500_000_000
MIN_SIDE: Final = 32
# Formats that Pillow decodes itself. Others (EPS, PSD, ...) start programs or hold no photos.
READABLE: Final = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
WRITABLE: Final = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
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
    """

    array: NDArray[np.uint8]
    path: Path
    sha256: str
    alpha: NDArray[np.uint8] | None
    stored_size: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), upright."""
        return self.array.shape[1], self.array.shape[0]


def load_photo(path: str | Path, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photo: EXIF orientation applied, any colour mode and depth turned into 8-bit sRGB, the first frame of an animation.

    Pillow's remarks on odd metadata are Python warnings, as always; nothing of the process is changed here, so that threads may read at once.
    Raises UserError when the file is missing, a folder, not a picture, damaged, smaller than 32 pixels a side or larger than
    `max_pixels` (known from its header, before any pixel is decoded).
    """
    path = Path(path)
    return decode_photo(_read_bytes(path), path, max_pixels)


def decode_photo(data: bytes, path: Path, max_pixels: int = MAX_PIXELS) -> Photo:
    """`load_photo` of a file's bytes, such as an upload. path: what errors call it; nothing is read there."""
    image = _open(path, data, max_pixels)
    try:
        _decode(path, image)
        array, alpha = _to_srgb(image)
    except MemoryError as error:
        raise PhotoError("too large", f"{path} ({image.width}x{image.height}) does not fit into memory; make it smaller") from error
    except (OSError, ValueError) as error:  # pixels or a palette that mean no colours; anything else would be our own fault
        if isinstance(error, PhotoError):
            raise
        raise _damaged(path, error) from error
    turn = _TURNS.get(_orientation(image))
    if turn is not None:
        array = np.asarray(Image.fromarray(array).transpose(turn))
        alpha = None if alpha is None else np.asarray(Image.fromarray(alpha).transpose(turn))
    return Photo(np.ascontiguousarray(array), path, hashlib.sha256(data).hexdigest(), alpha, image.size)


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


def _open(path: Path, data: bytes, max_pixels: int) -> Image.Image:
    """The picture's header, checked. No pixel is decoded."""
    limit = f"more than the limit of {max_pixels / 1e6:g} megapixels; make it smaller first"
    try:
        image = _identified(data)
    except Image.DecompressionBombError as error:  # some of Pillow's decoders have a guard of their own
        raise PhotoError("too large", f"{path} has {limit}") from error
    except Exception:  # header parsers raise what they like
        image = None
    if image is None:
        known = ", ".join(name for name in READABLE if name in Image.OPEN and name != "MPO")
        raise PhotoError("not a picture", f"{path} is not a picture that can be read (known: {known}); convert it to JPEG or PNG")
    width, height = image.size
    if width * height > max_pixels:
        raise PhotoError("too large", f"{path} is {width}x{height}, {width * height / 1e6:.0f} megapixels, {limit}")
    if min(width, height) < MIN_SIDE:
        raise PhotoError("too small", f"{path} is {width}x{height}, smaller than {MIN_SIDE} pixels; use a larger photo")
    return image


def _identified(data: bytes) -> Image.Image | None:
    """The picture as the first of Pillow's formats that knows it (the common ones first: all take 20 ms to load), None if none does.

    This is `Image.open` without its guard against large pictures: that warns through, and is set for, the whole process, and `max_pixels` is
    the stricter limit.
    """
    for load in (Image.preinit, Image.init):
        load()
        for name in READABLE:
            factory, accept = Image.OPEN.get(name, (None, None))
            try:
                known = factory is not None and (accept is None or accept(data[:16]))
                if factory is not None and known and not isinstance(known, str):  # a string says which decoder is not installed
                    return factory(io.BytesIO(data), "")
            except (SyntaxError, IndexError, TypeError, struct.error):  # another format, as `Image.open` understands it
                continue
    return None


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF does not make a photo unreadable
        return 1


def _to_srgb(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Pixels (H, W, 3) and alpha (H, W) or None, uint8, of a picture of any mode."""
    profile = image.info.get("icc_profile")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_grey(image), None
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA" if "transparency" in image.info or (image.palette and image.palette.mode == "RGBA") else "RGB")
    alpha = None
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
        alpha = None if alpha.min() == 255 else alpha
        image = image.convert("RGB")
    if profile:
        image = _apply_profile(image, profile)
    return np.asarray(image.convert("RGB")), alpha


def _deep_grey(image: Image.Image) -> NDArray[np.uint8]:
    """Grey pictures of 16 or 32 bits or floating point, as (H, W, 3) uint8: 65535 is white, for floating point 1."""
    values = np.asarray(image).astype(np.float64)
    white = 1.0 if image.mode == "F" else 65535.0
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > white:
        raise ValueError(f"grey values outside 0..{white:g}")
    grey = np.round(values * (255 / white)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Colours from the picture's ICC profile to sRGB. A profile that cannot be used is ignored, as viewers do."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    return image if converted is None else converted


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
    image: NDArray[np.uint8] | Image.Image,
    path: str | Path,
    overwrite: bool = False,
    info: Mapping[str, Any] | None = None,
    alpha: NDArray[np.uint8] | None = None,
) -> Path:
    """Write a picture, (H, W, 3) uint8 or Pillow, all of it or nothing (temporary file, then rename).

    The ending chooses the format: .png (lossless), .jpg (quality 95, 4:4:4), .webp (quality 95). info: the provenance record
    (`provenance.make_record`). alpha: (H, W) uint8, written by PNG and WebP; JPEG has none and shows the picture on white.
    Raises UserError as `check_output` does, and when the disk is full.
    """
    size = (image.shape[1], image.shape[0]) if isinstance(image, np.ndarray) else image.size
    path = check_output(path, overwrite, size)
    write_atomically(path, encode_photo(image, WRITABLE[path.suffix.lower()], info, alpha), overwrite)
    return path


def encode_photo(
    image: NDArray[np.uint8] | Image.Image,
    file_format: str,  # PNG, JPEG or WEBP
    info: Mapping[str, Any] | None = None,
    alpha: NDArray[np.uint8] | None = None,
) -> bytes:
    """The bytes of the file that `save_photo` writes."""
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image.copy()
    picture.info = {}  # nothing of a source file's metadata goes along
    if alpha is not None:
        picture = picture.convert("RGB")
        picture.putalpha(Image.fromarray(alpha))
    if picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if file_format == "JPEG" and picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    options: dict[str, Any] = {"PNG": {}, "JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"quality": 95, "exact": True}}[file_format]
    buffer = io.BytesIO()
    picture.save(buffer, format=file_format, **options, **(metadata_options(info, file_format) if info is not None else {}))
    return buffer.getvalue()


def encode_picture(picture: NDArray[np.uint8], kind: str = "png") -> bytes:
    """A picture (H, W, 3) as PNG, or as JPEG of quality 95 without colour subsampling."""

    out = io.BytesIO()
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if kind == "jpg" else {"compress_level": 6}
    Image.fromarray(np.ascontiguousarray(picture)).save(out, "JPEG" if kind == "jpg" else "PNG", **options)
    return out.getvalue()
