"""Work that takes seconds or minutes, one piece at a time a device: who comes first is served first, and who goes away is not served."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Literal

from discontrolface.common.errors import Cancelled, UserError
from discontrolface.studio.limits import Limits

State = Literal["waiting", "running", "done", "failed", "cancelled"]
FINISHED: Final = ("done", "failed", "cancelled")
KEPT_FINISHED: Final = 8  # finished jobs of a session whose answer can still be asked for
UNEXPECTED: Final = "something went wrong on the server; its log says what"
_log = logging.getLogger(__name__)


class Busy(UserError):
    """Too much is asked for at once; later it may work."""


class Job:
    """One piece of work. Its function gets it, and tells it of every step with `progress`."""

    def __init__(self, owner: str, kind: str, work: Callable[[Job], Any], lease: float) -> None:
        self.id = secrets.token_urlsafe(9)
        self.owner, self.kind, self.lease = owner, kind, lease
        self.state: State = "waiting"
        self.done, self.total = 0, 0
        self.result: Any = None
        self.error = ""
        self.began: float | None = None
        self._work = work
        self._first: float | None = None  # when the first step was done
        self._cancel = threading.Event()
        self._turn = threading.Lock()  # between cancelling and beginning
        self._seen = time.monotonic()

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINISHED

    @property
    def abandoned(self) -> bool:
        """Whether it was cancelled, or nobody has asked about it for longer than its lease."""
        return self._cancel.is_set() or time.monotonic() - self._seen > self.lease

    def touch(self) -> None:
        """Somebody asks: the job is still wanted."""
        self._seen = time.monotonic()

    def cancel(self) -> None:
        """Stop before the next step, or before it begins."""
        with self._turn:
            self._cancel.set()
            if self.state == "waiting":
                self.state = "cancelled"

    def progress(self, done: int, total: int) -> None:
        """So many steps of so many are done. Raises Cancelled when the job is to stop."""
        self.done, self.total = done, total
        if done and self._first is None:
            self._first = time.monotonic()
        if self.abandoned:
            raise Cancelled

    @property
    def seconds_left(self) -> float | None:
        """From the time of the steps so far; None before the second one."""
        if self.state != "running" or self._first is None or self.done < 2:
            return None
        return (time.monotonic() - self._first) / (self.done - 1) * (self.total - self.done)

    def run(self) -> None:
        """On the worker's thread."""
        with self._turn:
            if self.abandoned or self.finished:
                self.state = "cancelled"
                return
            self.state, self.began = "running", time.monotonic()
        try:
            self.result = self._work(self)
            self.state = "done"
        except Cancelled:
            self.state = "cancelled"
        except UserError as error:
            self.error, self.state = str(error), "failed"
        except Exception:
            _log.exception("job %s of kind %s", self.id, self.kind)
            self.error, self.state = UNEXPECTED, "failed"


class DeviceQueue:
    """The jobs of one device, in the order in which they came. Its methods may be called from any thread."""

    def __init__(self, limits: Limits, name: str = "device") -> None:
        self._limits = limits
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._jobs: dict[str, Job] = {}
        self._open = True
        self._worker = threading.Thread(target=self._serve, name=f"studio {name}", daemon=True)
        self._worker.start()

    def submit(self, owner: str, kind: str, work: Callable[[Job], Any], replaces: bool = False) -> Job:
        """Put a job at the end. replaces: the owner's other jobs of this kind are cancelled, their answer is not wanted any more.

        Raises Busy when the queue, or the owner's share of it, is full.
        """
        job = Job(owner, kind, work, self._limits.job_lease)
        with self._changed:
            self._prune()
            own = [other for other in self._jobs.values() if other.owner == owner and not other.finished]
            if replaces:
                for other in own:
                    if other.kind == kind:
                        other.cancel()
                own = [other for other in own if other.kind != kind]
            if len(own) >= self._limits.session_jobs:
                raise Busy(f"this session has {len(own)} jobs already; wait for one, or cancel it")
            if len(self._waiting) >= self._limits.waiting_jobs:
                raise Busy(f"{len(self._waiting)} jobs are waiting already; try again in a minute")
            self._waiting.append(job)
            self._jobs[job.id] = job
            self._changed.notify()
        return job

    def find(self, owner: str, job_id: str) -> Job:
        """A job of this owner. UserError for another's or an unknown one: the two are not told apart."""
        job = self._jobs.get(job_id)
        if job is None or job.owner != owner:
            raise UserError("there is no such job in this session")
        job.touch()
        return job

    def position(self, job: Job) -> int:
        """How many jobs are before it: 0 when it runs or is done."""
        with self._changed:
            self._prune()
            running = sum(other.state == "running" for other in self._jobs.values())
            return running + self._waiting.index(job) if job in self._waiting else 0

    def cancel_all(self, owner: str) -> None:
        """A session ends."""
        with self._changed:
            for job in list(self._jobs.values()):
                if job.owner == owner:
                    job.cancel()
                    del self._jobs[job.id]
            self._prune()

    def busy(self, owner: str) -> bool:
        """Whether a job of this owner waits or runs."""
        return any(job.owner == owner and not job.finished for job in list(self._jobs.values()))

    def close(self) -> None:
        """Stop; the running job ends within its next step."""
        with self._changed:
            self._open = False
            for job in self._jobs.values():
                job.cancel()
            self._changed.notify()
        self._worker.join(timeout=30)

    def _prune(self) -> None:
        """Forget what nobody waits for: cancelled or abandoned jobs before their turn, and all but the last finished ones of each owner."""
        for job in self._waiting:
            if job.abandoned:
                job.cancel()
        self._waiting = [job for job in self._waiting if not job.finished]
        finished: dict[str, list[str]] = {}
        for job in self._jobs.values():
            if job.finished:
                finished.setdefault(job.owner, []).append(job.id)
        for ids in finished.values():
            for job_id in ids[:-KEPT_FINISHED]:
                del self._jobs[job_id]

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._prune()
                while self._open and not self._waiting:
                    self._changed.wait()
                if not self._open:
                    return
                job = self._waiting.pop(0)
            job.run()
