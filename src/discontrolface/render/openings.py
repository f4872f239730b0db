"""What lies behind openings of the skin (eyes, mouth): shared pieces. Soft masks, and laying the inside under the skin with a clean edge."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.render.compiled import compiled
from discontrolface.render.join import Moved
from discontrolface.render.motion import MeshMotion
from discontrolface.render.raster import FloatArray
from discontrolface.render.surface import Surface


class Opening(NamedTuple):
    """All that `draw_mouth` and `draw_eyes` read of the photo and of the target.

    image: (H, W, 3) the photo; photo_layer: (H, W) layer of its pixels; cover: (H, W) a soft mask of its opening.
    surface, mesh, moved: of the target (the skin's motion is continued over the opening); room: (H, W) a soft mask of its opening.
    """

    image: FloatArray
    photo_layer: np.ndarray
    cover: FloatArray
    surface: Surface
    mesh: MeshMotion
    moved: Moved
    room: FloatArray


class Canvas(NamedTuple):
    """A window of the picture, from row top and column left on, for what lies behind an opening. inside: (h, w, 3) colours; seen, touched: (h, w)
    visibility and change; drawn: (h, w) bool, where."""

    top: int
    left: int
    inside: FloatArray
    seen: FloatArray
    touched: FloatArray
    drawn: np.ndarray

    @classmethod
    def blank(cls, box: Box) -> Canvas:
        """Nothing drawn yet."""
        shape = (box.bottom - box.top, box.right - box.left)
        return cls(
            top=box.top,
            left=box.left,
            inside=np.zeros((*shape, 3), np.float32),
            seen=np.zeros(shape, np.float32),
            touched=np.zeros(shape, np.float32),
            drawn=np.zeros(shape, np.bool_),
        )


class Box(NamedTuple):
    """A window of the picture: rows top..bottom-1, columns left..right-1."""

    top: int
    bottom: int
    left: int
    right: int


def bounds(mask: np.ndarray, pad: int) -> Box | None:
    """The smallest window around True pixels, padded and clipped; None if there are none."""
    rows = np.flatnonzero(mask.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(0))
    height, width = mask.shape
    return Box(max(rows[0] - pad, 0), min(rows[-1] + 1 + pad, height), max(columns[0] - pad, 0), min(columns[-1] + 1 + pad, width))


def soft_mask(mask: np.ndarray, radius: int) -> FloatArray:
    """(H, W) bool to float32: the mean over a square of 2 radius + 1 pixels, taken twice (a smooth edge 4 radius + 1 pixels wide)."""
    out = np.zeros(mask.shape, np.float32)
    box = bounds(mask, 2 * radius)
    if box is None:
        return out
    window = np.ascontiguousarray(mask[box.top : box.bottom, box.left : box.right], np.float32)
    out[box.top : box.bottom, box.left : box.right] = _box_blur(_box_blur(window, radius), radius)
    return out


def smoothed(value: FloatArray) -> FloatArray:
    """(H, W) averaged over 3 x 3 pixels, where it is not 0 anyway."""
    out = np.zeros_like(value)
    box = bounds(value > 0, 1)
    if box is not None:
        out[box.top : box.bottom, box.left : box.right] = _box_blur(value[box.top : box.bottom, box.left : box.right], 1)
    return out


@compiled
def _box_blur(value, radius):  # type: ignore[no-untyped-def]
    height, width = value.shape
    scale = np.float32(1.0) / np.float32(2 * radius + 1)
    rows = np.empty((height, width), np.float32)
    for i in range(height):
        for j in range(width):
            total = np.float32(0.0)
            for k in range(max(j - radius, 0), min(j + radius + 1, width)):
                total += value[i, k]
            rows[i, j] = total * scale
    out = np.empty((height, width), np.float32)
    for i in range(height):
        for j in range(width):
            total = np.float32(0.0)
            for k in range(max(i - radius, 0), min(i + radius + 1, height)):
                total += rows[k, j]
            out[i, j] = total * scale
    return out


@compiled
def lay_under(colours, canvas, radius):  # type: ignore[no-untyped-def]
    """Mix what was drawn on the canvas under the skin in `colours` (Colours), with an edge 2 `radius` pixels wide. In place.

    Within the edge each side is continued by the mean of its neighbours, so that neither the skin's stretched motion nor undrawn pixels show.
    """
    picture, visibility, change = colours.picture, colours.visibility, colours.change
    inside, seen, touched, drawn, top, left = canvas.inside, canvas.seen, canvas.touched, canvas.drawn, canvas.top, canvas.left
    rows, columns = drawn.shape
    skin = picture[top : top + rows, left : left + columns].copy()
    inner_colour, outer_colour = np.empty(3, np.float32), np.empty(3, np.float32)
    one, zero = np.float32(1.0), np.float32(0.0)
    for i in range(rows):
        for j in range(columns):
            inner, outer, sight, new = zero, zero, zero, zero
            inner_colour[:] = 0
            outer_colour[:] = 0
            for a in range(max(i - radius, 0), min(i + radius + 1, rows)):
                for b in range(max(j - radius, 0), min(j + radius + 1, columns)):
                    if drawn[a, b]:
                        inner += one
                        sight += seen[a, b]
                        new = max(new, touched[a, b])
                        for k in range(3):
                            inner_colour[k] += inside[a, b, k]
                    else:
                        outer += one
                        for k in range(3):
                            outer_colour[k] += skin[a, b, k]
            if inner == 0:
                continue
            share = inner / (inner + outer)
            own = seen[i, j] if drawn[i, j] else zero  # what was invented is smoothed, photo pixels stay
            y, x = top + i, left + j
            moving = new > 0 or change[y, x] > 0
            if not moving:
                share = one if drawn[i, j] else zero
            for k in range(3):
                under = inner_colour[k] / inner
                if drawn[i, j]:
                    under += own * (inside[i, j, k] - under)
                over = outer_colour[k] / outer if drawn[i, j] and outer > 0 else skin[i, j, k]
                picture[y, x, k] = over + share * (under - over)
            if drawn[i, j]:
                visibility[y, x] = seen[i, j]
                change[y, x] = max(touched[i, j], one - share if new > 0 else zero)
            else:
                visibility[y, x] += share * (sight / inner - visibility[y, x])
                change[y, x] = max(change[y, x], new if share > 0 else zero)
