"""The motion off the mesh: hair, clothes and background follow the head smoothly, and stand still at the picture's border.

All on a coarse grid. Two parts add up:

- The *rigid* part: the head's turn, applied to a rounded depth. The mesh's depth is continued outwards by a cone (slope at most `slope`),
  so hair moves as if it lay on a surface round the skull, and the map from target to source cannot fold at the silhouette of a turning head.
- The *rest* (expressions, the neck that does not turn): a membrane through what the mesh says, solved from coarse to fine.
"""

from __future__ import annotations

import numpy as np

from discontrolface.render.raster import FloatArray, compiled
from discontrolface.render.smoothstep import smoothstep


def extend_motion(
    anchor: FloatArray,
    weight: FloatArray,
    depth: FloatArray,
    floor: float,
    matrix: np.ndarray,
    shift: np.ndarray,
    head_radius: float,
) -> FloatArray:
    """Where each cell of the grid (G, G) comes from, and how it is relit: (G, G, 2 + C), 0 on the border.

    The first two channels are an offset in ndc, x right and y *down*; all others are continued by the membrane only.
    anchor: (G, G, 2 + C) what the mesh asks for, weight: (G, G) how strongly (0: free).
    depth: (G, G) ndc depth of the head where it is, -inf elsewhere; floor: the depth far from it (that of the pivot: hair there stays).
    matrix, shift: target to source (`geometry.similarity`).
    head_radius: of the head in cells.
    """
    size = len(weight)
    cell = 2.0 / size
    turn = np.sqrt(matrix[0, 2] ** 2 + matrix[1, 2] ** 2) / max(abs(matrix[2, 2]), 1e-3)
    slope = min(1.2, 0.55 / max(turn, 1e-3))
    inside = np.isfinite(depth)
    rounded = np.where(inside, np.maximum(depth, floor), floor).astype(np.float32)
    _cone(rounded, np.float32(slope * cell))
    distance = distance_to(inside)
    index = np.arange(size) + 0.5
    border = np.minimum(index, size - index)
    border = np.minimum(border[:, None], border[None, :]).astype(np.float32)
    near = smoothstep(1.0 - (distance - 0.25 * head_radius) / (1.6 * head_radius))
    room = smoothstep((border - 1.0) / (0.6 * distance + 0.04 * size))
    fade = near * room

    x = (index * cell - 1.0)[None, :]
    y = (1.0 - index * cell)[:, None]
    rigid = np.zeros(anchor.shape, np.float32)
    rigid[..., 0] = ((matrix[0, 0] - 1.0) * x + matrix[0, 1] * y + matrix[0, 2] * rounded + shift[0]) * fade
    rigid[..., 1] = -(matrix[1, 0] * x + (matrix[1, 1] - 1.0) * y + matrix[1, 2] * rounded + shift[1]) * fade
    screen = (0.6 / head_radius) ** 2 * (1.0 - near) + (0.15 / head_radius) ** 2
    rest = membrane(anchor - rigid, weight, screen.astype(np.float32))
    total = (rigid + rest) * smoothstep((border - 1.0) / (0.03 * size))[..., None]
    total[..., 2:] *= smoothstep(1.0 - (distance - 0.4 * head_radius) / (1.2 * head_radius))[..., None]
    total = np.ascontiguousarray(total, np.float32)
    unfold(total, np.float32(cell), 40)
    padded = np.pad(total, ((1, 1), (0, 0), (0, 0)))
    total = 0.5 * total + 0.25 * (padded[:-2] + padded[2:])
    padded = np.pad(total, ((0, 0), (1, 1), (0, 0)))
    return 0.5 * total + 0.25 * (padded[:, :-2] + padded[:, 2:])


def pivot(matrix: np.ndarray, shift: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """(3,) the point nearest to `centre` that the similarity leaves in place; `centre` itself if nothing turns."""
    return centre + np.linalg.pinv(matrix - np.eye(3), rcond=1e-2) @ (centre - matrix @ centre - shift)


def distance_to(inside: np.ndarray) -> FloatArray:
    """(G, G) distance in cells to the True ones (nearly Euclidean)."""
    distance = np.where(inside, 0.0, 1e6).astype(np.float32)
    _chamfer(distance)
    return distance


def membrane(value: FloatArray, weight: FloatArray, screen: FloatArray) -> FloatArray:
    """Smooth (G, G, C) close to `value` where `weight` (G, G) is large: minimises sum w (u - v)^2 + |grad u|^2 + screen u^2, 0 on the border.

    Nested iteration: solved on the coarsest grid first, each solution starts the next finer one.
    """
    levels = [(np.ascontiguousarray(value, np.float32), np.ascontiguousarray(weight, np.float32), np.ascontiguousarray(screen, np.float32))]
    while len(levels[-1][1]) % 2 == 0 and len(levels[-1][1]) > 8:
        levels.append(_halved(*levels[-1]))
    u = np.zeros_like(levels[-1][0])
    for k, (v, w, s) in enumerate(reversed(levels)):
        if k:
            u = _doubled(u)
        u = _relaxed(u, v, w, s, 40 if k == 0 else 8)
    return u


@compiled
def _cone(depth, drop):  # type: ignore[no-untyped-def]
    """Raise the depth to its upper envelope with slopes of at most `drop` a cell (two sweeps, 8 neighbours). In place."""
    height, width = depth.shape
    diagonal = drop * np.float32(1.41421356)
    for i in range(height):
        for j in range(width):
            d = depth[i, j]
            if j > 0:
                d = max(d, depth[i, j - 1] - drop)
            if i > 0:
                d = max(d, depth[i - 1, j] - drop)
                if j > 0:
                    d = max(d, depth[i - 1, j - 1] - diagonal)
                if j + 1 < width:
                    d = max(d, depth[i - 1, j + 1] - diagonal)
            depth[i, j] = d
    for i in range(height - 1, -1, -1):
        for j in range(width - 1, -1, -1):
            d = depth[i, j]
            if j + 1 < width:
                d = max(d, depth[i, j + 1] - drop)
            if i + 1 < height:
                d = max(d, depth[i + 1, j] - drop)
                if j > 0:
                    d = max(d, depth[i + 1, j - 1] - diagonal)
                if j + 1 < width:
                    d = max(d, depth[i + 1, j + 1] - diagonal)
            depth[i, j] = d


@compiled
def _chamfer(distance):  # type: ignore[no-untyped-def]
    """Distance to the cells that are 0 (two sweeps, 8 neighbours). In place."""
    height, width = distance.shape
    one, diagonal = np.float32(1.0), np.float32(1.41421356)
    for i in range(height):
        for j in range(width):
            d = distance[i, j]
            if j > 0:
                d = min(d, distance[i, j - 1] + one)
            if i > 0:
                d = min(d, distance[i - 1, j] + one)
                if j > 0:
                    d = min(d, distance[i - 1, j - 1] + diagonal)
                if j + 1 < width:
                    d = min(d, distance[i - 1, j + 1] + diagonal)
            distance[i, j] = d
    for i in range(height - 1, -1, -1):
        for j in range(width - 1, -1, -1):
            d = distance[i, j]
            if j + 1 < width:
                d = min(d, distance[i, j + 1] + one)
            if i + 1 < height:
                d = min(d, distance[i + 1, j] + one)
                if j > 0:
                    d = min(d, distance[i + 1, j - 1] + diagonal)
                if j + 1 < width:
                    d = min(d, distance[i + 1, j + 1] + diagonal)
            distance[i, j] = d


@compiled
def _halved(value, weight, screen):  # type: ignore[no-untyped-def]
    """A level of `membrane` for blocks of 2 x 2 cells: the weighted mean of the values, the sum of the weights, four times the mean screen."""
    half, channels = len(weight) // 2, value.shape[2]
    values = np.empty((half, half, channels), np.float32)
    weights, screens = np.empty((half, half), np.float32), np.empty((half, half), np.float32)
    for i in range(half):
        for j in range(half):
            a, b = 2 * i, 2 * j
            total = weight[a, b] + weight[a, b + 1] + weight[a + 1, b] + weight[a + 1, b + 1]
            scale = np.float32(1.0) / max(total, np.float32(1e-12))
            for k in range(channels):
                upper = value[a, b, k] * weight[a, b] + value[a, b + 1, k] * weight[a, b + 1]
                lower = value[a + 1, b, k] * weight[a + 1, b] + value[a + 1, b + 1, k] * weight[a + 1, b + 1]
                values[i, j, k] = (upper + lower) * scale
            weights[i, j] = total
            screens[i, j] = screen[a, b] + screen[a, b + 1] + screen[a + 1, b] + screen[a + 1, b + 1]
    return values, weights, screens


@compiled
def _doubled(u):  # type: ignore[no-untyped-def]
    """Every cell four times."""
    height, width, channels = u.shape
    out = np.empty((2 * height, 2 * width, channels), np.float32)
    for i in range(2 * height):
        for j in range(2 * width):
            for k in range(channels):
                out[i, j, k] = u[i >> 1, j >> 1, k]
    return out


@compiled
def _relaxed(start, value, weight, screen, sweeps):  # type: ignore[no-untyped-def]
    """Gauss-Seidel with over-relaxation for `membrane`, zero outside the grid, alternately from the first and from the last cell.

    Two channels at a time: each cell waits for the one before it, two chains of cells keep the processor busy.
    """
    height, width, channels = start.shape
    omega = np.float32(1.5)
    keep = np.float32(1.0) - omega
    share = np.empty((height, width), np.float32)
    for i in range(height):
        for j in range(width):
            share[i, j] = omega / (weight[i, j] + screen[i, j] + np.float32(4.0))
    out = np.empty_like(start)
    u = np.zeros((height + 2, width + 2, 2), np.float32)  # with a border of zeros
    pull = np.empty((height, width, 2), np.float32)
    for k in range(0, channels, 2):
        l = min(k + 1, channels - 1)
        for i in range(height):
            for j in range(width):
                u[i + 1, j + 1, 0], u[i + 1, j + 1, 1] = start[i, j, k], start[i, j, l]
                w = share[i, j] * weight[i, j]
                pull[i, j, 0], pull[i, j, 1] = w * value[i, j, k], w * value[i, j, l]
        for sweep in range(sweeps):
            if sweep % 2 == 0:
                for i in range(1, height + 1):
                    p, q = np.float32(0.0), np.float32(0.0)  # the cell that was changed last
                    for j in range(1, width + 1):
                        part = share[i - 1, j - 1]
                        p = (
                            keep * u[i, j, 0] + pull[i - 1, j - 1, 0] + part * (u[i - 1, j, 0] + u[i + 1, j, 0] + u[i, j + 1, 0])
                        ) + part * p
                        q = (
                            keep * u[i, j, 1] + pull[i - 1, j - 1, 1] + part * (u[i - 1, j, 1] + u[i + 1, j, 1] + u[i, j + 1, 1])
                        ) + part * q
                        u[i, j, 0], u[i, j, 1] = p, q
            else:
                for i in range(height, 0, -1):
                    p, q = np.float32(0.0), np.float32(0.0)
                    for j in range(width, 0, -1):
                        part = share[i - 1, j - 1]
                        p = (
                            keep * u[i, j, 0] + pull[i - 1, j - 1, 0] + part * (u[i - 1, j, 0] + u[i + 1, j, 0] + u[i, j - 1, 0])
                        ) + part * p
                        q = (
                            keep * u[i, j, 1] + pull[i - 1, j - 1, 1] + part * (u[i - 1, j, 1] + u[i + 1, j, 1] + u[i, j - 1, 1])
                        ) + part * q
                        u[i, j, 0], u[i, j, 1] = p, q
        for i in range(height):
            for j in range(width):
                out[i, j, k], out[i, j, l] = u[i + 1, j + 1, 0], u[i + 1, j + 1, 1]
    return out


@compiled
def unfold(flow, cell, rounds):  # type: ignore[no-untyped-def]
    """Smooth the map p -> p + flow where it folds or stretches tenfold (determinant of its Jacobian, forward differences). In place."""
    height, width, _ = flow.shape
    least = np.float32(0.1)
    for _ in range(rounds):
        folded = 0
        for i in range(1, height - 2):
            for j in range(1, width - 2):
                xx = np.float32(1.0) + (flow[i, j + 1, 0] - flow[i, j, 0]) / cell
                xy = (flow[i + 1, j, 0] - flow[i, j, 0]) / cell
                yx = (flow[i, j + 1, 1] - flow[i, j, 1]) / cell
                yy = np.float32(1.0) + (flow[i + 1, j, 1] - flow[i, j, 1]) / cell
                if xx * yy - xy * yx < least or xx < least or yy < least:
                    folded += 1
                    for a in range(i, i + 2):
                        for b in range(j, j + 2):
                            for k in range(2):
                                around = flow[a - 1, b, k] + flow[a + 1, b, k] + flow[a, b - 1, k] + flow[a, b + 1, k]
                                flow[a, b, k] = np.float32(0.5) * flow[a, b, k] + np.float32(0.125) * around
        if folded == 0:
            break
