"""A decoded Pillow picture of any mode and depth as arrays: 8-bit sRGB for looking at it, and the photo's own pixels for writing it back.

Colours are converted a strip of rows at a time, so that a photo of 200 megapixels is in memory once as Pillow's picture and once as an array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from discontrolface.common.colour import can_write, transform_to_srgb

STRIP_PIXELS: Final = 4_000_000
NATIVE_PIXELS: Final = 100_000_000  # larger photos are not kept twice: that would take more than 2 GB
# How a decoder names 16 bits a channel, and what reads the lower byte in place of the upper: Pillow has no mode for 16-bit colours.
_LOWER: Final = {f"{mode};16{order}": f"{mode};16{lower}" for mode in ("RGB", "RGBA") for order, lower in ("BL", "LB", "NB")}
_WITH_ALPHA: Final = ("RGBA", "LA", "PA", "RGBa", "La")


@dataclass(frozen=True)
class Native:
    """Pixels in a photo's own encoding. values: (H, W, C) uint8 or uint16, C = 3 or 1 (grey). profile: ICC, None: sRGB, or grey without one.
    alpha: (H, W) as `values`, None: opaque."""

    values: NDArray[Any]
    profile: bytes | None
    alpha: NDArray[Any] | None = None

    @property
    def deep(self) -> bool:
        """16 bits a channel."""
        return self.values.dtype == np.uint16


@dataclass(frozen=True)
class Decoded:
    """array: (H, W, 3) uint8 sRGB. alpha: (H, W) uint8, None where all is opaque. native: what 8-bit sRGB does not hold, None if it holds all.
    remarks: what was given up, in words that go on from the photo's name."""

    array: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    native: Native | None
    remarks: tuple[str, ...]

    def turned(self, method: Image.Transpose) -> Decoded:
        """Made upright."""
        native = self.native
        if native is not None:
            native = replace(native, values=_turned(native.values, method), alpha=_turned(native.alpha, method))
        return replace(self, array=_turned(self.array, method), alpha=_turned(self.alpha, method), native=native)


def decoded(image: Image.Image, lower: Image.Image | None) -> Decoded:
    """The pixels of a picture that was loaded. lower: from `lower_bytes`. ValueError for values that mean no colours."""
    profile = image.info.get("icc_profile") or None
    remarks = []
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_grey(image, profile)
    if image.mode == "CMYK":
        remarks.append("is in CMYK colours; they become sRGB")
    if image.mode == "P" or "transparency" in image.info:
        image = image.convert("RGBA" if "transparency" in image.info or (image.palette and image.palette.mode == "RGBA") else "RGB")
        lower = None
    transparent = image.mode in _WITH_ALPHA
    mode = "RGB" if transparent else image.mode
    transform = transform_to_srgb(profile, mode)
    own = lower is not None or (transform is not None and mode in ("RGB", "L"))
    own = own and (profile is None or transform is None or can_write(profile, 1 if mode == "L" else 3))
    width, height = image.size
    if own and width * height > NATIVE_PIXELS:
        own = False
        remarks.append("is too large to keep its own profile beside sRGB; the edit is written in sRGB")
    array = np.empty((height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if transparent else None
    values = np.empty((height, width, 1 if mode == "L" else 3), np.uint8 if lower is None else np.uint16) if own else None
    deep_alpha = np.empty((height, width), np.uint16) if transparent and own and lower is not None else None
    for rows, part in _strips(image):
        if alpha is not None:
            part = part.convert("RGBA")
            alpha[rows] = np.asarray(part.getchannel("A"))
            part = part.convert("RGB")
        if values is not None:
            values[rows] = np.asarray(part).reshape(values[rows].shape)
        if lower is not None:
            deep = _joined(
                np.asarray(image.crop((0, rows.start, width, rows.stop))), np.asarray(lower.crop((0, rows.start, width, rows.stop)))
            )
            part = Image.fromarray(eight_bits(deep[..., :3]))
            if values is not None:
                values[rows] = deep[..., :3]
            if alpha is not None:
                alpha[rows] = eight_bits(deep[..., 3])
            if deep_alpha is not None:
                deep_alpha[rows] = deep[..., 3]
        array[rows] = np.asarray(_converted(part, transform).convert("RGB"))
    if alpha is not None and alpha.min() == 255:
        alpha = None
    own_alpha = None if alpha is None else deep_alpha if deep_alpha is not None else alpha
    native = None if values is None else Native(values, profile if transform is not None else None, own_alpha)
    return Decoded(array, alpha, native, tuple(remarks))


def is_deep(image: Image.Image) -> bool:
    """Whether a picture that was not loaded yet has colours of 16 bits a channel that can be read, and kept, in full."""
    whole = image.mode in ("RGB", "RGBA") and _raw_modes(image) <= set(_LOWER) and "transparency" not in image.info
    return has_sixteen_bits(image) and whole and image.width * image.height <= NATIVE_PIXELS


def has_sixteen_bits(image: Image.Image) -> bool:
    """Whether a picture that was not loaded yet has colours of 16 bits a channel."""
    return not image.mode.startswith("I") and any(";16" in mode for mode in _raw_modes(image))


def lower_bytes(image: Image.Image) -> Image.Image:
    """The picture of the lower bytes of 16-bit colours; `image`: opened anew, not loaded. Its upper bytes are what Pillow reads."""
    image.tile = [tile._replace(args=_with_lower(tile.args)) for tile in image.tile]  # type: ignore[attr-defined]
    image.load()
    return image


def _raw_modes(image: Image.Image) -> set[str]:
    modes = {tile.args if isinstance(tile.args, str) else tile.args[0] for tile in getattr(image, "tile", []) if tile.args}
    return {mode for mode in modes if isinstance(mode, str)}


def _with_lower(args: Any) -> Any:
    return _LOWER[args] if isinstance(args, str) else (_LOWER[args[0]], *args[1:])


def _joined(upper: NDArray[np.uint8], lower: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return np.asarray((upper.astype(np.uint16) << 8) | lower, np.uint16)


def eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16 bits as 8, rounded."""
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _deep_grey(image: Image.Image, profile: bytes | None) -> Decoded:
    """Grey pictures of 16 or 32 bits or floating point: 65535 is white, for floating point 1."""
    values = np.asarray(image)
    white = 1.0 if image.mode == "F" else 65535.0
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > white:
        raise ValueError(f"grey values outside 0..{white:g}")
    transform = transform_to_srgb(profile, "L")
    array = np.empty((*values.shape, 3), np.uint8)
    for rows, _ in _strips(image):
        grey = Image.fromarray(np.round(values[rows].astype(np.float64) * (255 / white)).astype(np.uint8))
        array[rows] = np.asarray(_converted(grey, transform).convert("RGB"))
    if image.mode == "F":
        return Decoded(array, None, None, ("has grey values in floating point; they become 8 bits",))
    own = profile if profile is not None and transform is not None and can_write(profile, 1) else None
    return Decoded(array, None, Native(values.astype(np.uint16)[..., None], own), ())


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def _converted(part: Image.Image, transform: ImageCms.ImageCmsTransform | None) -> Image.Image:
    if transform is None:
        return part
    converted = ImageCms.applyTransform(part, transform)
    return part if converted is None else converted


_TURN: Final[dict[Image.Transpose, Callable[[NDArray[Any]], NDArray[Any]]]] = {
    Image.Transpose.FLIP_LEFT_RIGHT: lambda a: a[:, ::-1],
    Image.Transpose.ROTATE_180: lambda a: a[::-1, ::-1],
    Image.Transpose.FLIP_TOP_BOTTOM: lambda a: a[::-1],
    Image.Transpose.TRANSPOSE: lambda a: a.swapaxes(0, 1),
    Image.Transpose.ROTATE_270: lambda a: a.swapaxes(0, 1)[:, ::-1],
    Image.Transpose.TRANSVERSE: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    Image.Transpose.ROTATE_90: lambda a: a.swapaxes(0, 1)[::-1],
}


def _turned(values: Any, method: Image.Transpose) -> Any:
    return None if values is None else np.ascontiguousarray(_TURN[method](values))
