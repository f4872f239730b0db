"""Colour profiles: from a photo's own to sRGB, and an edit's sRGB back into the photo's own."""

from __future__ import annotations

import io
import struct
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from discontrolface.common.pixels import to_float, to_uint8

LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_FAULTS: Final = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
_DATE: Final = struct.pack(
    ">6H", 2026, 1, 1, 0, 0, 0
)  # of our sRGB profile: LittleCMS writes the time of day, so that equal pictures would differ


@cache
def srgb_profile() -> bytes:
    """The sRGB profile that is embedded in what is written: always the same bytes."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = _DATE
    profile[84:100] = bytes(16)  # the profile's ID, a checksum: 0 says that it was not calculated
    return bytes(profile)


def transform_to_srgb(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From pictures of a Pillow mode with that profile to sRGB; None without a profile, for sRGB, and for one that cannot be used."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    except _FAULTS:
        return None


def can_write(profile: bytes, channels: int) -> bool:
    """Whether sRGB pictures can be turned into that profile: some profiles work in one direction only."""
    return _transform_from_srgb(profile, channels) is not None


def from_srgb(picture: NDArray[np.floating], profile: bytes | None, channels: int) -> NDArray[np.float32]:
    """A picture (H, W, 3) in [0, 1], sRGB, as (H, W, channels) in the encoding of a profile; None: sRGB itself, or its brightness.

    Through a profile it goes with 8 bits. ValueError for a profile that cannot be written.
    """
    if profile is None:
        values = np.asarray(picture, np.float32)
        return values if channels == 3 else (values @ LUMA)[..., None]
    transform = _transform_from_srgb(profile, channels)
    if transform is None:
        raise ValueError("the profile cannot be written")
    converted = ImageCms.applyTransform(Image.fromarray(to_uint8(picture)), transform)
    if converted is None:
        raise ValueError("the profile cannot be written")
    return to_float(np.asarray(converted)).reshape(*picture.shape[:2], channels)


def _transform_from_srgb(profile: bytes, channels: int) -> ImageCms.ImageCmsTransform | None:
    try:
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGB" if channels == 3 else "L"
        return ImageCms.buildTransform(ImageCms.createProfile("sRGB"), target, "RGB", mode, ImageCms.Intent.RELATIVE_COLORIMETRIC)
    except _FAULTS:
        return None
