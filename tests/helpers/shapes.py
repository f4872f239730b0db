"""Shapes whose depth and normals are known in closed form."""

from __future__ import annotations

import numpy as np


def sphere(rings: int, sectors: int, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """A UV sphere around 0: vertices (rings * sectors, 3) float32, triangles (F, 3) int32, counter-clockwise from outside, poles as degenerate
    fans."""
    theta, phi = np.meshgrid(np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, sectors, endpoint=False), indexing="ij")
    vertices = radius * np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(sectors), indexing="ij")
    a, b = i * sectors + j, i * sectors + (j + 1) % sectors
    faces = np.concatenate([np.stack([a, a + sectors, b + sectors], -1), np.stack([a, b + sectors, b], -1)]).reshape(-1, 3)
    return vertices.astype(np.float32), faces.astype(np.int32)
