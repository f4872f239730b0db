"""The z-buffer in NumPy gives the kernels' bits, and reading a photo needs no other."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from discontrolface.common.example import example_photo
from discontrolface.face.heads.base import HeadModel
from discontrolface.render import raster_kernels, raster_plain
from discontrolface.render.raster import Raster

PHOTO = example_photo()


def by_kernels(points: np.ndarray, faces: np.ndarray, height: int, width: int, cull: bool) -> Raster:
    triangle, depth = np.full((height, width), -1, np.int32), np.full((height, width), -np.inf, np.float32)
    barycentric = np.zeros((height, width, 3), np.float32)
    raster_kernels.fill(points, faces, cull, triangle, barycentric, depth)
    return Raster(triangle, barycentric, depth)


def assert_same(points: np.ndarray, faces: np.ndarray, height: int, width: int, cull: bool) -> Raster:
    """Triangles, barycentrics, depth and interpolated values, to the bit."""
    points, faces = points.astype(np.float32), faces.astype(np.int32)
    a, b = by_kernels(points, faces, height, width, cull), Raster(*raster_plain.fill(points, faces, height, width, cull))
    for name in ("triangle", "barycentric", "depth"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
        assert getattr(a, name).dtype == getattr(b, name).dtype
    values = np.random.default_rng(1).normal(size=(len(points), 4)).astype(np.float32)
    spread = [room.interpolate(a.triangle, a.barycentric, values, faces) for room in (raster_kernels, raster_plain)]
    assert np.array_equal(spread[0], spread[1])
    return a


@pytest.mark.parametrize("cull", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (16, 16), (40, 57), (128, 128)])
def test_random_triangles(size: tuple[int, int], cull: bool) -> None:
    """Large and small ones, beyond the window, degenerate ones, equal depths, corners that are not finite."""
    rng = np.random.default_rng(size[0])
    points = np.concatenate([rng.normal(0, 0.8, (60, 3)), rng.normal(0, 40, (6, 3)), np.round(rng.normal(0, 1, (40, 3)), 1)])
    points[3], points[7, 2] = np.nan, np.inf
    faces = rng.integers(0, len(points), (400, 3))
    raster = assert_same(points, faces, *size, cull)
    assert raster.mask.any()
    assert_same(points[:3], np.zeros((0, 3)), *size, cull)
    assert_same(points + 50, faces, *size, cull)  # all beyond the window


def test_a_grid_of_shared_edges() -> None:
    """Corners on pixel centres: the top-left rule decides."""
    side = np.linspace(-1, 1, 9)
    points = np.stack([*np.meshgrid(side, side), np.zeros((9, 9))], -1).reshape(-1, 3)
    k = (np.arange(8)[:, None] * 9 + np.arange(8)).reshape(-1)
    faces = np.concatenate([np.stack([k, k + 1, k + 9], 1), np.stack([k + 1, k + 10, k + 9], 1)])
    for size in (8, 16, 31):
        assert assert_same(points, faces, size, size, False).mask.all()


def test_a_head() -> None:
    head = HeadModel.open()
    points = head.template.numpy() * np.float32(7.0)
    assert assert_same(points, head.faces, 128, 128, True).mask.mean() > 0.2


def test_reading_loads_no_numba() -> None:
    code = f"""
import json, sys
from discontrolface.editing.reading import Reader
Reader.load("open", 256).read({str(PHOTO)!r})
print(json.dumps([m for m in ("numba", "discontrolface.render.raster_kernels") if m in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.strip().splitlines()[-1]) == []
