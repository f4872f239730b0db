"""Shadows: a soft shadow map of the key lamp, and the shade where things touch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discontrolface.render.compiled import compiled, lean_inlined
from discontrolface.render.raster import rasterize
from discontrolface.synthetic.anatomy import Array

SIZE = 192
SCALE = 5.5  # ndc a metre


class ShadowMap(NamedTuple):
    """What the lamp sees. near: (SIZE, SIZE) depth, larger is nearer to the lamp. rotation: (3, 3) turns view space so that the lamp looks along -z.
    offset: (2,) centres the head."""

    near: Array
    rotation: Array
    offset: Array


def shadow_map(vertices: Array, faces: NDArray[np.int32], direction: Array, centre: Array) -> ShadowMap:
    """The map of a mesh (V, 3), (F, 3) for a lamp in this direction (3,). centre: (3,) of the map."""
    rotation = _lamp_rotation(direction)
    turned = vertices @ rotation.T
    offset = -(rotation @ centre)[:2]
    ndc = np.concatenate([(turned[:, :2] + offset) * np.float32(SCALE), turned[:, 2:]], 1)
    return ShadowMap(near=rasterize(ndc, faces, SIZE, SIZE, cull=False).depth, rotation=rotation, offset=offset.astype(np.float32))


def _lamp_rotation(direction: Array) -> Array:
    """(3, 3): turns view space so that the lamp looks along -z."""
    z = direction / np.linalg.norm(direction)
    up = np.array([0.0, 1.0, 0.0]) if abs(z[1]) < 0.9 else np.array([0.0, 0.0, -1.0])
    x = np.cross(up, z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z]).astype(np.float32)


@compiled
def splat_strands(points, shadow):  # type: ignore[no-untyped-def]
    """Write strand points (N, P, 3) into a ShadowMap."""
    near, rotation, offset = shadow.near, shadow.rotation, shadow.offset
    size = near.shape[0]
    for i in range(points.shape[0]):
        for k in range(1, points.shape[1]):
            x, y, z = points[i, k, 0], points[i, k, 1], points[i, k, 2]
            u = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z
            v = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z
            w = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z
            a = int((SCALE * (u + offset[0]) + 1) * 0.5 * size)
            b = int((1 - SCALE * (v + offset[1])) * 0.5 * size)
            if 0 <= a < size and 0 <= b < size and near[b, a] < w:
                near[b, a] = w


@lean_inlined
def visibility(shadow, x, y, z, jitter, spread):  # type: ignore[no-untyped-def]
    """How much of the lamp is seen from a point, 0..1: five looks at the shadow map, a turned cross `spread` texels wide."""
    near, rotation, offset = shadow.near, shadow.rotation, shadow.offset
    size = near.shape[0]
    u = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z + offset[0]
    v = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z + offset[1]
    w = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z
    a = (SCALE * u + 1) * 0.5 * size - 0.5
    b = (1 - SCALE * v) * 0.5 * size - 0.5
    c, s = np.cos(jitter), np.sin(jitter)
    seen = 0.0
    for i in range(5):
        di, dj = 0.0, 0.0
        if i < 3:
            di = i - 1.0
        else:
            dj = 7.0 - 2.0 * i
        p = int(a + spread * (c * di - s * dj) + 0.5)
        q = int(b + spread * (s * di + c * dj) + 0.5)
        if p < 0 or q < 0 or p >= size or q >= size:
            seen += 1.0
            continue
        blocked = (near[q, p] - w - 0.005) / 0.006  # nearer blockers shade fully, those just above a little
        seen += 1.0 - min(1.0, max(0.0, blocked))
    return seen / 5.0


@compiled
def contact_shade(depth, radius):  # type: ignore[no-untyped-def]
    """How far each pixel lies behind the mean of its neighbourhood, metres >= 0 (unsharp-masked depth: Luft, Colditz and Deussen 2006).

    depth: (H, W), -inf off the head, which does not count. Two box blurs of `radius` pixels.
    """
    height, width = depth.shape
    total = np.zeros((height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    for i in range(height):
        for j in range(width):
            if depth[i, j] > -1e3:
                total[i, j] = depth[i, j]
                weight[i, j] = 1
    for _ in range(2):
        for field in (total, weight):
            line = np.empty(max(height, width) + 1, np.float64)
            for i in range(height):
                line[0] = 0
                for j in range(width):
                    line[j + 1] = line[j] + field[i, j]
                for j in range(width):
                    field[i, j] = line[min(width, j + radius + 1)] - line[max(0, j - radius)]
            for j in range(width):
                line[0] = 0
                for i in range(height):
                    line[i + 1] = line[i] + field[i, j]
                for i in range(height):
                    field[i, j] = line[min(height, i + radius + 1)] - line[max(0, i - radius)]
    for i in range(height):
        for j in range(width):
            total[i, j] = max(0.0, total[i, j] / weight[i, j] - depth[i, j]) if depth[i, j] > -1e3 and weight[i, j] > 0 else 0.0
    return total
