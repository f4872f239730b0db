"""How far the photo can be trusted to show a place of the face."""

from __future__ import annotations

import numpy as np

from discontrolface.render.compiled import compiled
from discontrolface.render.raster import FloatArray
from discontrolface.render.smoothstep import rising

STEP = 0.05  # ndc depth: a larger jump is an outline in front of something


def near_occluder(depth: FloatArray, radius: int) -> np.ndarray:
    """(ceil(H / 2), ceil(W / 2)) bool: whether a pixel (every second one) on the mesh has a surface at least STEP nearer within about `radius`
    pixels (in a square)."""
    return _near_occluder(np.ascontiguousarray(depth[::2, ::2]), max(1, (radius + 1) // 2))


@compiled
def _near_occluder(depth, radius):  # type: ignore[no-untyped-def]
    height, width = depth.shape
    rows = np.empty((height, width), np.float32)
    for i in range(height):
        for j in range(width):
            d = depth[i, j]
            for k in range(max(j - radius, 0), min(j + radius + 1, width)):
                d = max(d, depth[i, k])
            rows[i, j] = d
    out = np.zeros((height, width), np.bool_)
    for i in range(height):
        first, last = max(i - radius, 0), min(i + radius + 1, height)
        for j in range(width):
            limit = depth[i, j] + np.float32(STEP)
            if limit > -np.inf:
                for k in range(first, last):
                    if rows[k, j] > limit:
                        out[i, j] = True
                        break
    return out


@compiled
def vertex_trust(before, after, normals, faces):  # type: ignore[no-untyped-def]
    """(V,) 0..1: the surface faced the camera in the photo and is not stretched much in the target.

    before, after: (V, 3) ndc in the photo and in the target. normals: (V, 3) in the photo.
    """
    zero, one, half = np.float32(0.0), np.float32(1.0), np.float32(0.5)
    good, weight = np.zeros(len(before), np.float64), np.zeros(len(before), np.float64)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        tx0, ty0, tx1, ty1 = after[b, 0] - after[a, 0], after[b, 1] - after[a, 1], after[c, 0] - after[a, 0], after[c, 1] - after[a, 1]
        area = tx0 * ty1 - tx1 * ty0
        if area <= np.float32(1e-9):
            continue
        sx0, sy0, sx1, sy1 = (
            before[b, 0] - before[a, 0],
            before[b, 1] - before[a, 1],
            before[c, 0] - before[a, 0],
            before[c, 1] - before[a, 1],
        )
        inverse = one / area
        xx, xy = (sx0 * ty1 - sx1 * ty0) * inverse, (-sx0 * tx1 + sx1 * tx0) * inverse
        yx, yy = (sy0 * ty1 - sy1 * ty0) * inverse, (-sy0 * tx1 + sy1 * tx0) * inverse
        total, determinant = xx * xx + xy * xy + yx * yx + yy * yy, xx * yy - xy * yx
        part = zero
        if determinant > 0:
            root = np.sqrt(max(total * total - np.float32(4.0) * determinant * determinant, zero))
            smallest = np.sqrt(max(half * (total - root), zero))
            part = rising((smallest - np.float32(0.15)) / np.float32(0.3))
        for k in range(3):
            good[faces[f, k]] += part * area
            weight[faces[f, k]] += area
    out = np.empty(len(before), np.float32)
    for v in range(len(before)):
        facing = rising((normals[v, 2] - np.float32(0.03)) / np.float32(0.2))
        out[v] = np.float32(good[v] / max(weight[v], 1e-12) * facing)
    return out
