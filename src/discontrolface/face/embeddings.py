"""Landmarks on a head model: points on its triangles, and FLAME's contour that depends on the yaw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LandmarkEmbedding:
    """Points on triangles: `triangles` (L,) int64 rows of `faces`, `barycentric` (L, 3)."""

    triangles: Tensor
    barycentric: Tensor
    mediapipe: Tensor | None = None  # (L,) int64: which of MediaPipe's 468 mesh points each one is; None: they are the 468, or others


CONTOUR_LIMIT = 39  # degrees of yaw that FLAME's contour table goes to on either side


@dataclass(frozen=True)
class ContourEmbedding:
    """FLAME's 2D landmarks: a contour that depends on the head's yaw, then fixed points inside the face.

    `triangles` (79, K), `barycentric` (79, K, 3): row a is for a yaw of a degrees, row 39 + a for -a degrees, both to 39.
    """

    triangles: Tensor
    barycentric: Tensor
    inner: LandmarkEmbedding

    def rows(self, head_rotation: Tensor) -> Tensor:
        """(B,) row of the table for head rotations (B, 3, 3): DECA's `_find_dynamic_lmk_idx_and_bcoords`, rounding halves to even."""
        r = head_rotation.detach()
        yaw = torch.atan2(-r[:, 2, 0], (r[:, 0, 0] ** 2 + r[:, 1, 0] ** 2).sqrt()) * (180 / math.pi)
        whole = yaw.clamp(-CONTOUR_LIMIT, CONTOUR_LIMIT).round().long()
        return torch.where(whole < 0, CONTOUR_LIMIT - whole, whole)
