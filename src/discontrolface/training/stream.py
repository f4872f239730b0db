"""Pairs without end: processes on the machine's cores make them from an album while the device trains on the newest (pool.py).

For a machine that is rented by the minute: an album of 20 MB goes in, and a core makes two to three pairs a second of it. Nothing is
written to the disk but a few slots through which the pairs pass.

A streamed run cannot be resumed exactly: which pairs are in the pool at a step depends on how fast the cores are. A run on a folder of pairs can.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from discontrolface.common.errors import UserError
from discontrolface.common.parallel import begin_worker, cores
from discontrolface.diffusion.training_pair import TrainingPair
from discontrolface.training.album import Album
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import CHANNELS
from discontrolface.training.draws import Draws
from discontrolface.training.endless import PairMaker
from discontrolface.training.pool import AT_ONCE, Pool

SLOTS = 24  # for each process: pairs that are made and not yet taken
NUMERIC_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # a process makes its pairs on one core


class Worker(NamedTuple):
    """What a process that makes pairs is told. (Plain values, for another process.)"""

    album: str
    slots: str  # the file through which the pairs pass, (count, CHANNELS, size, size) uint8
    slot_count: int
    size: int
    shares: tuple[float, ...]
    seed: tuple[int, ...]


class Made(NamedTuple):
    """What it says: a pair is in this slot, or what went wrong."""

    slot: int
    kind: str
    one_way: bool
    chips: tuple[tuple[float, ...], ...] = ()  # of both sides (face/chip.py)
    failure: str = ""


def open_slots(path: str, count: int, size: int, mode: Any) -> np.memmap[Any, np.dtype[np.uint8]]:
    """The slots' file."""
    return np.memmap(path, np.uint8, mode, shape=(count, CHANNELS, size, size))


def make_endlessly(worker: Worker, free: Any, made: Any) -> None:
    """The process: pairs into free slots, until it is ended."""
    try:
        begin_worker()
        slots = open_slots(worker.slots, worker.slot_count, worker.size, "r+")
        maker = PairMaker(Album(Path(worker.album)), worker.size, worker.shares, worker.seed)
        for one in maker.endless():
            slot = free.get()
            slots[slot] = one.pair.pictures
            made.put(Made(slot, one.kind, one.one_way, tuple(map(tuple, one.pair.chips.tolist()))))
    except BaseException:
        made.put(Made(-1, "", False, failure=traceback.format_exc()))
        raise


class Stream:
    """A training source that makes its pairs, from `start` on. Use it in a `with`: the processes end with it."""

    def __init__(
        self,
        path: Path,  # of the album
        config: TrainConfig,
        size: int,  # pixels of the pictures
        device: torch.device | str,
        workers: int = 0,  # processes; 0: all cores but one
        process: int = 0,  # which of the processes that train this is for
    ) -> None:
        if "albedo" in config.snapshot_maps:
            raise UserError("an album gives no albedo maps; leave albedo out of snapshot_maps, or give a folder of pairs")
        album = Album(path)
        PairMaker(album, size, config.stream_shares, (0,))  # says what is wrong with the album or the shares before any process begins
        self.path, self.config, self.size, self.head = path, config, size, album.head
        self.pool = Pool(config.pool, size, album.head, device)
        self.device = self.pool.device
        self.counts: dict[str, int] = {}
        self.begun = time.monotonic()
        self._workers, self._process = workers or max(1, cores() - 1), process
        self._processes: list[Any] = []
        self._folder: str | None = None

    def __enter__(self) -> Stream:
        return self

    def start(self, sitting: int) -> None:
        """Start the processes, once. sitting: of a run that goes on, makes the pairs others than before (the step that is next)."""
        if self._processes:
            return
        self.begun = time.monotonic()
        context = multiprocessing.get_context("spawn")
        count = SLOTS * self._workers
        self._folder = tempfile.mkdtemp(prefix="discontrolface-stream-")
        file = str(Path(self._folder) / "slots")
        self._slots = open_slots(file, count, self.size, "w+")
        self._free, self._made = context.Queue(), context.Queue()
        for slot in range(count):
            self._free.put(slot)
        before = {name: os.environ.get(name) for name in NUMERIC_THREADS}
        os.environ.update(dict.fromkeys(NUMERIC_THREADS, "1"))  # what the processes inherit
        try:
            for k in range(self._workers):
                seed = (self.config.seed, sitting, self._process, k)
                worker = Worker(str(self.path), file, count, self.size, self.config.stream_shares, seed)
                process = context.Process(target=make_endlessly, args=(worker, self._free, self._made), daemon=True)
                process.start()
                self._processes.append(process)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        self._processes = []
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __len__(self) -> int:
        return len(self.pool)

    def batch(self, draws: Draws, config: TrainConfig) -> TrainingPair:
        """The pairs that were drawn, of those in the pool."""
        return self.pool.batch(draws, config)

    def take(self, wait: float = 0.0) -> int:
        """Put what has been made since into the pool, after at most `wait` seconds if that is nothing yet. Returns how many pairs."""
        made: list[Made] = []
        with suppress(queue.Empty):
            while len(made) < min(AT_ONCE, self.pool.capacity):
                made.append(self._made.get(timeout=wait) if wait and not made else self._made.get_nowait())
        self._check(made)
        if made:
            pairs, chips = np.array(self._slots[[one.slot for one in made]]), torch.tensor([one.chips for one in made])
            self.pool.put(pairs, [one.one_way for one in made], chips)
        for one in made:
            self._free.put(one.slot)
            self.counts[one.kind] = self.counts.get(one.kind, 0) + 1
        return len(made)

    def _check(self, made: list[Made]) -> None:
        """RuntimeError when a process failed, UserError when it was ended from outside."""
        failed = next((one for one in made if one.failure), None)
        if failed is not None:
            raise RuntimeError(f"a process that makes pairs failed:\n{failed.failure}")
        dead = next((p for p in self._processes if p.exitcode is not None), None)
        if dead is not None and self._made.empty():
            raise UserError(
                f"a process that makes pairs was ended (exit code {dead.exitcode}); run the same command again, with fewer --workers"
            )

    def fill(self, say: Callable[[str], None], deadline: float | None = None) -> None:
        """Wait until the pool has its first pairs (`pool_first`), or until the deadline (of time.monotonic) if it has any."""
        reported = time.monotonic()
        while len(self) < min(self.config.pool_first, self.pool.capacity):
            now = time.monotonic()
            if deadline is not None and now > deadline and len(self):
                break
            self.take(wait=0.5)
            if now - reported > 15:
                say(self.word())
                reported = now
        say(self.word())

    def word(self) -> str:
        """How many pairs there are, how fast they come."""
        seconds, total = time.monotonic() - self.begun, sum(self.counts.values())
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.counts.items())) or "none yet"
        pace = f"{total / max(seconds, 1e-6):.1f} a second by {self._workers} processes"
        return f"pairs after {seconds:.0f} s: {kinds}; {pace}, {len(self)} in the pool"
