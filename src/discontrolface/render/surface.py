"""What each pixel shows of a mesh, as the preview's kernels read it."""

from __future__ import annotations

from typing import NamedTuple

from discontrolface.render.compiled import inlined
from discontrolface.render.raster import FloatArray, IntArray, Raster


class Surface(NamedTuple):
    """A drawn mesh: the maps of a `Raster` (triangle, barycentric, depth) and the faces (F, 3) that were drawn."""

    triangle: IntArray
    barycentric: FloatArray
    depth: FloatArray
    faces: IntArray

    @classmethod
    def of(cls, raster: Raster, faces: IntArray) -> Surface:
        """A raster and what was drawn."""
        return cls(triangle=raster.triangle, barycentric=raster.barycentric, depth=raster.depth, faces=faces)


class Point(NamedTuple):
    """A point of a mesh: three vertices and their weights."""

    a: int
    b: int
    c: int
    wa: float
    wb: float
    wc: float


@inlined
def point_at(surface, i, j):  # type: ignore[no-untyped-def]
    """The point that pixel (i, j) shows, which must be on the mesh."""
    f = surface.triangle[i, j]
    faces, barycentric = surface.faces, surface.barycentric
    return Point(faces[f, 0], faces[f, 1], faces[f, 2], barycentric[i, j, 0], barycentric[i, j, 1], barycentric[i, j, 2])


@inlined
def on_vertices(values, point):  # type: ignore[no-untyped-def]
    """A value of the vertices (V,) at a point."""
    return point.wa * values[point.a] + point.wb * values[point.b] + point.wc * values[point.c]


@inlined
def channel(values, k, point):  # type: ignore[no-untyped-def]
    """Channel k of the vertices' values (V, C) at a point."""
    return point.wa * values[point.a, k] + point.wb * values[point.b, k] + point.wc * values[point.c, k]
