"""Least squares with bounds: a small convex quadratic in a box, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def solve_box_qp(hessian: Array, linear: Array, low: Array, high: Array, start: Array, rounds: int = 60) -> Array:
    """argmin of x^T H x / 2 - b^T x over low <= x <= high, H (n, n) symmetric positive definite, b (n,).

    Projected Newton (Bertsekas, 1982): variables at a bound that the gradient pushes outwards are held, the others take a Newton step, which
    is cut to the box and halved until the objective falls. Each set of held variables is solved exactly, so it ends after finitely many
    rounds; on bounds that do not bind it is one linear solve.
    """
    x = np.clip(start, low, high)
    scale = np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    tolerance = 1e-9 * max(1.0, float(np.abs(linear / scale).max(initial=0.0)))

    def value(point: Array) -> float:
        return float(point @ (hessian @ point) / 2 - linear @ point)

    now = value(x)
    for _ in range(rounds):
        gradient = hessian @ x - linear
        held = ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0))
        free = np.flatnonzero(~held)
        if not len(free) or np.abs(gradient[free] / scale[free]).max() <= tolerance:
            break
        step = np.zeros_like(x)
        step[free] = -np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        length = 1.0
        while True:
            candidate = np.clip(x + length * step, low, high)
            then = value(candidate)
            if then <= now + 1e-4 * float(gradient @ (candidate - x)) or length < 1e-6:
                break
            length /= 2
        if then >= now:
            break
        x, now = candidate, then
    return x
