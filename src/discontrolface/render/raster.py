"""A z-buffer for triangle meshes, in Numba (and for the first small picture of a process in NumPy): no compiled extension, no GL.

Everything here is affine (scaled-orthographic cameras): barycentrics and depth are linear in the picture, without perspective division.

Vertices are snapped to 1/4096 pixel before the edge tests. The edge functions are then integers held in float64, exact as long as a
triangle is smaller than 16,384 pixels. So two triangles that share an edge give it the same values with opposite signs, and the top-left
rule gives every pixel on the edge to exactly one of them. (Larger triangles still work, with rounded edges.)
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discontrolface.render import raster_plain

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]

SMALL = 192 * 192  # pixels: so few are drawn in NumPy while a process has not loaded Numba
KERNELS = "discontrolface.render.raster_kernels"


def _kernels() -> Any:
    """The Numba loops."""
    return import_module(KERNELS)


def _in_numpy(pixels: int) -> bool:
    """Whether NumPy draws this picture: a small one, before anything has loaded the kernels. The bits are the same."""
    return pixels <= SMALL and KERNELS not in sys.modules


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
    spread = raster_plain.interpolate if _in_numpy(raster.triangle.size) else _kernels().interpolate
    out: FloatArray = spread(raster.triangle, raster.barycentric, values, corners)
    return out


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
    seen: BoolArray = _kernels().visible(buffer, points, float(tolerance))
    return seen


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
    if _in_numpy(height * width):
        return Raster(*raster_plain.fill(points, corners, height, width, cull))
    triangle = np.full((height, width), -1, dtype=np.int32)
    barycentric = np.zeros((height, width, 3), dtype=np.float32)
    depth = np.full((height, width), -np.inf, dtype=np.float32)
    _kernels().fill(points, corners, cull, triangle, barycentric, depth)
    return Raster(triangle, barycentric, depth)
