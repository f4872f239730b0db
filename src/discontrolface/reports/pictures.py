"""Pictures and plots of a report as file contents."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.images import encode_picture
from discontrolface.reports.content import Image, Picture
from discontrolface.reports.plots import plot_svg

EXACT_BYTES = 400_000  # a larger PNG becomes a JPEG, if that is smaller
KINDS = {"png": "image/png", "jpg": "image/jpeg", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class Encoded:
    """A file's contents. ending: one of KINDS. width, height: pixels."""

    data: bytes
    ending: str
    width: int
    height: int


def encode(image: Image, limit: int | None = None) -> Encoded:
    """A plot as SVG; a picture exact where that is small, else as a good JPEG, or, with a limit, as a JPEG of at most so many bytes."""
    if not isinstance(image, Picture):
        data, width, height = plot_svg(image)
        return Encoded(data, "svg", width, height)
    height, width = image.image.shape[:2]
    if limit is not None:
        return Encoded(small_jpeg(image.image, limit), "jpg", width, height)
    exact = encode_picture(image.image)
    small = encode_picture(image.image, "jpg") if len(exact) > EXACT_BYTES else exact
    return Encoded(small, "jpg", width, height) if len(small) < len(exact) else Encoded(exact, "png", width, height)


def small_jpeg(image: NDArray[np.uint8], limit: int) -> bytes:
    """A picture (H, W, 3) as a JPEG of at most `limit` bytes: first the quality goes down, then the size."""
    from PIL import Image as Pillow

    picture = Pillow.fromarray(image)
    while True:
        for quality in (88, 80, 70, 60):
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=quality, optimize=True)
            if out.tell() <= limit:
                return out.getvalue()
        picture = picture.resize((max(1, picture.width * 4 // 5), max(1, picture.height * 4 // 5)), Pillow.Resampling.LANCZOS)
