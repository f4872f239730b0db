"""Frames prepared and pasted by processes of their own, for networks that are not on the cores.

Beside a GPU a frame's work is hundreds of short NumPy calls, and threads that take turns at the interpreter after each of them keep few cores
busy: 16 made 28 frames a second, 4 made 22 (docs/decisions.md). A process has an interpreter for itself.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.parallel import begin_worker
from discontrolface.common.snapshot_spec import SnapshotSpec
from discontrolface.common.tensors import to_network
from discontrolface.editing.frame_maker import BATCH, FrameMaker
from discontrolface.editing.kept import Frame
from discontrolface.editing.pipeline import PreparedEdit
from discontrolface.render.snapshot import Snapshot
from discontrolface.render.warp import Preview


class Job(NamedTuple):
    """A batch that is to be prepared, or, where there are pictures (B, 3, S, S), to be pasted."""

    first: int
    pictures: Any = None


class Seen(NamedTuple):
    """What of a prepared frame leaves its process: the preview and the snapshot (1, C, S, S) of the networks' size, as arrays."""

    preview: Preview
    snapshot: Any
    spec: SnapshotSpec


def serve(connection: Any, pickled: bytes) -> None:
    """The process: answers jobs until the other end is closed. Between a batch's two jobs it keeps what it prepared.

    pickled: a `FrameMaker` of the process that started this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    begin_worker()
    maker: FrameMaker = pickle.loads(pickled)
    held: dict[int, list[PreparedEdit]] = {}
    while True:
        try:
            job: Job = connection.recv()
        except EOFError:
            return
        try:
            connection.send(answer(maker, held, job))
        except Exception as error:
            connection.send(error)


def answer(maker: FrameMaker, held: dict[int, list[PreparedEdit]], job: Job) -> list[Seen] | list[Frame]:
    """What a job gives."""
    if job.pictures is not None:
        return maker.pasted(job.first, held.pop(job.first), torch.from_numpy(job.pictures))
    edits = held[job.first] = maker.prepared(job.first)
    return [Seen(edit.preview, edit.snapshot.image.numpy(), edit.snapshot.spec) for edit in edits]


class Served:
    """One such process and the way to it; asked by one thread at a time."""

    def __init__(self, pickled: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, pickled), daemon=True)
        self._process.start()
        other.close()
        self._lock = threading.Lock()

    def ask(self, job: Job) -> Any:
        """Its answer. What went wrong there is raised here; UserError where the process was ended."""
        with self._lock:
            try:
                self._connection.send(job)
                said = self._connection.recv()
            except (EOFError, OSError) as error:
                self._process.join(1)
                code = self._process.exitcode
                raise UserError(
                    f"a process that makes frames was ended (exit code {code}); run the same command again, it goes on"
                ) from error
        if isinstance(said, Exception):
            raise said
        return said

    def end(self) -> None:
        """Whatever it is doing: what is kept is written whole or not at all."""
        self._process.terminate()
        self._process.join()
        self._connection.close()


class FrameProcesses:
    """`Frames` by `count` processes, from entering its `with` block to leaving it; each makes every `count`-th batch."""

    def __init__(self, maker: FrameMaker, count: int) -> None:
        if count < 1:
            raise UserError(f"{count} processes make no frames; give at least 1")
        self._maker, self._count = maker, count
        self._served: list[Served] = []

    def __enter__(self) -> FrameProcesses:
        maker = replace(self._maker, person=self._maker.person.with_personal(None))  # weights are for the networks, which stay here
        # Not by `multiprocessing`: PyTorch would move the tensors, away from under the arrays that look at them.
        pickled = pickle.dumps(maker)
        self._served = [Served(pickled) for _ in range(self._count)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for one in self._served:
            one.end()

    @cached_property
    def _crop(self) -> Tensor:
        """(1, 3, S, S): what the networks see of the photo."""
        maker = self._maker
        return to_network(maker.person.look(maker.size, maker.maps).picture)

    def prepared(self, first: int) -> list[PreparedEdit]:
        """See `Frames`. The fine previews stay where they were made: `fine` is the preview that the networks see."""
        maker = self._maker
        seen: list[Seen] = self._of(first).ask(Job(first))
        return [
            PreparedEdit(
                maker.person,
                target,
                maker.sampling.seed,
                self._crop,
                one.preview,
                one.preview,
                Snapshot(torch.from_numpy(one.snapshot), torch.empty(0), [], one.spec),
            )
            for target, one in zip(maker.targets[first : first + BATCH], seen, strict=True)
        ]

    def pasted(self, first: int, edits: Sequence[PreparedEdit], pictures: Tensor) -> list[Frame]:
        """See `Frames`."""
        frames: list[Frame] = self._of(first).ask(Job(first, pictures.cpu().numpy()))
        return frames

    def _of(self, first: int) -> Served:
        return self._served[first // BATCH % self._count]
