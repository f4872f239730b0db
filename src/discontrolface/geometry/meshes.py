"""Triangle meshes in PyTorch: batched, differentiable, any device and dtype."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit normals (..., V, 3) of vertices (..., V, 3) with triangles (F, 3): the sum of the adjacent triangles' normals, weighted by area.

    As DECA's `vertex_normals`. A vertex that no triangle uses gets (0, 0, 0).
    """
    points = vertices.reshape(-1, 3)  # (B * V, 3): one long list, because index_add along any but the first axis is ten times slower
    first = torch.arange(0, len(points), vertices.shape[-2], device=faces.device)  # where each sample starts
    corners = (faces.long().t()[:, None] + first[:, None]).reshape(3, -1)  # (3, B * F)
    a, b, c = (points.index_select(0, corner) for corner in corners)  # (B * F, 3)
    area_normals = torch.linalg.cross(b - a, c - a, dim=-1)
    total = torch.zeros_like(points).index_add(0, corners.reshape(-1), torch.cat([area_normals] * 3))
    return normalize(total, dim=-1, eps=1e-12).reshape(vertices.shape)  # (..., V, 3)
