"""Group pictures with known faces: the example photo's head, pasted at sizes, angles and places."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from discontrolface.common.example import example_photo

PHOTO = example_photo()
CENTRE, SIZE = (224.0, 117.0), 112.0  # of the face in the example photo, pixels
HALF = 110  # of the square that is cut around it

Placed = tuple[float, float, float, float]  # centre x, y, size in pixels, angle in degrees clockwise


def head(size: float, angle: float) -> tuple[Image.Image, Image.Image]:
    """The head with its face `size` pixels large, turned, and a soft round mask."""
    x, y = (int(v) for v in CENTRE)
    side = max(4, round(2 * HALF * size / SIZE))
    picture = Image.open(PHOTO).convert("RGB").crop((x - HALF, y - HALF, x + HALF, y + HALF)).resize((side, side), Image.Resampling.LANCZOS)
    mask = Image.new("L", (2 * HALF, 2 * HALF))
    ImageDraw.Draw(mask).ellipse((10, 10, 2 * HALF - 10, 2 * HALF - 10), fill=255)
    mask = mask.resize((side, side)).filter(ImageFilter.GaussianBlur(max(0.5, side * 0.015)))
    return tuple(p.rotate(-angle, Image.Resampling.BICUBIC, expand=True) for p in (picture, mask))  # type: ignore[return-value]


def group(width: int, height: int, faces: Sequence[Placed], seed: int = 0) -> NDArray[np.uint8]:
    """A picture (height, width, 3) of blotches with these faces."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 200, (max(2, height // 60), max(2, width // 60), 3), dtype=np.uint8)
    canvas = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    for x, y, size, angle in faces:
        picture, mask = head(size, angle)
        canvas.paste(picture, (round(x - picture.width / 2), round(y - picture.height / 2)), mask)
    return np.asarray(canvas)


def ring(count: int, width: int, size: float, upside_down: Sequence[int]) -> list[Placed]:
    """Faces in a ring around the middle of a square picture."""
    turns = [2 * math.pi * i / count for i in range(count)]
    return [
        (width / 2 + 0.35 * width * math.sin(a), width / 2 - 0.35 * width * math.cos(a), size, 180.0 if i in upside_down else 0.0)
        for i, a in enumerate(turns)
    ]


def matched(boxes: Sequence[tuple[float, float, float, float]], faces: Sequence[Placed]) -> tuple[int, int]:
    """(faces that one of the boxes shows, boxes that show no face)."""
    left = list(boxes)
    found = 0
    for x, y, size, _ in faces:
        near = [
            b for b in left if math.hypot((b[0] + b[2]) / 2 - x, (b[1] + b[3]) / 2 - y) < 0.4 * size and 0.6 < (b[2] - b[0]) / size < 1.7
        ]
        if near:
            left.remove(near[0])
            found += 1
    return found, len(left)
