"""Times of a piece of work, after one run to compile and to warm the caches."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def times_ms(work: Callable[[], object], runs: int, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Milliseconds of each run, by a clock in seconds."""
    work()
    times = []
    for _ in range(runs):
        start = clock()
        work()
        times.append(1000 * (clock() - start))
    return times


def median_ms(work: Callable[[], object], runs: int = 20) -> float:
    """Median milliseconds."""
    return statistics.median(times_ms(work, runs))
