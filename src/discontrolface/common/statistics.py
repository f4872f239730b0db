"""A mean and how far it can be trusted: bootstrap confidence intervals (Efron, 1979; percentile method)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` items with its confidence interval, or why there is none."""

    value: float | None  # None: not measured
    low: float | None = None
    high: float | None = None
    count: int = 0
    missing: str = ""  # with value None: why, "not measured: weights missing"

    def text(self, digits: int = 3) -> str:
        """'0.123 [0.110, 0.136]', or why there is none."""
        if self.value is None:
            return self.missing or "not measured"
        if self.low is None or self.high is None:
            return f"{self.value:.{digits}f}"
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def bootstrap_mean(
    values: Sequence[float | None],
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    clusters: Sequence[str] | None = None,
) -> Estimate:
    """The mean of the values that were measured and its interval, resampling the items; no interval for one item. Same seed, same interval.

    clusters: what each value belongs to (several edits of one person). Whole clusters are resampled then, each with all its values (the cluster
    bootstrap), and there is no interval for one cluster: more values of the same person do not make it narrower than the people allow.
    """
    kept = [k for k, v in enumerate(values) if v is not None]
    measured = np.array([values[k] for k in kept], np.float64)
    if not len(measured):
        return Estimate(None, missing="not measured")
    names = range(len(kept)) if clusters is None else [clusters[k] for k in kept]
    if len(set(names)) < 2 or not np.isfinite(measured).all():
        return Estimate(float(measured.mean()), count=len(measured))
    rng = np.random.default_rng(seed)
    if clusters is None:
        means = measured[rng.integers(len(measured), size=(resamples, len(measured)))].mean(1)
    else:
        _, of = np.unique(np.array(names), return_inverse=True)
        sums, counts = np.bincount(of, measured), np.bincount(of)
        drawn = rng.integers(len(sums), size=(resamples, len(sums)))
        means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(measured.mean()), float(low), float(high), len(measured))


def paired_difference(
    values: Sequence[float | None],
    reference: Sequence[float | None],
    seed: int = 0,
    level: float = LEVEL,
    clusters: Sequence[str] | None = None,
) -> Estimate:
    """The mean of values - reference, item by item, and its interval: what the items have in common does not widen it. Items that lack either
    are left out. clusters: as of `bootstrap_mean`."""
    pairs = zip(values, reference, strict=True)
    return bootstrap_mean([None if a is None or b is None else a - b for a, b in pairs], seed, level, clusters=clusters)
