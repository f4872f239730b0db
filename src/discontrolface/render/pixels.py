"""The preview's loops over pixels, in Numba."""

from __future__ import annotations

import numpy as np

from discontrolface.render.matte import sharper
from discontrolface.render.raster import FloatArray, compiled
from discontrolface.render.rig import EYE, SKIN, SOCKET
from discontrolface.render.smoothstep import rising

OFF = 255  # layer of pixels that show no triangle
STEP = 0.05  # ndc depth: a larger jump is an outline in front of something
TOLERANCE = 0.02  # ndc depth: how far behind the photo's surface a point may lie and still be on it


def shrink(image: FloatArray, factor: int) -> FloatArray:
    """Mean over blocks of factor x factor pixels (the rest at the right and bottom is left out)."""
    return image if factor == 1 else _shrink(image, factor)


@compiled
def _shrink(image, factor):  # type: ignore[no-untyped-def]
    height, width = image.shape[0] // factor, image.shape[1] // factor
    out = np.zeros((height, width, 3), np.float32)
    scale = np.float32(1.0) / np.float32(factor * factor)
    for i in range(height * factor):
        row = i // factor
        for j in range(width):
            for k in range(j * factor, (j + 1) * factor):
                out[row, j, 0] += image[i, k, 0]
                out[row, j, 1] += image[i, k, 1]
                out[row, j, 2] += image[i, k, 2]
    return out * scale


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


# fmt: off
@compiled
def mesh_motion(  # type: ignore[no-untyped-def]
    first, last, triangle, barycentric, faces, face_layer, points, depth, shadowed_before, shadowed_after, flow, trusted, layer,
):
    # fmt: on
    """Of each target pixel in the rows first..last-1 on the mesh, into flow (H, W, 2) in pixels, trusted (H, W) and layer (H, W).

    points: (V, 4) where a vertex is in the photo: x, y in pixels, ndc depth; and 0..1, how well the photo shows it (`vertex_trust`).
    A point is trusted if the photo shows it (its depth is that of the photo's z-buffer), as far as its vertices are, and, on
    skin, not next to the outline of something in front of it, before or after. What hardly moves and is seen is trusted anyway.
    """
    height, width = triangle.shape
    zero, one, half = np.float32(0.0), np.float32(1.0), np.float32(0.5)
    for i in range(first, last):
        for j in range(width):
            flow[i, j, 0], flow[i, j, 1], trusted[i, j], layer[i, j] = zero, zero, zero, np.uint8(OFF)
            f = triangle[i, j]
            if f < 0:
                continue
            kind = face_layer[f]
            if kind == SOCKET:  # the rim of a lid, the corner of an eye
                kind = np.uint8(SKIN)
            layer[i, j] = kind
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            wa, wb, wc = barycentric[i, j, 0], barycentric[i, j, 1], barycentric[i, j, 2]
            x = wa * points[a, 0] + wb * points[b, 0] + wc * points[c, 0]
            y = wa * points[a, 1] + wb * points[b, 1] + wc * points[c, 1]
            z = wa * points[a, 2] + wb * points[b, 2] + wc * points[c, 2]
            dx, dy = x - (np.float32(j) + half), y - (np.float32(i) + half)
            flow[i, j, 0], flow[i, j, 1] = dx, dy
            if not (x >= half and x <= np.float32(width) - half and y >= half and y <= np.float32(height) - half):
                continue
            col, row = int(x - half), int(y - half)
            below, right = min(row + 1, height - 1), min(col + 1, width - 1)
            surface = min(min(depth[row, col], depth[row, right]), min(depth[below, col], depth[below, right]))
            if z < surface - np.float32(TOLERANCE):
                continue
            t = wa * points[a, 3] + wb * points[b, 3] + wc * points[c, 3]
            if kind == SKIN:
                up, down, west, east = row >> 1, below >> 1, col >> 1, right >> 1
                hidden = shadowed_before[up, west] or shadowed_before[up, east] or shadowed_before[down, west] or shadowed_before[down, east]
                if hidden or shadowed_after[i >> 1, j >> 1]:
                    t = zero
            still = np.float32(1.5) - np.float32(2.0) * np.sqrt(dx * dx + dy * dy)  # 1 below a quarter of a pixel, 0 above three quarters
            trusted[i, j] = max(t, min(max(still, zero), one))


@compiled
def soften(first, last, trust, layer, radius, out):  # type: ignore[no-untyped-def]
    """Let the trust (H, W) fall to 0 smoothly before places without trust, in the rows first..last-1 of out. What lies behind openings has no say."""
    height, width = trust.shape
    sums, counts = np.zeros(width, np.float64), np.zeros(width, np.int32)  # of each column, over the rows in reach
    run, seen = np.zeros(width + 1, np.float64), np.zeros(width + 1, np.int32)  # their sums to the left
    start = max(first - radius, 0)
    for r in range(start, min(first + radius, height)):
        _count_row(trust[r], layer[r], np.int32(1), sums, counts)
    for i in range(first, last):
        if i + radius < height:
            _count_row(trust[i + radius], layer[i + radius], np.int32(1), sums, counts)
        if i - radius - 1 >= start:
            _count_row(trust[i - radius - 1], layer[i - radius - 1], np.int32(-1), sums, counts)
        for j in range(width):
            run[j + 1] = run[j] + sums[j]
            seen[j + 1] = seen[j] + counts[j]
        for j in range(width):
            t = trust[i, j]
            if layer[i, j] == SKIN and t > 0:
                left, right = max(j - radius, 0), min(j + radius + 1, width)
                mean = np.float32(2.0 * (run[right] - run[left]) / max(seen[right] - seen[left], 1) - 1.0)
                out[i, j] = min(t, max(mean, np.float32(0.0)))
            else:
                out[i, j] = np.float32(0.0)


@compiled
def _count_row(trust, layer, sign, sums, counts):  # type: ignore[no-untyped-def]
    """Add a row of `soften` to the columns' sums, or take it away (sign -1)."""
    for j in range(len(trust)):
        counted = sign * np.int32((layer[j] == SKIN) | (layer[j] == OFF))
        sums[j] += trust[j] * np.float64(counted)
        counts[j] += counted


# fmt: off
@compiled
def coarse_anchors(  # type: ignore[no-untyped-def]
    first, last, triangle, barycentric, depth, faces, attributes, flow, trusted, layer, anchor, weight, nearest,
):
    # fmt: on
    """Sum up trusted motion in the cells of a grid, rows first..last-1 of it: anchor (G, G, 2 + 3) = offset in ndc (y down) and log of the ratio
    of shadings, weight (G, G), and nearest (G, G): the depth of the head (not the bust), -inf where it is not.

    attributes: (V, 5) = log ratio, hair, not bust. Hair counts less.
    """
    height, width = triangle.shape
    grid = len(weight)
    anchor[first:last] = np.float32(0.0)
    weight[first:last] = np.float32(0.0)
    nearest[first:last] = np.float32(-np.inf)
    to_x, to_y = np.float32(2.0 / width), np.float32(2.0 / height)
    cell_area = np.float32(height * width) / np.float32(grid * grid)
    cells = np.empty(width, np.int64)
    for j in range(width):
        cells[j] = j * grid // width
    for i in range((first * height + grid - 1) // grid, (last * height + grid - 1) // grid):
        gi = i * grid // height
        for j in range(width):
            f = triangle[i, j]
            if f < 0:
                continue
            gj = cells[j]
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            wa, wb, wc = barycentric[i, j, 0], barycentric[i, j, 1], barycentric[i, j, 2]
            if depth[i, j] > nearest[gi, gj] and wa * attributes[a, 4] + wb * attributes[b, 4] + wc * attributes[c, 4] > np.float32(0.5):
                nearest[gi, gj] = depth[i, j]
            t = trusted[i, j]
            if t <= 0 or layer[i, j] != SKIN:
                continue
            hair = wa * attributes[a, 3] + wb * attributes[b, 3] + wc * attributes[c, 3]
            t *= np.float32(1.0) - np.float32(0.9) * hair
            weight[gi, gj] += t
            anchor[gi, gj, 0] += t * flow[i, j, 0] * to_x
            anchor[gi, gj, 1] += t * flow[i, j, 1] * to_y
            for k in range(3):
                anchor[gi, gj, 2 + k] += t * (wa * attributes[a, k] + wb * attributes[b, k] + wc * attributes[c, k])
    for gi in range(first, last):
        for gj in range(grid):
            if weight[gi, gj] > 0:
                for k in range(5):
                    anchor[gi, gj, k] /= weight[gi, gj]
                weight[gi, gj] *= np.float32(20.0) / cell_area


@compiled
def between(field, scale, row, column):  # type: ignore[no-untyped-def]
    """A field on every (1 / scale)-th pixel, at a place in pixels (centres at integers), bilinear."""
    height, width = field.shape
    y = min(max(row * scale, np.float32(0.0)), np.float32(height - 1))
    x = min(max(column * scale, np.float32(0.0)), np.float32(width - 1))
    i, j = min(int(y), height - 2), min(int(x), width - 2)
    v, u = y - np.float32(i), x - np.float32(j)
    top = field[i, j] + u * (field[i, j + 1] - field[i, j])
    bottom = field[i + 1, j] + u * (field[i + 1, j + 1] - field[i + 1, j])
    return top + v * (bottom - top)


@compiled
def along_row(field, scale, row, out):  # type: ignore[no-untyped-def]
    """`between` for all columns of a row, into out (W,)."""
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


# fmt: off
@compiled
def join_motion(  # type: ignore[no-untyped-def]
    first, last, triangle, barycentric, faces, flow, trusted, outside, ratio, matte, decided,
    away, clear, bare, beyond, margin, edge, blend, total, light, belongs, behind,
):
    # fmt: on
    """The motion of every pixel in the rows first..last-1: the mesh's where it is trusted, the continuation elsewhere. into
    total (H, W, 2) pixels, light (H, W, 3) ratio of shadings, belongs (H, W) how far what it fetches belongs to the head,
    behind (H, W, 3) on the edge of the head: the motion of what it covers, and how much of that shows.

    matte: (G, G) how far the photo's surroundings belong to the head; the rest is not relit. decided: see
    `matte.decide`. away, clear, bare, beyond: those of `outline.Outline`; margin, edge, blend: in pixels.
    """
    height, width = triangle.shape
    grid = outside.shape[0]
    half, one, zero = np.float32(0.5), np.float32(1.0), np.float32(0.0)
    half_x, half_y = np.float32(0.5 * width), np.float32(0.5 * height)
    scale = one / np.float32((height + away.shape[0] - 1) // away.shape[0])
    per_row, per_column = np.float32(grid) / np.float32(height), np.float32(grid) / np.float32(width)
    cells, parts = np.empty(width, np.int64), np.empty(width, np.float32)  # where each column lies on the grid
    for j in range(width):
        gx = min(max((np.float32(j) + half) * np.float32(grid) / np.float32(width) - half, zero), np.float32(grid - 1))
        cells[j] = min(int(gx), grid - 2)
        parts[j] = gx - np.float32(cells[j])
    line, past = np.empty((grid, 5), np.float32), np.empty((grid, 2), np.float32)  # outside and beyond on this row
    clearance = np.empty(width, np.float32)  # away on this row
    for i in range(first, last):
        gy = min(max((np.float32(i) + half) * np.float32(grid) / np.float32(height) - half, zero), np.float32(grid - 1))
        r = min(int(gy), grid - 2)
        v = gy - np.float32(r)
        for s in range(grid):
            for k in range(5):
                line[s, k] = outside[r, s, k] + v * (outside[r + 1, s, k] - outside[r, s, k])
            for k in range(2):
                past[s, k] = beyond[r, s, k] + v * (beyond[r + 1, s, k] - beyond[r, s, k])
        along_row(away, scale, np.float32(i), clearance)
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
                if f < 0:
                    beside = (clearance[j] - margin) / edge
                    if beside > 0:
                        out_x = (past[s, 0] + u * (past[s + 1, 0] - past[s, 0])) * half_x
                        out_y = (past[s, 1] + u * (past[s + 1, 1] - past[s, 1])) * half_y
                        free = between(clear, scale, np.float32(i) + out_y, np.float32(j) + out_x)
                        gained = free - between(clear, scale, np.float32(i) + dy, np.float32(j) + dx)
                        covers = min(max(gained / margin, zero), one)  # the side that the turn covers: an edge; else a wide change
                        parted = abs(out_x - dx) + abs(out_y - dy)  # wide enough that the map does not fold
                        wide = max(blend, np.float32(2.6) * parted)
                        share = min(beside, one) * min(max((free - margin) / (wide + covers * (edge - wide)), zero), one)
                        if covers > 0:
                            loose = one + covers * (between(bare, scale, np.float32(i), np.float32(j)) - one)
                            out_x, out_y = dx + loose * (out_x - dx), dy + loose * (out_y - dy)
                        if covers > half and share < one:
                            behind[i, j, 0], behind[i, j, 1], behind[i, j, 2] = out_x, out_y, share
                        else:
                            dx += share * (out_x - dx)
                            dy += share * (out_y - dy)
            if t > 0:
                a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
                wa, wb, wc = barycentric[i, j, 0], barycentric[i, j, 1], barycentric[i, j, 2]
                dx += t * (flow[i, j, 0] - dx)
                dy += t * (flow[i, j, 1] - dy)
                red += t * (wa * ratio[a, 0] + wb * ratio[b, 0] + wc * ratio[c, 0] - red)
                green += t * (wa * ratio[a, 1] + wb * ratio[b, 1] + wc * ratio[c, 1] - green)
                blue += t * (wa * ratio[a, 2] + wb * ratio[b, 2] + wc * ratio[c, 2] - blue)
            glow = max(abs(red - one), abs(green - one), abs(blue - one))
            belongs[i, j] = one
            if glow > np.float32(0.002) or (t < one and f >= 0):
                mx = min(max((np.float32(j) + half + dx) * per_column - half, zero), np.float32(grid - 1))
                my = min(max((np.float32(i) + half + dy) * per_row - half, zero), np.float32(grid - 1))
                p, q = min(int(my), grid - 2), min(int(mx), grid - 2)
                my, mx = my - np.float32(p), mx - np.float32(q)
                upper = matte[p, q] + mx * (matte[p, q + 1] - matte[p, q])
                lower = matte[p + 1, q] + mx * (matte[p + 1, q + 1] - matte[p + 1, q])
                share = upper + my * (lower - upper)
                belongs[i, j] = share  # not yet sharper: a switch to other colours must not follow the photo's grain
                if glow > np.float32(0.02) and len(decided):
                    y = min(max(int(np.float32(i) + dy + half), 0), height - 1)
                    x = min(max(int(np.float32(j) + dx + half), 0), width - 1)
                    share = sharper(share, decided[y, x])
                square = share * share  # for what gets brighter: a pixel half of skin, half of a bright wall must not glow
                red = one + (share if red < one else square) * (red - one)
                green = one + (share if green < one else square) * (green - one)
                blue = one + (share if blue < one else square) * (blue - one)
            # not beyond the picture
            total[i, j, 0] = min(max(dx, np.float32(-j)), np.float32(width - 1 - j))
            total[i, j, 1] = min(max(dy, np.float32(-i)), np.float32(height - 1 - i))
            light[i, j, 0], light[i, j, 1], light[i, j, 2] = red, green, blue


@compiled
def cubic(t):  # type: ignore[no-untyped-def]
    """Catmull-Rom weights of the four samples around a point t in [0, 1) after the second."""
    half, square = np.float32(0.5), t * t
    cube = square * t
    return (
        square - half * (cube + t),
        np.float32(1.5) * cube - np.float32(2.5) * square + np.float32(1.0),
        np.float32(2.0) * square + half * t - np.float32(1.5) * cube,
        half * (cube - square),
    )


@compiled
def sample(image, x, y):  # type: ignore[no-untyped-def]
    """Colour (r, g, b) of the picture (H, W, 3) at column x and row y (pixel centres at integers), bicubic, edges repeated."""
    height, width, _ = image.shape
    floor_x, floor_y = np.floor(x), np.floor(y)
    col, row = int(floor_x), int(floor_y)
    u0, u1, u2, u3 = cubic(np.float32(x - floor_x))
    if col >= 1 and col < width - 2 and row >= 1 and row < height - 2:
        j0, j1, j2, j3 = np.uint64(col - 1), np.uint64(col), np.uint64(col + 1), np.uint64(col + 2)  # unsigned: no test for counting from the end
    else:
        j0, j1 = np.uint64(max(col - 1, 0)), np.uint64(min(max(col, 0), width - 1))
        j2, j3 = np.uint64(min(max(col + 1, 0), width - 1)), np.uint64(min(col + 2, width - 1))
    red, green, blue = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for a, v in enumerate(cubic(np.float32(y - floor_y))):
        i = np.uint64(min(max(row - 1 + a, 0), height - 1))
        red += v * (u0 * image[i, j0, 0] + u1 * image[i, j1, 0] + u2 * image[i, j2, 0] + u3 * image[i, j3, 0])
        green += v * (u0 * image[i, j0, 1] + u1 * image[i, j1, 1] + u2 * image[i, j2, 1] + u3 * image[i, j3, 1])
        blue += v * (u0 * image[i, j0, 2] + u1 * image[i, j1, 2] + u2 * image[i, j2, 2] + u3 * image[i, j3, 2])
    return red, green, blue


@compiled
def relit(value, ratio):  # type: ignore[no-untyped-def]
    """A picture value in new light: value * ratio, with a shoulder above 0.8 where it gets brighter, so that highlights keep their drawing."""
    bright = value * ratio
    if ratio <= 1:
        return bright
    return value + shoulder(bright) - shoulder(value)


@compiled
def shoulder(value):  # type: ignore[no-untyped-def]
    """The identity up to 0.8, then bending to 1."""
    over = value - np.float32(0.8)
    if over <= 0:
        return value
    return np.float32(0.8) + np.float32(0.2) * (np.float32(1.0) - np.exp(-np.float32(5.0) * over))


# fmt: off
@compiled
def compose(  # type: ignore[no-untyped-def]
    first, last, image, triangle, barycentric, faces, flow, light, belongs, behind, trusted, layer,
    paint, teeth, veil, layer_before, mirror_pixels, mirror_gain, picture, visibility, change,
):
    # fmt: on
    """Fetch the colours of the rows first..last-1 into picture (H, W, 3), visibility (H, W), change (H, W) in [0, 1].

    Where the map shrinks the photo's detail to less than a third in some direction (it is smeared) on skin, the paint takes over; on lids
    wherever the photo is not trusted; and on lips in place of the photo's teeth (H, W); and on
    lids in place of the photo's eyes; but background
    (`belongs`, from `join_motion`) is not painted.
    Where the photo shows the mirrored point of a hidden one, that is taken: mirror_pixels (V, 2) where it is, mirror_gain (V, 3) how many
    times brighter it has to be. veil: (V, 4) = never painted, closing lids, moving lips,
    mirrored point shown.
    Where lips have closed, the map skips what lay between them; there is a dark seam.
    """
    height, width, _ = image.shape
    colour, skin = np.empty(3, np.float32), np.empty(3, np.float32)
    one, zero, half = np.float32(1.0), np.float32(0.0), np.float32(0.5)
    for i in range(first, last):
        up, down = max(i - 1, 0), min(i + 1, height - 1)
        for j in range(width):
            dx, dy, t, kind = flow[i, j, 0], flow[i, j, 1], trusted[i, j], layer[i, j]
            brightest = max(abs(light[i, j, 0] - one), abs(light[i, j, 1] - one), abs(light[i, j, 2] - one))
            moved = np.sqrt(dx * dx + dy * dy)
            changed = max((moved - np.float32(0.04)) * np.float32(4.0), (brightest - np.float32(0.004)) * np.float32(50.0))
            if changed <= 0 and (kind != SKIN or t == 1):  # nothing to do, and nothing to paint
                visibility[i, j] = one if kind in (SKIN, OFF) else zero
                change[i, j] = zero
                picture[i, j, 0], picture[i, j, 1], picture[i, j, 2] = image[i, j, 0], image[i, j, 1], image[i, j, 2]
                continue
            left, right = max(j - 1, 0), min(j + 1, width - 1)
            step_x, step_y = half if right - left == 2 else one, half if down - up == 2 else one
            yy = one + (flow[down, j, 1] - flow[up, j, 1]) * step_y
            smallest = one if t == 1 or changed <= 0 else zero
            if smallest == 0:
                xx = one + (flow[i, right, 0] - flow[i, left, 0]) * step_x
                yx = (flow[i, right, 1] - flow[i, left, 1]) * step_x
                xy = (flow[down, j, 0] - flow[up, j, 0]) * step_y
                determinant = xx * yy - xy * yx
                total = xx * xx + xy * xy + yx * yx + yy * yy
                square = determinant * determinant
                if determinant > 0 and total > np.float32(0.32) and square - np.float32(0.16) * total + np.float32(0.0256) > 0:
                    smallest = one  # more than 0.4 anyway: not smeared
                elif determinant > 0:
                    root = np.sqrt(max(total * total - np.float32(4.0) * square, zero))
                    smallest = np.sqrt(max(half * (total - root), zero))
            smear = min(max((np.float32(0.4) - smallest) * np.float32(4.0), zero), one)
            seen = one - smear * (one - t)
            painted, certain, mirrored, loose = zero, zero, zero, zero
            if kind == SKIN and (smear > 0 or t < 1):
                f = triangle[i, j]
                a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
                wa, wb, wc = barycentric[i, j, 0], barycentric[i, j, 1], barycentric[i, j, 2]
                lid = min(wa * veil[a, 1] + wb * veil[b, 1] + wc * veil[c, 1], one)
                bare = one - (wa * veil[a, 0] + wb * veil[b, 0] + wc * veil[c, 0])
                loose = smear * bare * (one - t) * belongs[i, j]
                painted, certain = max(loose, lid), lid
                mirrored = wa * veil[a, 3] + wb * veil[b, 3] + wc * veil[c, 3]
                mirrored = min(max(mirrored * np.float32(3.0) - one, zero), one)
                mirrored *= (one - t) * min(np.float32(2.0) * max(smear, one - belongs[i, j]), one)
                painted *= one - mirrored
                seen = min(seen, one - max(painted, mirrored))
            seam = zero
            if kind == SKIN and yy > np.float32(2.0):
                f = triangle[i, j]
                a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
                lip = barycentric[i, j, 0] * veil[a, 2] + barycentric[i, j, 1] * veil[b, 2] + barycentric[i, j, 2] * veil[c, 2]
                seam = lip * min((yy - np.float32(2.0)) * np.float32(0.2), np.float32(0.4))
            if kind == SKIN and moved > half:
                row, col = int(np.float32(i) + dy + half), int(np.float32(j) + dx + half)
                row, col = min(max(row, 0), height - 1), min(max(col, 0), width - 1)
                if teeth[row, col] > 0:
                    f = triangle[i, j]
                    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
                    lip = barycentric[i, j, 0] * veil[a, 2] + barycentric[i, j, 1] * veil[b, 2] + barycentric[i, j, 2] * veil[c, 2]
                    certain = max(certain, lip * min(teeth[row, col] * np.float32(1.5), one))
                if layer_before[row, col] == EYE:
                    certain = one
                painted = max(painted, certain)
            visibility[i, j] = seen if kind in (SKIN, OFF) else zero
            changed = max(changed, painted, mirrored)
            if changed <= 0:
                change[i, j] = zero
                for k in range(3):
                    picture[i, j, k] = image[i, j, k]
                continue
            change[i, j] = min(changed, one)
            if moved == 0:  # only relit, or painted
                colour[0], colour[1], colour[2] = image[i, j, 0], image[i, j, 1], image[i, j, 2]
            else:
                colour[0], colour[1], colour[2] = sample(image, np.float32(j) + dx, np.float32(i) + dy)
            if behind[i, j, 2] > 0:
                wall = sample(image, np.float32(j) + behind[i, j, 0], np.float32(i) + behind[i, j, 1])
                for k, value in enumerate(wall):
                    colour[k] += behind[i, j, 2] * (value - colour[k])
            if brightest > 0:
                for k in range(3):
                    colour[k] = relit(colour[k], light[i, j, k])
            if mirrored > 0:
                f = triangle[i, j]
                a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
                wa, wb, wc = barycentric[i, j, 0], barycentric[i, j, 1], barycentric[i, j, 2]
                x = wa * mirror_pixels[a, 0] + wb * mirror_pixels[b, 0] + wc * mirror_pixels[c, 0] - half
                y = wa * mirror_pixels[a, 1] + wb * mirror_pixels[b, 1] + wc * mirror_pixels[c, 1] - half
                twin = sample(image, min(max(x, zero), np.float32(width - 1)), min(max(y, zero), np.float32(height - 1)))
                for k, value in enumerate(twin):
                    gain = wa * mirror_gain[a, k] + wb * mirror_gain[b, k] + wc * mirror_gain[c, k]
                    colour[k] += mirrored * (value * gain - colour[k])
            if painted > 0:
                f = triangle[i, j]
                a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
                wa, wb, wc = barycentric[i, j, 0], barycentric[i, j, 1], barycentric[i, j, 2]
                skin[0] = wa * paint[a, 0] + wb * paint[b, 0] + wc * paint[c, 0]
                skin[1] = wa * paint[a, 1] + wb * paint[b, 1] + wc * paint[c, 1]
                skin[2] = wa * paint[a, 2] + wb * paint[b, 2] + wc * paint[c, 2]
                if loose > certain:  # smeared hair stays hair
                    apart = max(abs(colour[0] - skin[0]), abs(colour[1] - skin[1]), abs(colour[2] - skin[2]))
                    painted = max(painted * min(max(np.float32(1.6) - np.float32(6.0) * apart, zero), one), certain)
                for k in range(3):
                    colour[k] += painted * (skin[k] - colour[k])
            for k in range(3):
                picture[i, j, k] = min(max(colour[k] * (one - seam), zero), one)


@compiled
def finish(first, last, image, picture, change, feather, mask):  # type: ignore[no-untyped-def]
    """Mix the new picture into the photo, rows first..last-1: mask (H, W) = change, falling to 0 over `feather` pixels before the border.
    picture changes in place."""
    height, width, _ = image.shape
    for i in range(first, last):
        for j in range(width):
            m = change[i, j]
            if m > 0:
                edge = np.float32(min(i, j, height - 1 - i, width - 1 - j)) / np.float32(feather)
                m *= min(edge, np.float32(1.0))
            mask[i, j] = m
            if m < 1:
                for k in range(3):
                    picture[i, j, k] = image[i, j, k] + m * (picture[i, j, k] - image[i, j, k])
