"""What is evaluated: edits of held-out drawn portraits (with the true result), of photos, of the samples of shards.

A source knows how many edits it has, in which batches they are made (a batch shares its randomness and one process), and makes a batch.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.pixels import to_uint8
from discontrolface.editing.example_edits import EDITS
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import PreparedEdit, prepare
from discontrolface.editing.reading import Reader
from discontrolface.face.geometry import Geometry
from discontrolface.face.parameters import FaceParameters
from discontrolface.synthetic.portraits import HELD_OUT, make_pair
from discontrolface.training.shards import ShardDataset

Array = NDArray[np.float32]

BATCH = 8  # edits of pairs or of a shard that are made together
PAIRS, PHOTOS, SHARDS = "held-out pairs", "photos", "shards"
REAL, RETURN = "real pairs", "return pairs"  # people_trials.py
WITH_TRUTH = (PAIRS, REAL, RETURN)


@dataclass(frozen=True)
class Trial:
    """One edit to be made and measured. truth: the right answer (S, S, 3) in [0, 1], where it is known. on_photo: of a user's photo.

    person: who is shown, where several edits may be of one person. groups: (what, which), as ("gender", "female"), for figures by group.
    """

    name: str  # unique; a file's name without its ending
    edit: PreparedEdit
    truth: Array | None = None
    on_photo: bool = False
    person: str = ""
    groups: tuple[tuple[str, str], ...] = ()

    @property
    def source(self) -> NDArray[np.uint8]:
        """(S, S, 3): the aligned crop before the edit."""
        return self.edit.person.crop.resize(self.edit.size).image

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the edit changes."""
        return edit_kinds(self.edit.person.parameters, self.edit.target)


@dataclass(frozen=True)
class Bench:
    """What trials are made with."""

    reader: Reader
    geometry: Geometry
    size: int  # of the crops, pixels
    maps: tuple[str, ...]  # of the snapshots


@dataclass(frozen=True)
class TrialBatch:
    """A batch: its trials, and {name: why} of those that cannot be made."""

    trials: tuple[Trial, ...]
    left_out: dict[str, str]


def edit_kinds(before: FaceParameters, after: FaceParameters) -> tuple[str, ...]:
    """What differs: expression, head, gaze, light."""
    looks = np.array([name.startswith("eyeLook") for name in before.expression_names])
    moved = np.abs(before.expression - after.expression) > 1e-4
    changed = {
        "expression": bool((moved & ~looks).any()) or abs(before.jaw - after.jaw) > 1e-2,
        "head": bool(np.abs(before.head_rotation - after.head_rotation).max() > 1e-3),
        "gaze": bool(np.abs(before.pose[3:] - after.pose[3:]).max() > 1e-3),
        "light": bool(np.abs(before.light - after.light).max() > 1e-3),
    }
    return tuple(name for name, is_changed in changed.items() if is_changed)


def held_out_pair(number: int, bench: Bench) -> Trial:
    """The drawn pair of seed HELD_OUT + number: one person before and after one to three edits, under their true parameters."""
    seed = HELD_OUT + number
    pair = make_pair(seed, bench.size)
    person = Person.known(to_uint8(pair.source), pair.source_parameters, bench.geometry, f"pair-{seed}.png")
    return Trial(f"pair-{seed}", prepare(person, pair.target_parameters, bench.size, bench.maps, seed), pair.target)


class Trials(Protocol):
    """A source of edits. kind: PAIRS, PHOTOS, SHARDS, REAL or RETURN."""

    @property
    def kind(self) -> str: ...

    def batches(self) -> list[tuple[int, ...]]:
        """The numbers of the edits, batch by batch."""
        ...

    def identity(self) -> str:
        """A short text that is another when the edits are others."""
        ...

    def make(self, numbers: tuple[int, ...], bench: Bench) -> TrialBatch:
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
        return f"seeds from {HELD_OUT}"

    def make(self, numbers: tuple[int, ...], bench: Bench) -> TrialBatch:
        """See Trials."""
        return TrialBatch(tuple(held_out_pair(n, bench) for n in numbers), {})


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

    def make(self, numbers: tuple[int, ...], bench: Bench) -> TrialBatch:
        """See Trials."""
        file = self.files[numbers[0] // len(EDITS)]
        names = {edit: f"{safe(Path(file).stem)}-{numbers[0] // len(EDITS):04d}-{safe(edit)}" for edit in EDITS}
        try:
            person = bench.reader.read(self.folder / file)
        except UserError as error:
            return TrialBatch((), dict.fromkeys(names.values(), str(error)))
        asked = {names[edit]: change for edit, change in EDITS.items()}
        return edited_trials(asked, numbers, person, bench, on_photo=True)


@dataclass(frozen=True)
class ShardEdits:
    """The first `count` samples of shards; sample i gets edit i of EDITS, and so on round."""

    folder: Path
    count: int
    kind: str = SHARDS

    def batches(self) -> list[tuple[int, ...]]:
        """See Trials."""
        last = min(self.count, len(ShardDataset(self.folder)))
        return [tuple(range(first, min(first + BATCH, last))) for first in range(0, last, BATCH)]

    def identity(self) -> str:
        """See Trials: of the index."""
        paths = [self.folder / "index.json", *sorted(self.folder.glob("*/index.json"))]
        return (
            hashlib.sha256(repr(EDITS).encode() + b"".join(p.read_bytes() for p in paths if p.is_file())).hexdigest()[:16]
            + f", {self.count}"
        )

    def make(self, numbers: tuple[int, ...], bench: Bench) -> TrialBatch:
        """See Trials."""
        data = ShardDataset(self.folder)
        if data.head != bench.geometry.head.name:
            raise UserError(
                f"the shards in {self.folder} are of the head model {data.head!r}, and the preset's is {bench.geometry.head.name!r}; "
                f"run prepare with --head {bench.geometry.head.name}"
            )
        if data.size != bench.size:
            raise UserError(
                f"the crops in {self.folder} are {data.size} pixels, the preset's {bench.size}; run prepare with --size {bench.size}"
            )
        trials: list[Trial] = []
        left_out: dict[str, str] = {}
        for n in numbers:
            edit = list(EDITS)[n % len(EDITS)]
            person = Person.known(to_uint8(data.photo(n)), data.parameters(n), bench.geometry, f"sample-{n:06d}.png")
            batch = edited_trials({f"sample-{n:06d}-{safe(edit)}": EDITS[edit]}, (n,), person, bench)
            trials += batch.trials
            left_out |= batch.left_out
        return TrialBatch(tuple(trials), left_out)


def edited_trials(
    asked: Mapping[str, Mapping[str, Any]], numbers: tuple[int, ...], person: Person, bench: Bench, on_photo: bool = False
) -> TrialBatch:
    """Trials {name: arguments of `FaceParameters.edit`} of one person; their seeds are their numbers."""
    trials, left_out = [], {}
    for number, (name, change) in zip(numbers, asked.items(), strict=True):
        try:
            target = person.parameters.edit(**change)
        except UserError as error:  # a turn that leads too far
            left_out[name] = str(error)
            continue
        trials.append(Trial(name, prepare(person, target, bench.size, bench.maps, number), on_photo=on_photo))
    return TrialBatch(tuple(trials), left_out)


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
