"""What is evaluated: edits of held-out drawn portraits (with the true result), of photos, of the samples of shards.

A source knows how many edits it has, in which batches they are made (a batch shares its randomness and one process), and makes a batch.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.editing.example_edits import EDITS

if TYPE_CHECKING:
    from discontrolface.editing.person import Person
    from discontrolface.editing.reading import Reader
    from discontrolface.evaluation.heldout import Task
    from discontrolface.face.geometry import Geometry

Array = NDArray[np.float32]

BATCH = 8  # edits of pairs or of a shard that are made together
PAIRS, PHOTOS, SHARDS = "held-out pairs", "photos", "shards"


@dataclass(frozen=True)
class Trial:
    """One edit to be made and measured. truth: the right answer (H, W, 3), where it is known. person: of a photo, to paste back into."""

    name: str  # unique; a file's name without its ending
    task: Task
    truth: Array | None = None
    person: Person | None = None


@dataclass(frozen=True)
class Bench:
    """What trials are made with."""

    reader: Reader
    geometry: Geometry
    size: int  # of the crops, pixels
    maps: tuple[str, ...]  # of the snapshots


@dataclass(frozen=True)
class Made:
    """A batch: its trials, and {name: why} of those that cannot be made."""

    trials: tuple[Trial, ...]
    left_out: dict[str, str]


class Trials(Protocol):
    """A source of edits. kind: PAIRS, PHOTOS or SHARDS."""

    @property
    def kind(self) -> str: ...

    def batches(self) -> list[tuple[int, ...]]:
        """The numbers of the edits, batch by batch."""
        ...

    def identity(self) -> str:
        """A short text that is another when the edits are others."""
        ...

    def make(self, numbers: tuple[int, ...], bench: Bench) -> Made:
        """The edits of a batch."""
        ...


@dataclass(frozen=True)
class HeldOutPairs:
    """Pairs of seeds that training never sees. count: rounded up to whole batches, so that a longer run repeats a shorter one."""

    count: int
    kind: str = PAIRS

    def batches(self) -> list[tuple[int, ...]]:
        """See Trials."""
        return [tuple(range(first, first + BATCH)) for first in range(0, self.count, BATCH)]

    def identity(self) -> str:
        """See Trials. Not the count: more pairs go on where fewer ended."""
        from discontrolface.synthetic.portraits import HELD_OUT

        return f"seeds from {HELD_OUT}"

    def make(self, numbers: tuple[int, ...], bench: Bench) -> Made:
        """See Trials."""
        from discontrolface.evaluation.heldout import make_case
        from discontrolface.synthetic.portraits import HELD_OUT

        cases = [make_case(HELD_OUT + n, bench.size, bench.maps, bench.geometry) for n in numbers]
        return Made(tuple(Trial(f"pair-{case.seed}", case, case.truth) for case in cases), {})


@dataclass(frozen=True)
class PhotoEdits:
    """Every photo of a folder (not of folders below it), with every one of EDITS; a photo is a batch."""

    folder: Path
    files: tuple[str, ...]
    kind: str = PHOTOS

    @classmethod
    def of(cls, folder: Path) -> PhotoEdits:
        """UserError for a folder that is missing or empty."""
        files = tuple(sorted(f.name for f in folder.iterdir() if f.is_file() and not f.name.startswith("."))) if folder.is_dir() else ()
        if not files:
            raise UserError(f"{folder} is not a folder of photos; give one with photos, or the folder of shards that `prepare` wrote")
        return cls(folder, files)

    def batches(self) -> list[tuple[int, ...]]:
        """See Trials."""
        return [tuple(range(first, first + len(EDITS))) for first in range(0, len(self.files) * len(EDITS), len(EDITS))]

    def identity(self) -> str:
        """See Trials."""
        digest = hashlib.sha256(repr(EDITS).encode())
        for name in self.files:
            digest.update(name.encode() + hashlib.sha256((self.folder / name).read_bytes()).digest())
        return digest.hexdigest()[:16]

    def make(self, numbers: tuple[int, ...], bench: Bench) -> Made:
        """See Trials."""
        from discontrolface.common.pixels import to_float

        file = self.files[numbers[0] // len(EDITS)]
        names = {edit: f"{safe(Path(file).stem)}-{numbers[0] // len(EDITS):04d}-{safe(edit)}" for edit in EDITS}
        try:
            person = bench.reader.read(self.folder / file)
        except UserError as error:
            return Made((), dict.fromkeys(names.values(), str(error)))
        crop = to_float(person.crop.resize(bench.size).image)
        return edited_trials({names[edit]: wanted for edit, wanted in EDITS.items()}, numbers, crop, person.parameters, bench, person)


@dataclass(frozen=True)
class ShardEdits:
    """The first `count` samples of shards; sample i gets edit i of EDITS, and so on round."""

    folder: Path
    count: int
    kind: str = SHARDS

    def batches(self) -> list[tuple[int, ...]]:
        """See Trials."""
        from discontrolface.training.shards import ShardDataset

        last = min(self.count, len(ShardDataset(self.folder)))
        return [tuple(range(first, min(first + BATCH, last))) for first in range(0, last, BATCH)]

    def identity(self) -> str:
        """See Trials: of the index."""
        paths = [self.folder / "index.json", *sorted(self.folder.glob("*/index.json"))]
        return (
            hashlib.sha256(repr(EDITS).encode() + b"".join(p.read_bytes() for p in paths if p.is_file())).hexdigest()[:16]
            + f", {self.count}"
        )

    def make(self, numbers: tuple[int, ...], bench: Bench) -> Made:
        """See Trials."""
        from discontrolface.training.shards import ShardDataset

        data = ShardDataset(self.folder)
        if data.size != bench.size:
            raise UserError(
                f"the crops in {self.folder} are {data.size} pixels, the preset's {bench.size}; run prepare with --size {bench.size}"
            )
        trials: list[Trial] = []
        left_out: dict[str, str] = {}
        for n in numbers:
            edit = list(EDITS)[n % len(EDITS)]
            wanted = {f"sample-{n:06d}-{safe(edit)}": EDITS[edit]}
            made = edited_trials(wanted, (n,), data.photo(n), data.parameters(n), bench)
            trials += made.trials
            left_out |= made.left_out
        return Made(tuple(trials), left_out)


def edited_trials(
    wanted: dict[str, Any], numbers: tuple[int, ...], crop: Array, parameters: Any, bench: Bench, person: Person | None = None
) -> Made:
    """Trials {name: arguments of `edit`} of one crop; their seeds are their numbers."""
    from discontrolface.evaluation.heldout import make_task

    trials, left_out = [], {}
    for number, (name, arguments) in zip(numbers, wanted.items(), strict=True):
        try:
            target = parameters.edit(**arguments)
        except UserError as error:  # a turn that leads too far
            left_out[name] = str(error)
            continue
        task = make_task(crop, parameters, target, bench.geometry, bench.size, bench.maps, number)
        trials.append(Trial(name, task, person=person))
    return Made(tuple(trials), left_out)


def safe(text: str) -> str:
    """Letters, digits and dashes only."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")[:60] or "x"


def trials_of(folder: Path | None, count: int) -> Trials:
    """None: held-out pairs; a folder of shards (index.json in it or one below), or of photos."""
    if count < 1:
        raise UserError(f"count {count} must be at least 1")
    if folder is None:
        return HeldOutPairs(count)
    if (folder / "index.json").is_file() or next(folder.glob("*/index.json"), None) is not None:
        return ShardEdits(folder, count)
    return PhotoEdits.of(folder)
