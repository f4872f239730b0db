"""Strands: hairs, lashes and stubble as shaded lines with a z-buffer, in Numba."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discontrolface.render.compiled import compiled
from discontrolface.render.smoothstep import rising

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Strands:
    """N lines of P points. points: (N, P, 3) metres. colour: (N, 3) linear. width: (N,) metres. shade: (N, P) 0..1, darker inside a volume.

    On a surface (`triangle` given): points are offsets in the frame of the root triangle; else they are positions in the rest head.
    """

    points: Array
    colour: Array
    width: Array
    shade: Array
    triangle: NDArray[np.int64] | None = None  # (N,)
    barycentric: Array | None = None  # (N, 3)


def triangle_frames(vertices: Array, faces: NDArray[np.int32], triangle: NDArray[np.int64]) -> Array:
    """(N, 3, 3) orthonormal frames of triangles, as rows: along the first edge, across it, outwards."""
    a, b, c = (vertices[faces[triangle, k]] for k in range(3))
    first = b - a
    first = first / (np.linalg.norm(first, axis=1, keepdims=True) + 1e-12)
    out = np.cross(b - a, c - a)
    out = out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-12)
    return np.stack([first, np.cross(out, first), out], 1).astype(np.float32)


def attach(points: Array, roots: Array, frames: Array) -> Array:
    """World points (N, P, 3) as offsets in the frames (N, 3, 3) at roots (N, 3)."""
    return np.einsum("npc,nkc->npk", points - roots[:, None], frames).astype(np.float32)


def detach(strands: Strands, vertices: Array, faces: NDArray[np.int32]) -> Array:
    """The inverse on moved vertices: (N, P, 3)."""
    assert strands.triangle is not None
    assert strands.barycentric is not None
    roots = np.einsum("nkc,nk->nc", vertices[faces[strands.triangle]], strands.barycentric)
    frames = triangle_frames(vertices, faces, strands.triangle)
    return (roots[:, None] + np.einsum("npk,nkc->npc", strands.points, frames)).astype(np.float32)


@compiled
def gamma(x):  # type: ignore[no-untyped-def]
    """x ** 2.2 within 0.01 on [0, 1.3], as a polynomial (it is evaluated for every channel of every pixel)."""
    return x * x * (0.8 + 0.2 * x)


@compiled
def draw_strands(  # type: ignore[no-untyped-def]
    points,  # (N, P, 3) view space
    colour,  # (N, 3) linear
    width,  # (N,) metres
    shade,  # (N, P)
    centre,  # (3,) of the volume, view space: its outward direction stands for the normal
    camera,  # (3,)
    light,  # (9, 3) with the basis' constants multiplied in
    key_direction,
    key_colour,  # (3,)
    gloss,  # strength of the highlights
    alpha,  # opacity
    taper,  # 1: thin and fading towards the tip, as hair; 0: even
    bias,  # metres that strands may lie behind a surface and still be drawn
    label,
    image,  # (H, W, 3) linear, changed
    depth,  # (H, W) view z in metres, changed
    labels,  # (H, W) uint8, changed
):
    """Draw each strand's segments nearest-first by the z-buffer: Kajiya-Kay highlights, diffuse light by the volume's outward direction."""
    height, wide = depth.shape
    scale = camera[0]
    metre = scale * wide / 2
    half = np.array([key_direction[0], key_direction[1], key_direction[2] + 1.0])
    half /= np.sqrt((half * half).sum()) + 1e-9
    count = points.shape[1]
    for i in range(len(points)):
        taper_from = 0.55
        px0, py0, pz0 = 0.0, 0.0, 0.0
        r0, g0, b0 = 0.0, 0.0, 0.0
        shown = False
        for k in range(count):
            x, y, z = points[i, k, 0], points[i, k, 1], points[i, k, 2]
            px = (scale * (x + camera[1]) + 1) * 0.5 * wide
            py = (1 - scale * (y + camera[2])) * 0.5 * height
            hidden = True
            if 0 <= px < wide and 0 <= py < height:
                hidden = z + bias + 0.002 < depth[int(py), int(px)]
            if hidden and not shown:  # shaded only where it shows; a segment with both ends hidden is not drawn
                px0, py0, pz0 = px, py, z
                continue
            r1, g1, b1 = r0, g0, b0
            if not hidden:
                j = k if k + 1 < count else k - 1
                tx, ty, tz = (
                    points[i, j + 1, 0] - points[i, j, 0],
                    points[i, j + 1, 1] - points[i, j, 1],
                    points[i, j + 1, 2] - points[i, j, 2],
                )
                length = np.sqrt(tx * tx + ty * ty + tz * tz) + 1e-9
                tx, ty, tz = tx / length, ty / length, tz / length
                nx, ny, nz = x - centre[0], y - centre[1], z - centre[2]
                along = nx * tx + ny * ty + nz * tz  # the normal leans to be across the strand
                nx, ny, nz = nx - 0.8 * along * tx, ny - 0.8 * along * ty, nz - 0.8 * along * tz
                length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
                nx, ny, nz = nx / length, ny / length, nz / length
                th = tx * half[0] + ty * half[1] + tz * half[2]
                across = max(0.0, 1 - th * th)  # sine squared
                broad = across * across * across
                broad = broad * broad * across  # sine^14
                tight = broad * broad * broad * broad
                facing = max(0.0, nx * key_direction[0] + ny * key_direction[1] + nz * key_direction[2])
                shine = gloss * (0.3 + 0.7 * facing) * facing * (tight * 0.5)
                wide_shine = gloss * facing * (broad * 0.35)
                s = shade[i, k]
                r1 = g1 = b1 = 0.0
                for c in range(3):
                    sh = (
                        light[0, c]
                        + light[1, c] * nx
                        + light[2, c] * ny
                        + light[3, c] * nz
                        + light[4, c] * nx * ny
                        + light[5, c] * nx * nz
                        + light[6, c] * ny * nz
                        + light[7, c] * (nx * nx - ny * ny)
                        + light[8, c] * (3 * nz * nz - 1)
                    )
                    sh = gamma(max(0.05, sh))
                    value = s * (colour[i, c] * sh + key_colour[c] * (shine * (0.5 * colour[i, c] + 0.06) + wide_shine * colour[i, c]))
                    if c == 0:
                        r1 = value
                    elif c == 1:
                        g1 = value
                    else:
                        b1 = value
                if not shown:
                    r0, g0, b0 = r1, g1, b1
            if k > 0:
                t = k / (count - 1.0)
                thick = width[i] * metre * (1.0 if t < taper_from else 1 - taper * min(0.75, (t - taper_from) / (1 - taper_from) * 0.9))
                dx, dy = px - px0, py - py0
                steps = int(max(abs(dx), abs(dy))) + 1
                if steps < 400:
                    steep = abs(dy) > abs(dx)
                    slope = np.sqrt(dx * dx + dy * dy) / (max(abs(dx), abs(dy)) + 1e-6)
                    span = thick * min(slope, 1.4)
                    for q in range(steps):
                        f = (q + 0.5) / steps
                        cx, cy, cz = px0 + dx * f, py0 + dy * f, pz0 + (z - pz0) * f
                        centre_line = cx if steep else cy
                        low = int(np.floor(centre_line - span * 0.5 + 0.5))
                        high = int(np.floor(centre_line + span * 0.5 + 0.5))
                        cover = alpha * (1.0 if t < 0.75 else 1 - 2.4 * taper * (t - 0.75))
                        if high <= low:  # thinner than a pixel: keep some by chance of place
                            high = low + 1
                            cover *= min(1.0, max(0.3, span * 1.2))
                        for m in range(low, high):
                            ix, iy = (m, int(cy)) if steep else (int(cx), m)
                            if ix < 0 or iy < 0 or ix >= wide or iy >= height or cx < 0 or cy < 0:
                                continue
                            if cz + bias < depth[iy, ix]:
                                continue
                            image[iy, ix, 0] += cover * (r0 + (r1 - r0) * f - image[iy, ix, 0])
                            image[iy, ix, 1] += cover * (g0 + (g1 - g0) * f - image[iy, ix, 1])
                            image[iy, ix, 2] += cover * (b0 + (b1 - b0) * f - image[iy, ix, 2])
                            if cover > 0.6:
                                depth[iy, ix] = max(cz, depth[iy, ix])
                                labels[iy, ix] = label
            px0, py0, pz0 = px, py, z
            r0, g0, b0 = r1, g1, b1
            shown = not hidden


@compiled
def splat_depth(points, rotation, scale, offset, near):  # type: ignore[no-untyped-def]
    """Write strand points (N, P, 3) into a shadow map `near` (S, S), larger is nearer to the lamp; `rotation` turns view space to the lamp's."""
    size = near.shape[0]
    for i in range(points.shape[0]):
        for k in range(1, points.shape[1]):
            x, y, z = points[i, k, 0], points[i, k, 1], points[i, k, 2]
            u = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z
            v = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z
            w = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z
            a = int((scale * (u + offset[0]) + 1) * 0.5 * size)
            b = int((1 - scale * (v + offset[1])) * 0.5 * size)
            if 0 <= a < size and 0 <= b < size and near[b, a] < w:
                near[b, a] = w


@compiled
def carry(points, head_rotation, head_shift, bust_rotation, bust_shift):  # type: ignore[no-untyped-def]
    """Points (N, P, 3) of the rest head in view space: rigid with the head above the jaw, with the bust on the shoulders, mixed between."""
    moved = np.empty_like(points)
    for i in range(points.shape[0]):
        for k in range(points.shape[1]):
            x, y, z = points[i, k, 0], points[i, k, 1], points[i, k, 2]
            share = rising((y + 0.19) / 0.10)
            for c in range(3):
                value = head_shift[c] + head_rotation[c, 0] * x + head_rotation[c, 1] * y + head_rotation[c, 2] * z
                if share < 1:
                    bust = bust_shift[c] + bust_rotation[c, 0] * x + bust_rotation[c, 1] * y + bust_rotation[c, 2] * z
                    value = bust + share * (value - bust)
                moved[i, k, c] = value
    return moved
