"""Wrinkles: a displacement map to detailed normals, to a detailed snapshot, and to a detailed mesh.

DECA's detail vector says how a person's skin folds; with expression and jaw it gives a displacement d along the coarse normals (regress.py).
Two ways from d to normals are here. `displacement_to_normals` is DECA's: the normals of the displaced texel grid. Their grid is not the coarse
surface, so they differ from the coarse normals even where d is 0. Snapshots therefore take the *tilt*: the rotation that the displacement makes
of the grid's own normals, applied to the coarse ones. Where d is 0 the normals are the coarse ones, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import PAPER_MAPS
from discontrolface.face.heads.base import HeadModel, rodrigues
from discontrolface.geometry.meshes import vertex_normals
from discontrolface.render.raster import interpolate, rasterize
from discontrolface.render.shade import add_sh_light
from discontrolface.render.snapshot import GREY, Snapshot, render_snapshot

MARGIN_X, MARGIN_Y = 2, 5  # texels at the map's border that DECA's grid leaves out


def grid_faces(size: int) -> NDArray[np.int64]:
    """Two triangles per texel quad of a size x size grid, without the margin: (F, 3) numbers row * size + column (DECA's `generate_triangles`)."""
    x, y = np.meshgrid(np.arange(MARGIN_X, size - 1 - MARGIN_X), np.arange(MARGIN_Y, size - 1 - MARGIN_Y), indexing="ij")
    corner = (y * size + x).ravel()
    right, below, across = corner + 1, corner + size, corner + size + 1
    return np.stack([np.stack([corner, below, right], 1), np.stack([right, below, across], 1)], 1).reshape(-1, 3)


def displacement_to_normals(displacement: Tensor, uv_vertices: Tensor, uv_normals: Tensor, mask: Tensor, fixed: Tensor) -> Tensor:
    """DECA's `displacement2normal`: (B, 3, S, S).

    displacement (B, 1, S, S) metres; uv_vertices, uv_normals (B, 3, S, S) of the coarse head at the texels; mask (1, 1, S, S), 1 where detail counts;
    fixed (S, S), DECA's constant displacement (zeros where there is none).
    """
    surface = uv_vertices + (displacement * mask + fixed) * uv_normals
    faces = torch.from_numpy(grid_faces(surface.shape[-1])).to(surface.device)
    return _grid_normals(surface, faces) * mask + uv_normals * (1 - mask)


def _grid_normals(points: Tensor, faces: Tensor) -> Tensor:
    """Normals (B, 3, S, S) of a grid of points (B, 3, S, S)."""
    return vertex_normals(points.flatten(2).mT, faces).mT.reshape(points.shape)


@dataclass(frozen=True)
class DetailSpace:
    """The texture space of a head, ready to carry displacements: where each texel lies on the mesh, and DECA's two constants."""

    head: HeadModel
    size: int
    triangle: Tensor  # (S, S) int64, -1 off the mesh
    barycentric: Tensor  # (S, S, 3)
    faces: Tensor  # (F, 3) texel triangles that lie on the mesh
    mask: Tensor  # (1, 1, S, S)
    fixed: Tensor  # (S, S) metres

    @classmethod
    def of(
        cls, head: HeadModel, mask: NDArray[np.floating] | None = None, fixed: NDArray[np.floating] | None = None, size: int = 256
    ) -> DetailSpace:
        """mask: (H, W) in [0, 1], DECA's uv_face_eye_mask.png; fixed: (size, size), DECA's fixed_displacement_256.npy. None: everywhere, zero.

        Raises UserError for a head without texture coordinates and for maps of a wrong size.
        """
        if head.uv is None or head.faces_uv is None:
            raise UserError(f"head model {head.name!r} has no texture coordinates; detail needs them (head_template.obj)")
        uv = np.concatenate([np.asarray(head.uv, np.float32) * 2 - 1, np.zeros((len(head.uv), 1), np.float32)], 1)
        raster = rasterize(uv, head.faces_uv, size, size, cull=False)
        on_mesh = raster.mask.reshape(-1)
        faces = grid_faces(size)
        faces = faces[on_mesh[faces].all(1)]
        if fixed is not None and np.shape(fixed) != (size, size):
            raise UserError(f"the fixed displacement must be ({size}, {size}), not {np.shape(fixed)}")
        shade = torch.ones(1, 1, size, size)
        if mask is not None:
            values = torch.from_numpy(np.ascontiguousarray(mask, np.float32))
            if values.ndim != 2 or not (values.min() >= 0 and values.max() <= 1):
                raise UserError("the detail mask must be (H, W) in [0, 1]")
            shade = torch.nn.functional.interpolate(values[None, None], (size, size))
        constant = torch.zeros(size, size) if fixed is None else torch.from_numpy(np.ascontiguousarray(fixed, np.float32))
        triangle = torch.from_numpy(raster.triangle.astype(np.int64))
        return cls(head, size, triangle, torch.from_numpy(raster.barycentric), torch.from_numpy(faces), shade, constant)

    def spread(self, values: Tensor) -> Tensor:
        """Vertex values (B, V, C) to texels (B, C, S, S), 0 off the mesh. DECA's `world2uv`."""
        on_mesh = self.triangle.reshape(-1) >= 0
        corners = self.head.faces_tensor[self.triangle.reshape(-1)[on_mesh]].to(values.device)  # (N, 3)
        weight = self.barycentric.reshape(-1, 3)[on_mesh].to(values)
        out = values.new_zeros(len(values), self.size * self.size, values.shape[-1])
        out[:, on_mesh.to(values.device)] = (values[:, corners] * weight[None, :, :, None]).sum(2)
        return out.mT.reshape(len(values), -1, self.size, self.size)

    def normals(self, vertices: Tensor, displacement: Tensor) -> Tensor:
        """DECA's detailed normal map (B, 3, S, S) for vertices (B, V, 3) and a displacement (B, 1, S, S)."""
        coarse = vertex_normals(vertices, self.head.faces_tensor.to(vertices.device))
        mask, fixed = self.mask.to(vertices), self.fixed.to(vertices)
        return displacement_to_normals(displacement, self.spread(vertices), self.spread(coarse), mask, fixed)

    def tilt(self, vertices: Tensor, displacement: Tensor) -> Tensor:
        """(B, 3, S, S) axis-angle in radians: how the displacement turns the surface's normals, in view space. 0 where it does nothing.

        DECA's constant displacement is the smooth surface's height over the flat triangles: part of what is displaced, not of the displacement.
        (Taken as a displacement it prints the triangles onto the normals, which are smooth already.)
        """
        normals = self.spread(vertex_normals(vertices, self.head.faces_tensor.to(vertices.device)))
        points = self.spread(vertices) + self.fixed.to(vertices) * normals
        faces = self.faces.to(vertices.device)
        surface = points + displacement * self.mask.to(vertices) * normals
        before, after = _grid_normals(points, faces), _grid_normals(surface, faces)
        axis = torch.linalg.cross(before, after, dim=1)
        sine = axis.norm(dim=1, keepdim=True)
        angle = torch.atan2(sine, (before * after).sum(1, keepdim=True))
        turn = axis * (angle / sine.clamp(min=1e-12))
        still = (before == after).all(1, keepdim=True)
        return turn.masked_fill(still, 0.0)

    @torch.no_grad()
    def snapshot(
        self,
        vertices: Tensor,  # (B, V, 3) view space
        camera: Tensor,  # (B, 3)
        light: Tensor,  # (B, 9, 3)
        albedo: Tensor | None,  # (B, V, 3), (B, 3) or None, as in render_snapshot
        size: int,
        maps: Sequence[str] = PAPER_MAPS,
        displacement: Tensor | None = None,  # (B, 1, S, S) metres; None: no detail (the paper's ablation), the plain snapshot to the bit
        given: Mapping[str, Tensor] | None = None,  # maps that are not drawn, as `render_snapshot` takes them
    ) -> Snapshot:
        """`render_snapshot` with detailed normals, and a Lambertian rendering that is shaded with them."""
        plain = render_snapshot(vertices, self.head.faces_tensor, camera, light, albedo, size, maps, given, self.head.name)
        if displacement is None:
            return plain
        batch = len(vertices)
        vertices = vertices.detach().float().cpu()
        tilt = self.tilt(vertices, displacement.detach().float().cpu())
        coarse = vertex_normals(vertices, self.head.faces_tensor)
        colours = torch.full((batch, 3), GREY) if albedo is None else albedo.detach().float().cpu()
        light = light.detach().float().cpu().expand(batch, 9, 3)
        image = plain.image.cpu().clone()
        for sample, raster in enumerate(plain.rasters):
            uv = torch.from_numpy(interpolate(raster, self.head.uv, self.head.faces_uv))  # type: ignore[arg-type]  # (H, W, 2)
            where = torch.stack([uv[..., 0] * 2 - 1, 1 - uv[..., 1] * 2], -1)
            turn = grid_sample(tilt[sample : sample + 1], where[None], align_corners=False)[0].permute(1, 2, 0)  # (H, W, 3)
            changed = torch.from_numpy(raster.mask) & (turn != 0).any(-1)
            if not changed.any():
                continue
            smooth = torch.from_numpy(interpolate(raster, coarse[sample].numpy(), self.head.faces))[changed]
            normals = (rodrigues(turn[changed]) @ normalize(smooth, dim=-1)[..., None])[..., 0]  # (N, 3)
            if "normals" in maps:
                image[sample, plain.spec.slice("normals"), changed] = normals.T
            if "lambertian" in maps:
                paint = colours[sample].expand(len(normals), 3) if colours.ndim == 2 else torch.from_numpy(
                    interpolate(raster, colours[sample].numpy(), self.head.faces)
                )[changed]  # fmt: skip
                lit = add_sh_light(paint[None], normals[None], light[sample : sample + 1])[0].clamp(0, 1) * 2 - 1
                image[sample, plain.spec.slice("lambertian"), changed] = lit.T
        return replace(plain, image=image.to(plain.image.device))

    def mesh(self, vertices: Tensor, displacement: Tensor, levels: int = 2) -> DetailedMesh:
        """One head's coarse vertices (V, 3), each triangle divided in 4 `levels` times, displaced along the interpolated normals.

        displacement: (1, S, S) metres. At a seam of the texture the two sides' displacements are averaged, so that the mesh stays closed.
        """
        points = vertices.detach().float().cpu()
        normals = vertex_normals(points, self.head.faces_tensor)
        uv, faces_uv = np.asarray(self.head.uv, np.float32), np.asarray(self.head.faces_uv, np.int64)
        faces = self.head.faces.astype(np.int64)
        values = torch.cat([points, normals], 1).numpy()
        for _ in range(levels):
            values, faces = _divide(values, faces)
            uv, faces_uv = _divide(uv, faces_uv)
        total = displacement.detach().float().cpu() * self.mask[0] + self.fixed  # (1, S, S)
        where = torch.from_numpy(np.stack([uv[:, 0] * 2 - 1, 1 - uv[:, 1] * 2], 1))
        at_uv = grid_sample(total[None], where[None, :, None].float(), padding_mode="border", align_corners=False)[0, 0, :, 0].numpy()
        height, count = np.zeros(len(values)), np.zeros(len(values))
        np.add.at(height, faces.ravel(), at_uv[faces_uv.ravel()])
        np.add.at(count, faces.ravel(), 1)
        along = values[:, 3:] / np.maximum(np.linalg.norm(values[:, 3:], axis=1, keepdims=True), 1e-12)
        out = values[:, :3] + along * (height / np.maximum(count, 1))[:, None]
        return DetailedMesh(out.astype(np.float32), faces.astype(np.int32), uv.astype(np.float32), faces_uv.astype(np.int32))


@dataclass(frozen=True)
class DetailedMesh:
    """vertices (V, 3) metres, faces (F, 3), uv (T, 2), faces_uv (F, 3)."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    faces_uv: NDArray[np.int32]


def _divide(values: NDArray[np.float32], faces: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Each triangle into four, by the middles of its edges; values (V, C) are interpolated. Triangles keep their order, four for one."""
    edges = np.sort(np.stack([faces, np.roll(faces, -1, 1)], -1).reshape(-1, 2), 1)  # corner k to corner k + 1
    unique, index = np.unique(edges, axis=0, return_inverse=True)
    middle = index.reshape(-1, 3) + len(values)
    (a, b, c), (ab, bc, ca) = faces.T, middle.T
    divided = np.stack([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))], 1).reshape(-1, 3)
    return np.concatenate([values, values[unique].mean(1)]), divided
