"""The same function over many jobs: in threads of this process, or in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, Final, TypeVar

from discontrolface.common.errors import UserError

AnyJob = TypeVar("AnyJob")
Result = TypeVar("Result")
ENGINES: Final = ("local", "ray")  # that spread jobs over processes


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_threads(make: Callable[[AnyJob], Result], jobs: Sequence[AnyJob]) -> list[Result]:
    """The results in order, by as many threads as there are cores. For work that holds no lock (Numba kernels, NumPy, Pillow, SciPy's filters)."""
    if len(jobs) < 2 or cores() < 2:
        return [make(job) for job in jobs]
    with ThreadPoolExecutor(min(cores(), len(jobs))) as pool:
        return list(pool.map(make, jobs))


def map_ordered(make: Callable[[AnyJob], Result], jobs: Iterable[AnyJob], workers: int) -> Iterator[Result]:
    """The results in order, as `map` gives them, by threads that are at most `workers` + 1 jobs ahead: memory does not grow with their number."""
    if workers < 2:
        yield from map(make, jobs)
        return
    pool, ahead = ThreadPoolExecutor(workers), deque[Future[Result]]()
    try:
        for job in jobs:
            ahead.append(pool.submit(make, job))
            if len(ahead) > workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def single_thread() -> None:
    """Begin a worker process, or a command that is its only worker: PyTorch computes on one core. Never in a process that somebody else uses."""
    import torch

    torch.set_num_threads(1)


def begin_worker() -> None:
    """Begin a process of a pool: on one core, and no longer than the process that started it, also where that one is killed."""
    single_thread()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def run_pool(jobs: Sequence[AnyJob], processes: int, make: Callable[[AnyJob], Result]) -> Iterator[tuple[AnyJob, Result | None]]:
    """(job, what `make` says of it) as they get done, one core a process; (job, None) when a process died, which ends the pool."""
    with ProcessPoolExecutor(min(processes, len(jobs)), multiprocessing.get_context("spawn"), begin_worker) as pool:
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


def run_on_ray(jobs: Sequence[AnyJob], processes: int, make: Callable[[AnyJob], Result]) -> Iterator[tuple[AnyJob, Result | None]]:
    """`run_pool` by Ray (extra `ray`), on the cluster that RAY_ADDRESS names or on this machine; a process that dies takes its own job only.

    Files that jobs name must be the same on all machines. UserError where Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise UserError("engine 'ray' needs Ray: pip install 'discontrolface[ray]', or use --engine local") from None

    def alone(job: AnyJob) -> Result:
        single_thread()
        return make(job)

    if not ray.is_initialized():
        ray.init(num_cpus=None if os.environ.get("RAY_ADDRESS") else processes, include_dashboard=False, log_to_driver=False)
    task = ray.remote(num_cpus=1, max_retries=0)(alone)
    at_once = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting = deque(jobs)
    running: dict[Any, AnyJob] = {}  # by Ray's references
    while waiting or running:
        while waiting and len(running) < at_once:
            job = waiting.popleft()
            running[task.remote(job)] = job
        (ready, *_), _ = ray.wait(list(running))
        job = running.pop(ready)
        try:
            yield job, ray.get(ready)
        except ray.exceptions.RayTaskError as error:  # raised by `make`
            raise error.cause from None
        except ray.exceptions.RayError:
            yield job, None
