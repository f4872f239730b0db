"""HeadNeRF's face model drawn in colour, so that codes, light and camera can be fitted to a photo by gradients.

As in the official code (NL3DMMRenderer.py): vertex colours times the light's shading of the vertex normals, spread over the triangles. Which triangle
a pixel shows says our z-buffer, in the place of pytorch3d's; where in it the pixel lies is computed from its corners, so gradients reach these.
"""

from __future__ import annotations

import torch
from torch import Tensor

from discontrolface.baselines.headnerf_light import from_headnerf_light
from discontrolface.render.raster import rasterize
from discontrolface.render.shade import sh_shading

SMALLEST = 1e-4  # square pixels: smaller triangles count as of this size
LEAST = 1e-6  # weight of a corner at least


def shaded(colours: Tensor, normals: Tensor, light: Tensor) -> Tensor:
    """Colours (1,V,3), normals (1,V,3) in a camera's space (x right, y down, z away), light (1,27) -> (1,V,3) (official `build_color`)."""
    flipped = normals * normals.new_tensor([1.0, -1.0, -1.0])
    return colours * sh_shading(flipped, from_headnerf_light(light))


def drawn(points: Tensor, depth: Tensor, colours: Tensor, triangles: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Points (V,2) in pixels, depths (V,) away from the camera, colours (V,3) -> the colours of the pixels on the mesh (P,3), and which these are
    (size,size) bool. Perspective: what is linear on a triangle is so in space."""
    with torch.no_grad():
        places = torch.stack([points[:, 0] * (2 / size) - 1, 1 - points[:, 1] * (2 / size), 1 / depth], 1)  # 1/z is linear in the picture
        raster = rasterize(places.cpu().numpy(), triangles.cpu().numpy(), size, size, cull=False)
        shown = torch.from_numpy(raster.mask).to(points.device)
        corners = triangles[torch.from_numpy(raster.triangle[raster.mask]).long().to(points.device)]  # (P,3)
        row, column = shown.nonzero(as_tuple=True)
        pixel = torch.stack([column, row], 1) + 0.5  # (P,2)
    a, b, c = (points[corners[:, k]] - pixel for k in range(3))
    areas = torch.stack([_cross(b, c), _cross(c, a), _cross(a, b)], 1)  # (P,3) of the triangles between the pixel and two corners
    whole = areas.sum(1, keepdim=True)
    whole = torch.where(whole < 0, -1.0, 1.0) * whole.abs().clamp(min=SMALLEST)
    weights = (areas / whole).clamp(min=LEAST) / depth[corners]
    weights = weights / weights.sum(1, keepdim=True)
    return (weights[..., None] * colours[corners]).sum(1), shown


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """(P,2), (P,2) -> (P,): twice the area between them."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
