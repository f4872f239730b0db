"""The z-buffer's loops over triangles, pixels and vertices, in Numba. `render/raster.py` says what they do and checks what they get."""

import numpy as np

from discontrolface.render.compiled import compiled
from discontrolface.render.raster_plain import SUBPIXEL


@compiled
def fill(points, corners, cull, triangle, barycentric, depth):  # type: ignore[no-untyped-def]
    """Fill the three buffers (see Raster) with every triangle in turn."""
    height, width = triangle.shape

    # Vertices in 1/SUBPIXEL pixels, y down, with the centre of pixel (row i, column j) at (j, i) * SUBPIXEL.
    snapped = np.empty((len(points), 2), dtype=np.float64)
    finite = np.empty(len(points), dtype=np.bool_)
    for v in range(len(points)):
        finite[v] = np.isfinite(points[v, 0]) and np.isfinite(points[v, 1]) and np.isfinite(points[v, 2])
        snapped[v, 0] = np.rint(((np.float64(points[v, 0]) + 1.0) * 0.5 * width - 0.5) * SUBPIXEL)
        snapped[v, 1] = np.rint(((1.0 - np.float64(points[v, 1])) * 0.5 * height - 0.5) * SUBPIXEL)

    for f in range(len(corners)):
        a, b, c = corners[f, 0], corners[f, 1], corners[f, 2]
        if not (finite[a] and finite[b] and finite[c]):
            continue
        ax, ay = snapped[a, 0], snapped[a, 1]
        bx, by = snapped[b, 0], snapped[b, 1]
        cx, cy = snapped[c, 0], snapped[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)  # twice the area; negative: counter-clockwise in a picture whose y points down
        if area == 0.0 or (cull and area > 0.0):
            continue
        front = area < 0.0
        if front:  # swap b and c: the tests below want a positive area
            b, c = c, b
            bx, by, cx, cy = cx, cy, bx, by
            area = -area

        # Pixel centres inside the bounding box, clipped to the window (as floats: far corners would overflow integers).
        left = int(max(np.ceil(min(ax, bx, cx) / SUBPIXEL), 0.0)) if min(ax, bx, cx) <= SUBPIXEL * (width - 1) else width
        right = int(min(np.floor(max(ax, bx, cx) / SUBPIXEL), width - 1.0)) if max(ax, bx, cx) >= 0.0 else -1
        top = int(max(np.ceil(min(ay, by, cy) / SUBPIXEL), 0.0)) if min(ay, by, cy) <= SUBPIXEL * (height - 1) else height
        bottom = int(min(np.floor(max(ay, by, cy) / SUBPIXEL), height - 1.0)) if max(ay, by, cy) >= 0.0 else -1
        if left > right or top > bottom:
            continue

        # Edge functions: a corner's is proportional to its barycentric weight. At 0 a pixel is inside if the edge is a top or a left one.
        bc_x, bc_y, ca_x, ca_y, ab_x, ab_y = cx - bx, cy - by, ax - cx, ay - cy, bx - ax, by - ay
        least_a = 0.0 if bc_y < 0.0 or (bc_y == 0.0 and bc_x > 0.0) else 1.0
        least_b = 0.0 if ca_y < 0.0 or (ca_y == 0.0 and ca_x > 0.0) else 1.0
        least_c = 0.0 if ab_y < 0.0 or (ab_y == 0.0 and ab_x > 0.0) else 1.0
        start = left * SUBPIXEL
        scale = 1.0 / area
        az, bz, cz = np.float64(points[a, 2]), np.float64(points[b, 2]), np.float64(points[c, 2])
        for i in range(top, bottom + 1):
            y = i * SUBPIXEL
            edge_a = bc_x * (y - by) - bc_y * (start - bx)
            edge_b = ca_x * (y - cy) - ca_y * (start - cx)
            edge_c = ab_x * (y - ay) - ab_y * (start - ax)
            for j in range(left, right + 1):
                if edge_a >= least_a and edge_b >= least_b and edge_c >= least_c:
                    weight_a, weight_b, weight_c = edge_a * scale, edge_b * scale, edge_c * scale
                    z = np.float32(weight_a * az + weight_b * bz + weight_c * cz)
                    if z > depth[i, j]:
                        depth[i, j] = z
                        triangle[i, j] = f
                        barycentric[i, j, 0] = weight_a
                        barycentric[i, j, 1] = weight_c if front else weight_b
                        barycentric[i, j, 2] = weight_b if front else weight_c
                edge_a -= bc_y * SUBPIXEL
                edge_b -= ca_y * SUBPIXEL
                edge_c -= ab_y * SUBPIXEL


@compiled
def interpolate(triangle, barycentric, values, corners):  # type: ignore[no-untyped-def]
    height, width = triangle.shape
    channels = values.shape[1]
    out = np.zeros((height, width, channels), dtype=np.float32)
    for i in range(height):
        for j in range(width):
            f = triangle[i, j]
            if f >= 0:
                a, b, c = corners[f, 0], corners[f, 1], corners[f, 2]
                weight_a, weight_b, weight_c = barycentric[i, j, 0], barycentric[i, j, 1], barycentric[i, j, 2]
                for k in range(channels):
                    out[i, j, k] = weight_a * values[a, k] + weight_b * values[b, k] + weight_c * values[c, k]
    return out


@compiled
def visible(depth, points, tolerance):  # type: ignore[no-untyped-def]
    height, width = depth.shape
    out = np.zeros(len(points), dtype=np.bool_)
    for v in range(len(points)):
        x = (np.float64(points[v, 0]) + 1.0) * 0.5 * width - 0.5
        y = (1.0 - np.float64(points[v, 1])) * 0.5 * height - 0.5
        z = np.float64(points[v, 2])
        if not (np.isfinite(z) and -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            continue
        j, i = int(np.floor(x)), int(np.floor(y))
        surface, weight = 0.0, 0.0
        for di in range(2):
            for dj in range(2):
                row, column = i + di, j + dj
                if 0 <= row < height and 0 <= column < width and depth[row, column] > -np.inf:
                    share = (1.0 - abs(y - row)) * (1.0 - abs(x - column))
                    surface += share * depth[row, column]
                    weight += share
        out[v] = weight <= 0.0 or z >= surface / weight - tolerance
    return out
