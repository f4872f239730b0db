"""Pictures of a report as file contents: exact where that is small, else a good JPEG."""

from __future__ import annotations

import io
import re

import numpy as np
from numpy.typing import NDArray

EXACT_BYTES = 400_000  # a larger PNG becomes a JPEG, if that is smaller
JPEG_QUALITY = 92


def encode_picture(image: NDArray[np.uint8]) -> tuple[bytes, str]:
    """(contents, "png" or "jpg") of a picture (H, W, 3) uint8."""
    from PIL import Image

    picture, exact, small = Image.fromarray(image), io.BytesIO(), io.BytesIO()
    picture.save(exact, "PNG")
    if exact.tell() <= EXACT_BYTES:
        return exact.getvalue(), "png"
    picture.save(small, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return (small.getvalue(), "jpg") if small.tell() < exact.tell() else (exact.getvalue(), "png")


def slug(text: str) -> str:
    """A title as a file name or an anchor: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "report"
