"""One motion for every pixel: the mesh's where it is trusted, its continuation elsewhere, another one beyond the head's outline."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.render.compiled import compiled, inlined
from discontrolface.render.matte import sharper
from discontrolface.render.raster import FloatArray
from discontrolface.render.surface import channel, point_at
from discontrolface.render.uncovered import lost_share

PRESSED = 1.3  # on the side that a turn covers, of the way between the two motions: over that width hair passes from one to the other
LIGHT_ENDS = 0.14  # share of the picture's height, from below, over which a change of light fades out


class Around(NamedTuple):
    """What surrounds the mesh. image: (H, W, 3) the photo; foreground: (G, G, 3), see `matte.foreground`. motion: (G, G, 5) `extend.extend_motion`,
    ratios of shadings in the last three channels. matte: (G, G) how far the photo's surroundings belong to the head; the rest is not relit.
    decided: (H, W), see `matte.decide`; (0, 0) where the colours decide nothing. wall, flesh: (G, G, 2), (G, G), see `uncovered.to_wall`."""

    image: FloatArray
    foreground: FloatArray
    motion: FloatArray
    matte: FloatArray
    decided: FloatArray
    wall: FloatArray
    flesh: FloatArray


class Moved(NamedTuple):
    """What `join_motion` says of each pixel. flow: (H, W, 2) pixels to what it fetches. light: (H, W, 3) ratio of shadings. belongs: (H, W) how far
    what it fetches belongs to the head. behind: (H, W, 3) on the edge of the head: the motion of what it covers, and how much of that shows.
    lost: (H, W) 0..1 how far a place of the head has to be painted, because nothing the photo shows stands for it."""

    flow: FloatArray
    light: FloatArray
    belongs: FloatArray
    behind: FloatArray
    lost: FloatArray

    @classmethod
    def empty(cls, height: int, width: int) -> Moved:
        """Not filled yet."""
        flow, light, behind = (np.empty((height, width, channels), np.float32) for channels in (2, 3, 3))
        belongs, lost = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
        return cls(flow=flow, light=light, belongs=belongs, behind=behind, lost=lost)


@compiled
def join_motion(first, last, surface, mesh, ratio, around, outline, out):  # type: ignore[no-untyped-def]
    """Fill `out` (Moved) in the rows first..last-1. mesh: MeshMotion. ratio: (V, 3) of shadings. outline: Outline."""
    triangle, trusted, mesh_flow = surface.triangle, mesh.trusted, mesh.flow
    outside, matte, decided = around.motion, around.matte, around.decided
    image, foreground, wall, flesh_shown = around.image, around.foreground, around.wall, around.flesh
    depth, turned, earless = outline.depth, outline.turned, outline.earless
    beyond, away, clear, bare = outline.motion, outline.away, outline.clear, outline.bare
    margin, edge, blend = outline.margin, outline.edge, outline.blend
    flow, light, belongs, behind, lost = out.flow, out.light, out.belongs, out.behind, out.lost
    height, width = triangle.shape
    grid = outside.shape[0]
    half, one, zero = np.float32(0.5), np.float32(1.0), np.float32(0.0)
    half_x, half_y = np.float32(0.5 * width), np.float32(0.5 * height)
    soft_row = np.float32((1.0 - LIGHT_ENDS) * height)
    scale = one / np.float32((height + away.shape[0] - 1) // away.shape[0])
    cells, parts = _on_grid(width, grid)
    rows, row_parts = _on_grid(height, grid)
    line, past = np.empty((grid, 5), np.float32), np.empty((grid, 2), np.float32)  # outside and beyond on this row
    clearance = np.empty(width, np.float32)  # away on this row
    for i in range(first, last):
        _between_rows(outside, rows[i], row_parts[i], line)
        _between_rows(beyond, rows[i], row_parts[i], past)
        _along_row(away, scale, np.float32(i), clearance)
        for j in range(width):
            t, f = trusted[i, j], triangle[i, j]
            dx, dy, red, green, blue = zero, zero, one, one, one
            behind[i, j, 2] = zero
            if t < one:
                s, u = cells[j], parts[j]
                dx = (line[s, 0] + u * (line[s + 1, 0] - line[s, 0])) * half_x
                dy = (line[s, 1] + u * (line[s + 1, 1] - line[s, 1])) * half_y
                red = line[s, 2] + u * (line[s + 1, 2] - line[s, 2])
                green = line[s, 3] + u * (line[s + 1, 3] - line[s, 3])
                blue = line[s, 4] + u * (line[s + 1, 4] - line[s, 4])
                beside = (clearance[j] - margin) / edge
                if f < 0 and beside > 0:
                    out_x = (past[s, 0] + u * (past[s + 1, 0] - past[s, 0])) * half_x
                    out_y = (past[s, 1] + u * (past[s + 1, 1] - past[s, 1])) * half_y
                    free = _between(clear, scale, np.float32(i) + out_y, np.float32(j) + out_x)
                    gained = free - _between(clear, scale, np.float32(i) + dy, np.float32(j) + dx)
                    covers = min(max(gained / margin, zero), one)  # the side that the turn covers: an edge; else a wide change
                    parted = abs(out_x - dx) + abs(out_y - dy)  # wide enough that the map does not fold
                    wide = max(blend, np.float32(2.6) * parted)
                    share = min(beside, one) * min(max((free - margin) / (wide + covers * (edge - wide)), zero), one)
                    if covers > 0:
                        loose = one + covers * (_between(bare, scale, np.float32(i), np.float32(j)) - one)
                        pressed = max(half * blend, np.float32(PRESSED) * parted)
                        loose = max(loose, min(beside, one) * min(max((free - margin) / pressed, zero), one))
                        out_x, out_y = dx + loose * (out_x - dx), dy + loose * (out_y - dy)
                    if covers > half and share < one:
                        behind[i, j, 0], behind[i, j, 1], behind[i, j, 2] = out_x, out_y, share
                    else:
                        dx += share * (out_x - dx)
                        dy += share * (out_y - dy)
                        if earless > 0 and covers <= 0:
                            there_y, there_x = np.float32(i) + dy, np.float32(j) + dx
                            flesh = _between(flesh_shown, np.float32(grid) / np.float32(height), there_y, there_x)
                            flesh = earless * min(max(np.float32(2.0) * flesh - half, zero), one) * min(beside * half, one)
                            p, q = i * grid // height, j * grid // width
                            behind[i, j, 0], behind[i, j, 1], behind[i, j, 2] = wall[p, q, 0] * half_x, wall[p, q, 1] * half_y, flesh
            if t > 0:
                point = point_at(surface, i, j)
                dx += t * (mesh_flow[i, j, 0] - dx)
                dy += t * (mesh_flow[i, j, 1] - dy)
                red += t * (channel(ratio, 0, point) - red)
                green += t * (channel(ratio, 1, point) - green)
                blue += t * (channel(ratio, 2, point) - blue)
            glow = max(abs(red - one), abs(green - one), abs(blue - one))
            belongs[i, j], lost[i, j] = one, zero
            if glow > np.float32(0.002) or (t < one and f >= 0):
                share = _matte_at(matte, height, width, i, j, dx, dy)
                belongs[i, j] = share  # not yet sharper: a switch to other colours must not follow the photo's grain
                if glow > np.float32(0.02) and len(decided):
                    y = min(max(int(np.float32(i) + dy + half), 0), height - 1)
                    x = min(max(int(np.float32(j) + dx + half), 0), width - 1)
                    share = sharper(share, decided[y, x])
                    if share < np.float32(0.98):  # of a pixel half of hair, half of a bright wall, the hair's light alone changes
                        p, q = y * grid // height, x * grid // width
                        red = one + (red - one) * min(foreground[p, q, 0] / max(image[y, x, 0], np.float32(0.02)), one)
                        green = one + (green - one) * min(foreground[p, q, 1] / max(image[y, x, 1], np.float32(0.02)), one)
                        blue = one + (blue - one) * min(foreground[p, q, 2] / max(image[y, x, 2], np.float32(0.02)), one)
                red, green, blue = one + share * (red - one), one + share * (green - one), one + share * (blue - one)
            if turned > 0 and t < one and f >= 0:
                inner = scale * _between(depth, scale, np.float32(i), np.float32(j))
                share = lost_share(dx - mesh_flow[i, j, 0], dy - mesh_flow[i, j, 1], height, belongs[i, j], inner, turned)
                lost[i, j] = (one - t) * share
            if glow > 0 and i > soft_row:  # a neck that the picture cuts off: the light ends softly before the lower border
                part = one - (np.float32(i) - soft_row) / (np.float32(height) - soft_row)
                red, green, blue = one + part * (red - one), one + part * (green - one), one + part * (blue - one)
            # not beyond the picture
            flow[i, j, 0] = min(max(dx, np.float32(-j)), np.float32(width - 1 - j))
            flow[i, j, 1] = min(max(dy, np.float32(-i)), np.float32(height - 1 - i))
            light[i, j, 0], light[i, j, 1], light[i, j, 2] = red, green, blue


@inlined
def _on_grid(length, grid):  # type: ignore[no-untyped-def]
    """Where the centres of `length` pixels lie between the centres of `grid` cells: the cell before, and 0..1 on the way to the next."""
    half, zero = np.float32(0.5), np.float32(0.0)
    cells, parts = np.empty(length, np.int64), np.empty(length, np.float32)
    for j in range(length):
        at = min(max((np.float32(j) + half) * np.float32(grid) / np.float32(length) - half, zero), np.float32(grid - 1))
        cells[j] = min(int(at), grid - 2)
        parts[j] = at - np.float32(cells[j])
    return cells, parts


@inlined
def _between_rows(field, row, part, out):  # type: ignore[no-untyped-def]
    """A field (G, G, C) between a row and the next, into out (G, C)."""
    for s in range(field.shape[1]):
        for k in range(field.shape[2]):
            out[s, k] = field[row, s, k] + part * (field[row + 1, s, k] - field[row, s, k])


@inlined
def _matte_at(matte, height, width, i, j, dx, dy):  # type: ignore[no-untyped-def]
    """The matte (G, G) at the place that pixel (i, j) fetches, bilinear."""
    half, zero = np.float32(0.5), np.float32(0.0)
    grid = matte.shape[0]
    per_row, per_column = np.float32(grid) / np.float32(height), np.float32(grid) / np.float32(width)
    mx = min(max((np.float32(j) + half + dx) * per_column - half, zero), np.float32(grid - 1))
    my = min(max((np.float32(i) + half + dy) * per_row - half, zero), np.float32(grid - 1))
    p, q = min(int(my), grid - 2), min(int(mx), grid - 2)
    my, mx = my - np.float32(p), mx - np.float32(q)
    upper = matte[p, q] + mx * (matte[p, q + 1] - matte[p, q])
    lower = matte[p + 1, q] + mx * (matte[p + 1, q + 1] - matte[p + 1, q])
    return upper + my * (lower - upper)


@inlined
def _between(field, scale, row, column):  # type: ignore[no-untyped-def]
    """A field on every (1 / scale)-th pixel, at a place in pixels (centres at integers), bilinear."""
    height, width = field.shape
    y = min(max(row * scale, np.float32(0.0)), np.float32(height - 1))
    x = min(max(column * scale, np.float32(0.0)), np.float32(width - 1))
    i, j = min(int(y), height - 2), min(int(x), width - 2)
    v, u = y - np.float32(i), x - np.float32(j)
    top = field[i, j] + u * (field[i, j + 1] - field[i, j])
    bottom = field[i + 1, j] + u * (field[i + 1, j + 1] - field[i + 1, j])
    return top + v * (bottom - top)


@inlined
def _along_row(field, scale, row, out):  # type: ignore[no-untyped-def]
    """`_between` for all columns of a row, into out (W,)."""
    height, width = field.shape
    y = min(max(row * scale, np.float32(0.0)), np.float32(height - 1))
    i = min(int(y), height - 2)
    v = y - np.float32(i)
    last = np.float32(width - 1)
    for column in range(len(out)):
        x = min(np.float32(column) * scale, last)
        j = min(int(x), width - 2)
        u = x - np.float32(j)
        top = field[i, j] + u * (field[i, j + 1] - field[i, j])
        bottom = field[i + 1, j] + u * (field[i + 1, j + 1] - field[i + 1, j])
        out[column] = top + v * (bottom - top)
