"""A z-buffer for triangle meshes, in Numba: no compiled extension, no GL.

Everything here is affine (scaled-orthographic cameras): barycentrics and depth are linear in the picture, without perspective division.

Vertices are snapped to 1/4096 pixel before the edge tests. The edge functions are then integers held in float64, exact as long as a
triangle is smaller than 16,384 pixels. So two triangles that share an edge give it the same values with opposite signs, and the top-left
rule gives every pixel on the edge to exactly one of them. (Larger triangles still work, with rounded edges.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discontrolface.render.compiled import compiled

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]

SUBPIXEL = 4096.0  # steps a pixel that vertices are snapped to


@dataclass(frozen=True)
class Raster:
    """Which triangle each pixel shows.

    triangle: (H, W) int32, index into `faces`, -1 where there is none.
    barycentric: (H, W, 3) float32, weights of the triangle's corners in the order of `faces`, sum 1, each >= 0; 0 off the mesh.
    depth: (H, W) float32, z of the surface in the units of the vertices (larger is nearer); -inf off the mesh.
    """

    triangle: IntArray
    barycentric: FloatArray
    depth: FloatArray

    @property
    def mask(self) -> BoolArray:
        """(H, W) bool: True where the mesh is."""
        return self.triangle >= 0


def rasterize(vertices: NDArray[Any], faces: NDArray[Any], height: int, width: int, cull: bool = True) -> Raster:
    """Draw a mesh into a z-buffer.

    vertices: (V, 3), ndc: x right, y up, [-1, 1] spans the window (clipped to it); z larger is nearer.
    faces: (F, 3) integers, counter-clockwise seen from outside.
    cull: leave out triangles that are seen from behind.

    A pixel belongs to the triangle that holds its centre (at +0.5; on an edge: top-left rule), the nearest one, at equal depth the lower
    index. Degenerate triangles, and those with a corner that is not finite, are left out. Raises ValueError for wrong shapes and indices.
    """
    points, corners = _checked(vertices, faces, height, width, dimensions=2)
    return _draw(points, corners, height, width, cull)


def rasterize_batch(vertices: NDArray[Any], faces: NDArray[Any], height: int, width: int, cull: bool = True) -> list[Raster]:
    """`rasterize` for vertices (B, V, 3) that share their faces (F, 3): one Raster per sample."""
    points, corners = _checked(vertices, faces, height, width, dimensions=3)
    return [_draw(sample, corners, height, width, cull) for sample in points]


def interpolate(raster: Raster, attributes: NDArray[Any], faces: NDArray[Any]) -> FloatArray:
    """Spread vertex attributes (V, C) over the pixels: (H, W, C) float32, 0 off the mesh.

    faces: (F, 3), the list that was drawn, or one of the same length with other corners (texture coordinates with seams have their own).
    """
    values = np.ascontiguousarray(attributes, dtype=np.float32)
    if values.ndim != 2:
        raise ValueError(f"attributes must be (V, C), not {values.shape}")
    corners = _checked_faces(faces, len(values))
    if raster.triangle.max(initial=-1) >= len(corners):
        raise ValueError(f"the raster shows triangle {raster.triangle.max()}, but there are {len(corners)} faces")
    return _interpolate(raster.triangle, raster.barycentric, values, corners)


def visible_vertices(depth: Raster | NDArray[Any], vertices: NDArray[Any], tolerance: float = 0.01) -> BoolArray:
    """Which vertices the camera sees: (V,) bool.

    depth: a Raster or its depth (H, W) with -inf off the mesh. vertices: (V, 3), in the ndc that was drawn.
    tolerance: how far (in ndc depth) a vertex may lie behind the surface and still count as on it.

    The surface's depth at a vertex is the bilinear mix of the covered pixels among the four around it, which is exact on a plane however
    steep (on the last pixel before a silhouette, where some are not covered, steep surfaces may exceed the tolerance); where none of them
    is covered nothing hides the vertex. Vertices outside the window, or not finite, are not visible.
    """
    buffer = np.ascontiguousarray(depth.depth if isinstance(depth, Raster) else depth, dtype=np.float32)
    points = np.ascontiguousarray(vertices, dtype=np.float32)
    if buffer.ndim != 2 or points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"depth must be (H, W) and vertices (V, 3), not {buffer.shape} and {points.shape}")
    return _visible(buffer, points, float(tolerance))


def _checked(vertices: NDArray[Any], faces: NDArray[Any], height: int, width: int, dimensions: int) -> tuple[FloatArray, IntArray]:
    points = np.ascontiguousarray(vertices, dtype=np.float32)
    if points.ndim != dimensions or points.shape[-1] != 3:
        raise ValueError(f"vertices must be {'(V, 3)' if dimensions == 2 else '(B, V, 3)'}, not {points.shape}")
    if height < 1 or width < 1:
        raise ValueError(f"the window must be at least 1x1 pixel, not {height}x{width}")
    return points, _checked_faces(faces, points.shape[-2])


def _checked_faces(faces: NDArray[Any], vertex_count: int) -> IntArray:
    corners = np.ascontiguousarray(faces, dtype=np.int32)
    if corners.ndim != 2 or corners.shape[1] != 3:
        raise ValueError(f"faces must be (F, 3), not {corners.shape}")
    if corners.size and (corners.min() < 0 or corners.max() >= vertex_count):
        raise ValueError(f"faces name vertices {corners.min()} to {corners.max()}, but there are {vertex_count}")
    return corners


def _draw(points: FloatArray, corners: IntArray, height: int, width: int, cull: bool) -> Raster:
    triangle = np.full((height, width), -1, dtype=np.int32)
    barycentric = np.zeros((height, width, 3), dtype=np.float32)
    depth = np.full((height, width), -np.inf, dtype=np.float32)
    _fill(points, corners, cull, triangle, barycentric, depth)
    return Raster(triangle, barycentric, depth)


@compiled
def _fill(points, corners, cull, triangle, barycentric, depth):  # type: ignore[no-untyped-def]
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
def _interpolate(triangle, barycentric, values, corners):  # type: ignore[no-untyped-def]
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
def _visible(depth, points, tolerance):  # type: ignore[no-untyped-def]
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
