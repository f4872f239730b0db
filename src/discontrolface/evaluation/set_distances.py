"""How far apart two sets of pictures are, by their features: FID and KID, with bootstrap intervals.

FID (Heusel et al., 2017): |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2). With C = A^T A the last trace is the sum of the singular values of
A1 A2^T, a matrix with as many rows as there are pictures: no root of a matrix that is nearly singular.
KID (Binkowski et al., 2018): the unbiased squared MMD with the kernel (x.y / d + 1)^3.
FID falls with the number of pictures; compare only equally many. KID does not, and is meant for few.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.statistics import LEVEL, Estimate

Features = NDArray[np.floating]  # (N, D)
RESAMPLES = 200
LEAST = 2  # pictures on each side


def fid(a: Features, b: Features) -> float:
    """Frechet distance of the Gaussians of two sets of features (N, D) and (M, D), N and M at least 2; covariances with N - 1."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    mx, my = x.mean(0), y.mean(0)
    x, y = _root(x - mx), _root(y - my)
    shared = float(np.linalg.svd(x @ y.T, compute_uv=False).sum())
    return float(((mx - my) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2 * shared)


def _root(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """A with A^T A the covariance, at most as many rows as columns."""
    scaled = centred / np.sqrt(len(centred) - 1)
    return np.asarray(np.linalg.qr(scaled, mode="r")) if len(scaled) > scaled.shape[1] else scaled


def kid(a: Features, b: Features) -> float:
    """Unbiased squared MMD of features (N, D) and (M, D), N and M at least 2; may be a little below 0."""
    x, y = a.astype(np.float64), b.astype(np.float64)

    def kernel(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((p @ q.T / p.shape[1] + 1) ** 3)

    def within(p: NDArray[np.float64]) -> float:
        k = kernel(p, p)
        return float((k.sum() - np.trace(k)) / (len(p) * (len(p) - 1)))

    return within(x) + within(y) - 2 * float(kernel(x, y).mean())


def with_interval(distance: Callable[[Features, Features], float], a: Features, b: Features, seed: int = 0) -> Estimate:
    """The distance of two sets of equally many pictures, made and true, pair by pair, and its interval.

    Pairs are drawn again with replacement (2.5 and 97.5 %). A draw holds pictures twice and so lies higher than the set itself; the draws are moved
    by their mean's distance to the value, so that the interval says how far it scatters and not that bias.
    """
    if a.shape != b.shape or len(a) < LEAST:
        return Estimate(None, count=len(a), missing=f"not measured: {len(a)} pictures, at least {LEAST} are needed")
    value = distance(a, b)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        chosen = rng.integers(len(a), size=len(a))
        if len(np.unique(chosen)) > 1:
            draws.append(distance(a[chosen], b[chosen]))
    moved = np.array(draws) - np.mean(draws) + value
    low, high = np.quantile(moved, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high), len(a))
