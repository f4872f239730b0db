"""Lay an edited crop into its photo at the photo's own resolution, the photo's own pixels carried along the edit's motion.

Every pixel of the photo asks where it comes from, and takes that place of the *photo* itself, read once between its pixels (eight by eight,
`reading_table`). The crop, which may be much coarser, says only what is new there.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from discontrolface.render.bands import Pair
from discontrolface.render.compiled import compiled, inlined
from discontrolface.render.flow import cubic_at, linear_at
from discontrolface.render.raster import FloatArray

PHASES = 256  # places between two pixels at which the kernel is tabulated: off by at most 1/512 pixel
TAPS = 8
FINEST_TEXTURE = 0.8  # pixels: sigma of the Gaussian that a camera's finest texture looks through
VISIBLE = 1 / 512  # a mask value below changes no 8-bit level
NEAR, FAR = 1.0, 3.0  # pixels: up to NEAR a motion is taken in part where the mask is partly open, from FAR two pictures are mixed


class Planes(NamedTuple):
    """The edit on the crop's grid. pictures: (S, S, 2 C) in [0, 1], the edit, and what its motion alone would show. maps: (S, S, 4): keep; motion in
    pixels of the photo, x and y; mask."""

    pictures: FloatArray
    maps: FloatArray


class Place(NamedTuple):
    """Where the crop lies. matrix: (2, 3) float64, continuous pixels of the photo to those of the crop. left, top: of the rectangle to fill."""

    matrix: np.ndarray
    left: int
    top: int


class Filled(NamedTuple):
    """A rectangle of the photo. pixels: (h, w, C), the photo's at first. mask: (h, w) float32, 0 at first: how far a pixel is new."""

    pixels: np.ndarray
    mask: FloatArray


def carry_over(photo: np.ndarray, planes: Planes, place: Place, out: Filled) -> None:
    """Fill `out`: photo + mask * (edit + keep * (photo moved - motion alone) - photo). photo: (H, W, C) uint8 or
    uint16. Where the mask is 0 nothing is touched."""
    rows = out.mask.shape[0]
    white = np.float32(np.iinfo(photo.dtype).max)
    with Pair(rows) as pair:
        pair.bands(_carry, rows, photo, white, reading_table(), planes, place, out)


@cache
def reading_table() -> FloatArray:
    """(PHASES + 1, TAPS) weights of the eight pixels around a place, which lies after the fourth; each row sums to 1, the first is a copy.

    The linear estimate with the least squared error (Wiener's; kriging) for white noise seen through a Gaussian: weights w of least mean
    (x(p) - w . x(pixels))^2, given their covariances r(d) = integral over |f| <= pi of exp(-(FINEST_TEXTURE f)^2) cos(f d). Lanczos' six by six
    keep less of such texture, and the more the finer it is.
    """
    phase = np.arange(PHASES + 1)[:, None] / PHASES
    pixels = np.arange(TAPS) - (TAPS // 2 - 1)
    frequencies = (np.arange(4096) + 0.5) * (np.pi / 4096)
    spectrum = np.exp(-((FINEST_TEXTURE * frequencies) ** 2))

    def covariance(distance: np.ndarray) -> np.ndarray:
        return np.cos(distance[..., None] * frequencies) @ spectrum

    system = np.ones((TAPS + 1, TAPS + 1))  # the last row and column: the weights sum to 1
    system[:TAPS, :TAPS] = covariance(pixels[:, None] - pixels[None].astype(float))
    system[TAPS, TAPS] = 0
    asked = np.concatenate([covariance(phase - pixels[None]), np.ones((PHASES + 1, 1))], axis=1)
    weights = np.linalg.solve(system, asked.T).T[:, :TAPS]
    weights[[0, -1]] = np.rint(weights[[0, -1]])
    return weights.astype(np.float32)


@compiled
def _carry(first, last, photo, white, table, planes, place, out):  # type: ignore[no-untyped-def]
    """`carry_over` for the rows first..last-1 of the rectangle."""
    pictures, maps, matrix, left, top = planes.pictures, planes.maps, place.matrix, place.left, place.top
    pixels, mask = out.pixels, out.mask
    size, channels = pictures.shape[0], pictures.shape[2] // 2
    zero, half, one, scale = np.float32(0.0), np.float32(0.5), np.float32(1.0), np.float32(1.0) / white
    new, own, at = np.empty(8, np.float32), np.empty(4, np.float32), np.empty(4, np.float32)
    for i in range(first, last):
        for j in range(mask.shape[1]):
            row, column = top + i, left + j
            u = matrix[0, 0] * (column + 0.5) + matrix[0, 1] * (row + 0.5) + matrix[0, 2] - 0.5
            v = matrix[1, 0] * (column + 0.5) + matrix[1, 1] * (row + 0.5) + matrix[1, 2] - 0.5
            if u < -0.5 or v < -0.5 or u > size - 0.5 or v > size - 0.5:
                continue
            linear_at(maps, np.float32(u), np.float32(v), at)
            m = min(at[3], one)
            if m < np.float32(VISIBLE):
                continue
            mask[i, j] = m
            keep, dx, dy = at[0], at[1], at[2]
            cubic_at(pictures, np.float32(u), np.float32(v), new)
            share = (np.sqrt(dx * dx + dy * dy) - np.float32(NEAR)) / np.float32(FAR - NEAR)
            share = min(max(share, zero), one)
            # Small motions are taken in part where the mask is partly open; two pictures a pixel apart, mixed, would be blurred.
            part = m + (one - m) * share
            _photo_at(photo, table, column, row, part * dx, part * dy, own)
            for c in range(channels):
                new[c] += keep * (own[c] * scale - new[channels + c])
            if m < one and share > zero:
                part = m * (one - share)
                _photo_at(photo, table, column, row, part * dx, part * dy, own)
            for c in range(channels):
                value = own[c] * scale
                value += m * (new[c] - value)
                pixels[i, j, c] = np.uint16(min(max(value, zero), one) * white + half)


@inlined
def _photo_at(photo, table, column, row, dx, dy, out):  # type: ignore[no-untyped-def]
    """The photo (H, W, C) at (column + dx, row + dy), centres at integers, edges repeated, into `out`, in levels."""
    height, width, channels = photo.shape
    steps = np.float32(PHASES)
    whole_x, whole_y = np.floor(dx), np.floor(dy)
    phase_x, phase_y = int((dx - whole_x) * steps + np.float32(0.5)), int((dy - whole_y) * steps + np.float32(0.5))
    x, y = column + int(whole_x), row + int(whole_y)
    for c in range(channels):
        out[c] = np.float32(0.0)
    if phase_x == 0 and phase_y == 0:
        i, j = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        for c in range(channels):
            out[c] = np.float32(photo[i, j, c])
        return
    x -= TAPS // 2 - 1
    y -= TAPS // 2 - 1
    inside = x >= 0 and y >= 0 and x + TAPS <= width and y + TAPS <= height
    if inside and channels == 3:  # nearly every pixel; unsigned: no test for counting from the end
        red, green, blue, first = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.uint64(x)
        for a in range(TAPS):
            i, vertical = np.uint64(y + a), table[phase_y, a]
            r, g, b = np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for k in range(TAPS):
                j, weight = first + np.uint64(k), table[phase_x, k]
                r += weight * np.float32(photo[i, j, 0])
                g += weight * np.float32(photo[i, j, 1])
                b += weight * np.float32(photo[i, j, 2])
            red += vertical * r
            green += vertical * g
            blue += vertical * b
        out[0], out[1], out[2] = red, green, blue
        return
    for a in range(TAPS):
        i, vertical = min(max(y + a, 0), height - 1), table[phase_y, a]
        for k in range(TAPS):
            j, weight = min(max(x + k, 0), width - 1), vertical * table[phase_x, k]
            for c in range(channels):
                out[c] += weight * np.float32(photo[i, j, c])
