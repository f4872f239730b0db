"""The same function over many jobs, in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

AnyJob = TypeVar("AnyJob")


def run_pool(jobs: Sequence[AnyJob], processes: int, make: Callable[[AnyJob], int]) -> Iterator[tuple[AnyJob, int | None]]:
    """(job, what `make` says of it) as they get done; (job, None) when a process died, which ends the pool."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    with ProcessPoolExecutor(min(processes, len(jobs)), multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(make, job): job for job in jobs}
        try:
            for future in as_completed(running):
                try:
                    yield running[future], future.result()
                except BrokenProcessPool:
                    yield running[future], None
                    return
        except BaseException:  # also Ctrl-C while waiting: what has not begun is not done first
            pool.shutdown(wait=False, cancel_futures=True)
            raise
