"""Read a picture (S, S, C) where a motion (S, S, 2), in pixels (x right, y down), says it comes from; edges are repeated."""

from __future__ import annotations

import numpy as np

from discontrolface.render.bands import Pair
from discontrolface.render.compiled import compiled, inlined
from discontrolface.render.raster import FloatArray
from discontrolface.render.sampling import cubic


def moved_by(image: FloatArray, flow: FloatArray) -> FloatArray:
    """A picture (S, S, C) at p + flow, bicubic (Catmull-Rom): (S, S, C). Where the motion is 0 it is the picture to the bit."""
    out = np.empty_like(image)
    with Pair(len(image)) as pair:
        pair.bands(_moved, len(image), image, np.ascontiguousarray(flow, np.float32), out)
    return out


def linearly_moved_by(image: FloatArray, flow: FloatArray) -> FloatArray:
    """A picture (S, S, C) at p + flow, bilinear: (S, S, C)."""
    out = np.empty_like(image)
    _linearly_moved(image, np.ascontiguousarray(flow, np.float32), out)
    return out


@compiled
def _moved(first, last, image, flow, out):  # type: ignore[no-untyped-def]
    for i in range(first, last):
        for j in range(image.shape[1]):
            if flow[i, j, 0] == 0 and flow[i, j, 1] == 0:
                for c in range(image.shape[2]):
                    out[i, j, c] = image[i, j, c]
            else:
                cubic_at(image, np.float32(j) + flow[i, j, 0], np.float32(i) + flow[i, j, 1], out[i, j])


@compiled
def _linearly_moved(image, flow, out):  # type: ignore[no-untyped-def]
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            linear_at(image, np.float32(j) + flow[i, j, 0], np.float32(i) + flow[i, j, 1], out[i, j])


@inlined
def linear_at(picture, u, v, out):  # type: ignore[no-untyped-def]
    """A picture (S, S, C) at column u, row v (centres at integers), bilinear, edges repeated, into `out`."""
    last = picture.shape[0] - 1
    u, v = min(max(u, np.float32(0.0)), np.float32(last)), min(max(v, np.float32(0.0)), np.float32(last))
    i, j = min(max(int(v), 0), last), min(max(int(u), 0), last)  # a motion that is no number leads to no place, but within the picture
    below, right = min(i + 1, last), min(j + 1, last)
    v, u = v - np.float32(i), u - np.float32(j)
    for c in range(picture.shape[2]):
        upper = picture[i, j, c] + u * (picture[i, right, c] - picture[i, j, c])
        lower = picture[below, j, c] + u * (picture[below, right, c] - picture[below, j, c])
        out[c] = upper + v * (lower - upper)


@inlined
def cubic_at(picture, u, v, out):  # type: ignore[no-untyped-def]
    """A picture (S, S, C) at column u, row v (centres at integers), bicubic, edges repeated, into `out`."""
    size, channels = picture.shape[0], picture.shape[2]
    floor_u, floor_v = np.floor(u), np.floor(v)
    row, column = int(floor_v), int(floor_u)
    u0, u1, u2, u3 = cubic(np.float32(u - floor_u))
    if column >= 1 and column < size - 2:  # unsigned: no test for counting from the end
        j0, j1, j2, j3 = np.uint64(column - 1), np.uint64(column), np.uint64(column + 1), np.uint64(column + 2)
    else:
        j0, j1 = np.uint64(min(max(column - 1, 0), size - 1)), np.uint64(min(max(column, 0), size - 1))
        j2, j3 = np.uint64(min(max(column + 1, 0), size - 1)), np.uint64(min(max(column + 2, 0), size - 1))
    for c in range(channels):
        out[c] = np.float32(0.0)
    for a, weight in enumerate(cubic(np.float32(v - floor_v))):
        i = np.uint64(min(max(row - 1 + a, 0), size - 1))
        for c in range(channels):
            out[c] += weight * (u0 * picture[i, j0, c] + u1 * picture[i, j1, c] + u2 * picture[i, j2, c] + u3 * picture[i, j3, c])
