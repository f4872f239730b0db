"""The similarity that brings points nearest to others: rotation, one scale, shift; least squares (Umeyama, 1991)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Similarity(NamedTuple):
    """x -> matrix x + shift. matrix: (D, D), a rotation times a scale; shift: (D,)."""

    matrix: Array
    shift: Array

    def __call__(self, points: NDArray[np.floating]) -> Array:
        """Points (..., D), moved."""
        return points @ self.matrix.T + self.shift

    def vectors(self, directions: NDArray[np.floating]) -> Array:
        """Directions (..., D), turned and scaled."""
        return directions @ self.matrix.T

    @property
    def scale(self) -> float:
        """The length that a unit has afterwards."""
        return float(np.linalg.det(self.matrix) ** (1 / len(self.shift)))

    @property
    def affine(self) -> Array:
        """(D, D + 1): matrix and shift side by side."""
        return np.concatenate([self.matrix, self.shift[:, None]], 1)

    @classmethod
    def between(cls, source: NDArray[np.floating], target: NDArray[np.floating]) -> Similarity:
        """The one that takes source points (N, D) nearest to target points (N, D), in float64. Never a reflection."""
        a, b = source.astype(np.float64), target.astype(np.float64)
        centre_a, centre_b = a.mean(0), b.mean(0)
        a, b = a - centre_a, b - centre_b
        u, s, vt = np.linalg.svd(b.T @ a)
        signs = np.ones(len(s))
        signs[-1] = np.sign(np.linalg.det(u @ vt))
        scale = float((s * signs).sum() / max((a * a).sum(), 1e-20))
        matrix = scale * (u * signs) @ vt
        return cls(matrix, centre_b - matrix @ centre_a)
