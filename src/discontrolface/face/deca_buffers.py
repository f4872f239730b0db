"""DECA's coarse renderings of FLAME, which DiffusionRig sees: our z-buffer, textured and shaded as in DECA's `SRenderY`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from discontrolface.common.errors import UserError
from discontrolface.face.heads.base import HeadModel
from discontrolface.geometry.cameras import project
from discontrolface.geometry.meshes import vertex_normals
from discontrolface.render.raster import interpolate, rasterize
from discontrolface.render.shade import sh_shading


@torch.no_grad()
def deca_buffers(
    head: HeadModel,
    vertices: Tensor,  # (B, V, 3) view space
    camera: Tensor,  # (B, 3)
    light: Tensor,  # (B, 9, 3), DECA's spherical harmonics
    texture: Tensor,  # (B, 3, T, T) RGB in [0, 1], of the head's texture coordinates
    size: int,  # pixels
) -> Tensor:
    """(B, 9, size, size): Lambertian rendering, normals, albedo, all 0 off the head.

    As the official renderer: normals are interpolated over the triangles and not made unit length again, albedo is read from the texture at each
    pixel, their product with the light is not clipped. UserError for a head without texture coordinates.
    """
    if head.uv is None or head.faces_uv is None:
        raise UserError(f"head model {head.name!r} has no texture coordinates; DECA's renderings need them (head_template.obj)")
    vertices, faces = vertices.detach().float().cpu(), head.faces
    points, normals = project(vertices, camera.float().cpu()).numpy(), vertex_normals(vertices, head.faces_tensor).numpy()
    out = []
    for sample, projected in enumerate(points):
        raster = rasterize(projected, faces, size, size, cull=False)
        normal = torch.from_numpy(interpolate(raster, normals[sample], faces))  # (H, W, 3)
        uv = torch.from_numpy(interpolate(raster, np.asarray(head.uv, np.float32), head.faces_uv))  # (H, W, 2), v up
        where = torch.stack([uv[..., 0] * 2 - 1, 1 - uv[..., 1] * 2], -1)
        albedo = grid_sample(texture[sample : sample + 1].float().cpu(), where[None], align_corners=False)[0]  # (3, H, W)
        on_head = torch.from_numpy(raster.mask)
        shading = sh_shading(normal[None], light[sample : sample + 1].float().cpu())[0].permute(2, 0, 1)  # (3, H, W)
        out.append(torch.cat([albedo * shading, normal.permute(2, 0, 1), albedo]) * on_head)
    return torch.stack(out)
