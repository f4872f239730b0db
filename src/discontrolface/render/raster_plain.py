"""The z-buffer of a small picture in NumPy, the same bits as the kernels': reading one photo need not wait for Numba to load (0.4 s).

All pixels of all triangles' bounding boxes at once; edge functions are exact integers in float64, so the order of the sums does not matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SUBPIXEL = 4096.0  # steps a pixel that vertices are snapped to

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class _Triangles(NamedTuple):
    """N triangles that may show, with b and c swapped where they face the camera, so that areas are positive. number: of the face; corners (N, 3)."""

    number: Integers
    corners: Integers
    front: NDArray[np.bool_]
    x: Floats  # (N, 3), 1/SUBPIXEL pixels
    y: Floats
    area: Floats  # twice


def fill(
    points: NDArray[np.float32], corners: NDArray[np.int32], height: int, width: int, cull: bool
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """triangle (H, W), barycentric (H, W, 3), depth (H, W), see `Raster`."""
    triangles = _facing(points, corners, height, width, cull)
    owner, row, column = _pixels(triangles, height, width)
    x, y = triangles.x[owner], triangles.y[owner]
    place_x, place_y = column * SUBPIXEL, row * SUBPIXEL
    edges, inside = [], np.ones(len(owner), bool)
    for a, b in ((1, 2), (2, 0), (0, 1)):  # the edge opposite to corner 0, 1, 2
        along_x, along_y = x[:, b] - x[:, a], y[:, b] - y[:, a]
        edge = along_x * (place_y - y[:, a]) - along_y * (place_x - x[:, a])
        least = np.where(
            (along_y < 0) | ((along_y == 0) & (along_x > 0)), 0.0, 1.0
        )  # at 0 a pixel is inside if the edge is a top or a left one
        inside &= edge >= least
        edges.append(edge)
    owner, pixel = owner[inside], (row * width + column)[inside]
    weights = np.stack(edges, 1)[inside] * (1.0 / triangles.area[owner])[:, None]  # (M, 3)
    z = points[triangles.corners[owner], 2].astype(np.float64)
    depths = (weights[:, 0] * z[:, 0] + weights[:, 1] * z[:, 1] + weights[:, 2] * z[:, 2]).astype(np.float32)

    order = np.lexsort((owner, -depths, pixel))  # the nearest first; at equal depth the lower index
    first = order[np.append(True, pixel[order][1:] != pixel[order][:-1])] if len(order) else order
    triangle, depth = np.full(height * width, -1, np.int32), np.full(height * width, -np.inf, np.float32)
    barycentric = np.zeros((height * width, 3), np.float32)
    seen, own = pixel[first], owner[first]
    triangle[seen], depth[seen] = triangles.number[own], depths[first]
    swapped = np.where(triangles.front[own][:, None], [[0, 2, 1]], [[0, 1, 2]])
    barycentric[seen] = np.take_along_axis(weights[first], swapped, 1)
    return triangle.reshape(height, width), barycentric.reshape(height, width, 3), depth.reshape(height, width)


def interpolate(
    triangle: NDArray[np.int32], barycentric: NDArray[np.float32], values: NDArray[np.float32], corners: NDArray[np.int32]
) -> NDArray[np.float32]:
    """(H, W, C): vertex values (V, C) spread over the pixels."""
    out = np.zeros((*triangle.shape, values.shape[1]), np.float32)
    seen = triangle >= 0
    a, b, c = corners[triangle[seen]].T
    weights = barycentric[seen]
    out[seen] = weights[:, :1] * values[a] + weights[:, 1:2] * values[b] + weights[:, 2:] * values[c]
    return out


def _facing(points: NDArray[np.float32], corners: NDArray[np.int32], height: int, width: int, cull: bool) -> _Triangles:
    """Triangles with finite corners and an area, with `cull` those that face the camera."""
    finite: NDArray[np.bool_] = np.all(np.isfinite(points), axis=1)
    place = np.where(finite[:, None], points[:, :2], 0).astype(np.float64)
    x = np.rint(((place[:, 0] + 1.0) * 0.5 * width - 0.5) * SUBPIXEL)
    y = np.rint(((1.0 - place[:, 1]) * 0.5 * height - 0.5) * SUBPIXEL)
    a, b, c = corners.T.astype(np.int64)
    area = (x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a])  # negative: counter-clockwise in a picture whose y points down
    shown = finite[a] & finite[b] & finite[c] & (area != 0) & ~(cull & (area > 0))
    number = np.flatnonzero(shown)
    front = area[number] < 0
    ordered = np.stack([a[number], np.where(front, c[number], b[number]), np.where(front, b[number], c[number])], 1)
    return _Triangles(number, ordered, front, x[ordered], y[ordered], np.abs(area[number]))


def _pixels(triangles: _Triangles, height: int, width: int) -> tuple[Integers, Integers, Integers]:
    """(owner, row, column) of every pixel centre in every triangle's bounding box, within the window."""
    left, right = _span(triangles.x, width)
    top, bottom = _span(triangles.y, height)
    columns, rows = np.maximum(right - left + 1, 0), np.maximum(bottom - top + 1, 0)
    count = columns * rows
    owner = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    across = columns[owner]
    return owner, top[owner] + step // across, left[owner] + step % across


def _span(places: Floats, length: int) -> tuple[Integers, Integers]:
    """First and last pixel (N,) whose centre lies between the least and the largest of the places (N, 3)."""
    first = np.clip(np.ceil(places.min(1) / SUBPIXEL), 0, length)
    last = np.clip(np.floor(places.max(1) / SUBPIXEL), -1, length - 1)
    return first.astype(np.int64), last.astype(np.int64)
