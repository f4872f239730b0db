"""A stage: a piece of work that can be run again and again; and what the stages work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from discontrolface.bench.machine import Effort, times_ms
from discontrolface.common.images import Photo
from discontrolface.common.pixels import to_uint8
from discontrolface.common.usage import Work
from discontrolface.editing.editor import Editor
from discontrolface.editing.person import Person
from discontrolface.face.parameters import FaceParameters
from discontrolface.synthetic.portraits import HELD_OUT, make_pair

SEED = 0
BATCHES, SIZES, STEPS = (1, 2, 4, 8), (128, 256, 512), (1, 5, 10, 20)


class NotMeasured(Exception):
    """Why a group of stages cannot be measured here: said in the report, the others go on."""


@dataclass(frozen=True)
class Stage:
    """One piece of work. kind, amount: what grows, ("batch", 4), ("pixels", 256), ("steps", 20) or ("targets", 8); ("", 0) where nothing does."""

    name: str
    work: Work
    kind: str = ""
    amount: int = 0
    device: str = "cpu"  # where its memory is counted
    operations: Callable[[], int] | None = None  # counts them; None where PyTorch does little of the work
    times: Callable[[Effort], list[float]] | None = None  # milliseconds of each run, for stages that are not one call of `work` a run
    memory: Callable[[], float | None] | None = None  # MB at most, for work that other processes do
    effort: Effort | None = None  # None: the plan's
    once: Callable[[], float | None] | None = (
        None  # work of minutes: it runs a single time, after `work` has warmed the caches; returns its MB
    )

    def run(self, effort: Effort) -> list[float]:
        """Milliseconds of each run, warm."""
        effort = self.effort or effort
        return times_ms(self.work, effort, self.device) if self.times is None else self.times(effort)


@dataclass(frozen=True)
class Workload:
    """What the stages work on, and at which sizes."""

    preset: Path  # its folder
    editor: Editor
    photo: Photo
    person: Person
    batches: Sequence[int] = BATCHES
    sizes: Sequence[int] = SIZES
    steps: Sequence[int] = STEPS
    assets: Path | None = None

    @property
    def device(self) -> str:
        """Of the networks."""
        return self.editor.device

    @property
    def target(self) -> FaceParameters:
        """The edit that is measured: ten degrees to the side, light from the left. Every head model has those."""
        return self.person.parameters.edit(turn=(10, 0, 0), light="left")


def drawn_photo(size: int = 512) -> Photo:
    """The photo that is measured unless another one is given: a portrait drawn by synthetic/, the same everywhere."""
    array = to_uint8(make_pair(HELD_OUT + 1, size).source)
    return Photo.of(array, Path("drawn portrait"))
