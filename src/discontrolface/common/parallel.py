"""The same function over many jobs: in threads of this process, or in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

AnyJob = TypeVar("AnyJob")
Result = TypeVar("Result")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_threads(make: Callable[[AnyJob], Result], jobs: Sequence[AnyJob]) -> list[Result]:
    """The results in order, by as many threads as there are cores. For work that holds no lock (Numba kernels, NumPy, Pillow, SciPy's filters)."""
    if len(jobs) < 2 or cores() < 2:
        return [make(job) for job in jobs]
    with ThreadPoolExecutor(min(cores(), len(jobs))) as pool:
        return list(pool.map(make, jobs))


def single_thread() -> None:
    """Begin a worker process, or a command that is its only worker: PyTorch computes on one core. Never in a process that somebody else uses."""
    import torch

    torch.set_num_threads(1)


def run_pool(jobs: Sequence[AnyJob], processes: int, make: Callable[[AnyJob], Result]) -> Iterator[tuple[AnyJob, Result | None]]:
    """(job, what `make` says of it) as they get done, one core a process; (job, None) when a process died, which ends the pool."""
    with ProcessPoolExecutor(min(processes, len(jobs)), multiprocessing.get_context("spawn"), single_thread) as pool:
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
