"""Wall times of a piece of work, after one run to compile and to warm the caches."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def times_ms(work: Callable[[], object], runs: int) -> list[float]:
    """Milliseconds of each run."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return times


def median_ms(work: Callable[[], object], runs: int = 20) -> float:
    """Median milliseconds."""
    return statistics.median(times_ms(work, runs))
