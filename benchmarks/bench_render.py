"""Median times of the renderer on one core: python benchmarks/bench_render.py [--runs 30]

The mesh is a sphere with as many triangles as the open head, then the open head itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from timing import median_ms

from discontrolface.face.heads.base import HeadModel
from discontrolface.geometry.cameras import project
from discontrolface.geometry.meshes import vertex_normals
from discontrolface.render.raster import interpolate, rasterize, visible_vertices
from discontrolface.render.shade import light_preset
from discontrolface.render.snapshot import SNAPSHOT_MAPS, render_snapshot


def sphere(rings: int = 70, sectors: int = 69, radius: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """A UV sphere: vertices (1, V, 3), triangles (F, 3); 9,522 triangles by default."""
    theta, phi = np.meshgrid(np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, sectors, endpoint=False), indexing="ij")
    vertices = radius * np.stack([np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(sectors), indexing="ij")
    a, b = i * sectors + j, i * sectors + (j + 1) % sectors
    faces = np.concatenate([np.stack([a, a + sectors, b + sectors], -1), np.stack([a, b + sectors, b], -1)]).reshape(-1, 3)
    return torch.tensor(vertices, dtype=torch.float32)[None], torch.tensor(faces)


def fitting_camera(vertices: torch.Tensor) -> torch.Tensor:
    """A camera (1, 3) that shows all of the vertices (1, V, 3) on 80 % of the crop."""
    low, high = vertices[0, :, :2].amin(0), vertices[0, :, :2].amax(0)
    return torch.cat([1.6 / (high - low).amax().reshape(1), -(low + high) / 2])[None]


def bench(name: str, vertices: torch.Tensor, faces: torch.Tensor, runs: int) -> None:
    camera, light, albedo = fitting_camera(vertices), light_preset("left")[None], vertices.clamp(0, 1)
    ndc, triangles = project(vertices, camera)[0].numpy(), faces.numpy()
    attributes = vertex_normals(vertices, faces)[0].numpy()
    for size in (256, 512):
        raster = rasterize(ndc, triangles, size, size)
        maps = tuple(SNAPSHOT_MAPS)[:3]
        steps: dict[str, Callable[[], object]] = {
            "rasterize": lambda size=size: rasterize(ndc, triangles, size, size),
            "rasterize, both sides": lambda size=size: rasterize(ndc, triangles, size, size, cull=False),
            "interpolate 3 channels": lambda raster=raster: interpolate(raster, attributes, triangles),
            "visible vertices": lambda raster=raster: visible_vertices(raster, ndc),
            "vertex normals": lambda: vertex_normals(vertices, faces),
            "snapshot (normals, lambertian)": lambda size=size: render_snapshot(vertices, faces, camera, light, None, size),
            "snapshot (and vertex albedo)": lambda size=size, maps=maps: render_snapshot(
                vertices, faces, camera, light, albedo, size, maps
            ),
        }
        print(
            f"{name}: {vertices.shape[1]:,} vertices, {len(faces):,} triangles, {size} px, {raster.mask.mean():.0%} of the picture covered"
        )
        for step, work in steps.items():
            print(f"  {step:32s} {median_ms(work, runs):7.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="repetitions of which the median is printed")
    runs = parser.parse_args().runs
    torch.set_num_threads(1)
    bench("sphere", *sphere(), runs)
    head = HeadModel.open()
    bench("open head", head().vertices.detach(), head.faces_tensor, runs)


if __name__ == "__main__":
    main()
