"""Strands: hairs, lashes and stubble as shaded lines with a z-buffer, in Numba."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discontrolface.render.compiled import compiled, inlined
from discontrolface.render.smoothstep import rising
from discontrolface.synthetic.light import gamma, half_way, shading

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


class View(NamedTuple):
    """camera: (3,). centre: (3,) view space, of the volume that the strands fill: its outward direction stands for the normal."""

    camera: Array
    centre: Array


class Brush(NamedTuple):
    """How strands look. gloss: strength of their highlights. alpha: opacity. taper: 1 thin and fading towards the tip, as hair; 0 even. bias: metres
    that they may lie behind a surface and still be drawn. label: of their pixels."""

    gloss: float
    alpha: float
    taper: float
    bias: float
    label: int


class Paths(NamedTuple):
    """Strands where they are drawn. points: (N, P, 3) view space; the others as in Strands."""

    points: Array
    colour: Array
    width: Array
    shade: Array


class Stop(NamedTuple):
    """A strand's point in the picture: pixels, depth, linear colour."""

    x: float
    y: float
    z: float
    r: float
    g: float
    b: float


@compiled
def draw_strands(paths, view, lighting, brush, canvas):  # type: ignore[no-untyped-def]
    """Draw each strand's segments nearest-first by the z-buffer: Kajiya-Kay highlights, diffuse light by the volume's outward direction.

    paths: Paths. view: View. lighting: Lighting. brush: Brush. canvas: Canvas.
    """
    points, depth, scale = paths.points, canvas.depth, view.camera[0]
    height, wide = depth.shape
    metre = scale * wide / 2
    half = half_way(lighting.direction)
    count = points.shape[1]
    for i in range(len(points)):
        taper_from = 0.55
        before = Stop(x=0.0, y=0.0, z=0.0, r=0.0, g=0.0, b=0.0)
        shown = False
        for k in range(count):
            x, y, z = points[i, k, 0], points[i, k, 1], points[i, k, 2]
            px = (scale * (x + view.camera[1]) + 1) * 0.5 * wide
            py = (1 - scale * (y + view.camera[2])) * 0.5 * height
            hidden = True
            if 0 <= px < wide and 0 <= py < height:
                hidden = z + brush.bias + 0.002 < depth[int(py), int(px)]
            if hidden and not shown:  # shaded only where it shows; a segment with both ends hidden is not drawn
                before = Stop(x=px, y=py, z=np.float64(z), r=before.r, g=before.g, b=before.b)
                continue
            r, g, b = before.r, before.g, before.b
            if not hidden:
                r, g, b = _strand_colour(paths, i, k, view.centre, lighting, half, brush.gloss)
                if not shown:
                    before = Stop(x=before.x, y=before.y, z=before.z, r=r, g=g, b=b)
            here = Stop(x=px, y=py, z=np.float64(z), r=r, g=g, b=b)
            if k > 0:
                t = k / (count - 1.0)
                fade = 1.0 if t < taper_from else 1 - brush.taper * min(0.75, (t - taper_from) / (1 - taper_from) * 0.9)
                _draw_segment(before, here, t, paths.width[i] * metre * fade, brush, canvas)
            before = here
            shown = not hidden


@inlined
def _strand_colour(paths, i, k, centre, lighting, half, gloss):  # type: ignore[no-untyped-def]
    """Linear colour (r, g, b) of point k of strand i."""
    points, direction = paths.points, lighting.direction
    j = k if k + 1 < points.shape[1] else k - 1
    tx, ty, tz = points[i, j + 1, 0] - points[i, j, 0], points[i, j + 1, 1] - points[i, j, 1], points[i, j + 1, 2] - points[i, j, 2]
    length = np.sqrt(tx * tx + ty * ty + tz * tz) + 1e-9
    tx, ty, tz = tx / length, ty / length, tz / length
    nx, ny, nz = points[i, k, 0] - centre[0], points[i, k, 1] - centre[1], points[i, k, 2] - centre[2]
    along = nx * tx + ny * ty + nz * tz  # the normal leans to be across the strand
    nx, ny, nz = nx - 0.8 * along * tx, ny - 0.8 * along * ty, nz - 0.8 * along * tz
    length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    nx, ny, nz = nx / length, ny / length, nz / length
    th = tx * half[0] + ty * half[1] + tz * half[2]
    across = max(0.0, 1 - th * th)  # sine squared
    broad = across * across * across
    broad = broad * broad * across  # sine^14
    tight = broad * broad * broad * broad
    facing = max(0.0, nx * direction[0] + ny * direction[1] + nz * direction[2])
    shine = gloss * (0.3 + 0.7 * facing) * facing * (tight * 0.5)
    wide_shine = gloss * facing * (broad * 0.35)
    r = _channel(paths, i, k, 0, lighting, (nx, ny, nz), shine, wide_shine)
    g = _channel(paths, i, k, 1, lighting, (nx, ny, nz), shine, wide_shine)
    b = _channel(paths, i, k, 2, lighting, (nx, ny, nz), shine, wide_shine)
    return r, g, b


@inlined
def _channel(paths, i, k, c, lighting, normal, shine, wide_shine):  # type: ignore[no-untyped-def]
    """Channel c of the colour of point k of strand i. shine: the lamp's colour on it, wide_shine: coloured by the strand."""
    colour = paths.colour[i, c]
    light = gamma(max(0.05, shading(lighting.coefficients, c, normal[0], normal[1], normal[2])))
    return paths.shade[i, k] * (colour * light + lighting.colour[c] * (shine * (0.5 * colour + 0.06) + wide_shine * colour))


@inlined
def _draw_segment(start, end, t, thick, brush, canvas):  # type: ignore[no-untyped-def]
    """A line from one Stop to the next, `thick` pixels wide, whose end lies at t in 0..1 of the strand."""
    image, depth, labels = canvas.image, canvas.depth, canvas.labels
    height, wide = depth.shape
    dx, dy = end.x - start.x, end.y - start.y
    steps = int(max(abs(dx), abs(dy))) + 1
    if steps >= 400:
        return
    steep = abs(dy) > abs(dx)
    slope = np.sqrt(dx * dx + dy * dy) / (max(abs(dx), abs(dy)) + 1e-6)
    span = thick * min(slope, 1.4)
    for q in range(steps):
        f = (q + 0.5) / steps
        cx, cy, cz = start.x + dx * f, start.y + dy * f, start.z + (end.z - start.z) * f
        centre_line = cx if steep else cy
        low = int(np.floor(centre_line - span * 0.5 + 0.5))
        high = int(np.floor(centre_line + span * 0.5 + 0.5))
        cover = brush.alpha * (1.0 if t < 0.75 else 1 - 2.4 * brush.taper * (t - 0.75))
        if high <= low:  # thinner than a pixel: keep some by chance of place
            high = low + 1
            cover *= min(1.0, max(0.3, span * 1.2))
        for m in range(low, high):
            ix, iy = (m, int(cy)) if steep else (int(cx), m)
            if ix < 0 or iy < 0 or ix >= wide or iy >= height or cx < 0 or cy < 0:
                continue
            if cz + brush.bias < depth[iy, ix]:
                continue
            image[iy, ix, 0] += cover * (start.r + (end.r - start.r) * f - image[iy, ix, 0])
            image[iy, ix, 1] += cover * (start.g + (end.g - start.g) * f - image[iy, ix, 1])
            image[iy, ix, 2] += cover * (start.b + (end.b - start.b) * f - image[iy, ix, 2])
            if cover > 0.6:
                depth[iy, ix] = max(cz, depth[iy, ix])
                labels[iy, ix] = brush.label


class Rigid(NamedTuple):
    """x -> rotation (3, 3) x + shift (3,)."""

    rotation: Array
    shift: Array


@compiled
def carry(points, head, bust):  # type: ignore[no-untyped-def]
    """Points (N, P, 3) of the rest head in view space: rigid with the head above the jaw, with the bust on the shoulders, mixed between."""
    moved = np.empty_like(points)
    for i in range(points.shape[0]):
        for k in range(points.shape[1]):
            x, y, z = points[i, k, 0], points[i, k, 1], points[i, k, 2]
            share = rising((y + 0.19) / 0.10)
            for c in range(3):
                value = head.shift[c] + head.rotation[c, 0] * x + head.rotation[c, 1] * y + head.rotation[c, 2] * z
                if share < 1:
                    low = bust.shift[c] + bust.rotation[c, 0] * x + bust.rotation[c, 1] * y + bust.rotation[c, 2] * z
                    value = low + share * (value - low)
                moved[i, k, c] = value
    return moved
