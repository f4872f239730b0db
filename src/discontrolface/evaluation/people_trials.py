"""Edits of photographs whose true result is known: real pairs and return pairs, of people who were kept out of training.

A real pair: the source is a person's neutral front photo, the edit asks for the expression, pose and gaze of another photo of the same person, and
the truth is that photo, moved into the source's crop by one similarity (training/real_pairs.py). It is not laid on anybody's result: the pixel or
two by which readings differ count against every method alike. A return pair, for people of whom there is one photo: the source is a warp of it to
a random look, the edit leads back, the truth is the photo itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from discontrolface.common.errors import UserError
from discontrolface.common.pixels import to_float, to_uint8
from discontrolface.editing.looks import warped_looks
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import prepare
from discontrolface.editing.same_person import asked, photo_to_frame
from discontrolface.evaluation.trials import REAL, RETURN, Bench, Trial, TrialBatch, Trials, safe
from discontrolface.face.crop import cut_square
from discontrolface.face.random_edits import random_edit
from discontrolface.training.people import list_photos
from discontrolface.training.real_pairs import PairSettings, person_generator, read_photos

NEUTRAL, FRONT = "neutral", "front"  # of the source, where the table has the columns expression and view
PROFILE: Final = "profile"  # what the names of views end in that are no targets
TURNED, OTHER_EXPRESSION = "turned", "other expression"
TURN: Final = 10.0  # degrees from which two photos without a view in the table count as turned
AGES: Final = ((25, "under 25"), (35, "25 to 34"), (200, "35 and older"))
Row = Mapping[str, str]


@dataclass(frozen=True)
class PersonPhotos:
    """One person. photos: the source first. edits: what each of the others asks for, "" where the table does not say. groups: see Trial."""

    name: str
    photos: tuple[Path, ...]
    edits: tuple[str, ...]
    groups: tuple[tuple[str, str], ...]

    @property
    def others(self) -> tuple[Path, ...]:
        """The photos but for the source."""
        return self.photos[1:]


def list_evaluated(folder: Path, people: str, only: str | None) -> list[PersonPhotos]:
    """The people of a table (or "folders", one a person), sorted by name. only: names with commas, or a file with one a line (# begins a remark).

    UserError for names that are not there.
    """
    rows: dict[str, list[Row]] = {}
    for row in list_photos(folder, people):
        rows.setdefault(row["person"], []).append(row)
    chosen = sorted(rows) if only is None else read_names(only)
    missing = [name for name in chosen if name not in rows]
    if missing:
        raise UserError(f"--only names {missing[0]!r}, who is not among the people of {people} ({len(missing)} such names)")
    return [evaluated_person(name, rows[name]) for name in sorted(chosen)]


def read_names(only: str) -> list[str]:
    """`A,B`, or a file with a name a line. UserError when there is none."""
    path = Path(only)
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else only.split(",")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); give names with commas, or a text file with one a line") from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    if not names:
        raise UserError(f"--only {only!r} names nobody; give names with commas, or a file with one a line")
    return list(dict.fromkeys(names))


def evaluated_person(name: str, rows: list[Row]) -> PersonPhotos:
    """Of one person's rows: which photo is the source (neutral, from the front; else the first), what the others are."""
    rows = [row for row in rows if not row.get("view", "").endswith(PROFILE)] or rows
    first = next((r for r in rows if (r.get("view"), r.get("expression")) == (FRONT, NEUTRAL)), rows[0])
    others = sorted((row for row in rows if row is not first), key=lambda row: row["file"])
    photos = tuple(Path(row["file"]) for row in (first, *others))
    return PersonPhotos(name, photos, tuple(edit_of(first, row) for row in others), groups_of_row(first))


def edit_of(first: Row, row: Row) -> str:
    """What another photo shows that the source does not, by the table: "turned", its expression, or both; "" where the table does not say."""
    if not all(r.get(column) for r in (first, row) for column in ("view", "expression")):
        return ""
    turned = [TURNED] if row["view"] != first["view"] else []
    return ", ".join(turned + ([row["expression"]] if row["expression"] != first["expression"] else [])) or "same"


def groups_of_row(row: Row) -> tuple[tuple[str, str], ...]:
    """Ethnicity, gender and age group, as far as the table has them."""
    out = [(what, row[what].replace("_", " ")) for what in ("ethnicity", "gender") if row.get(what)]
    age = row.get("age", "")
    if age.isdigit():
        out.append(("age", next((words for below, words in AGES if int(age) < below), AGES[-1][1])))
    return tuple(out)


def files_identity(paths: Iterable[Path]) -> str:
    """A short text that is another when the photos are."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class RealPairs:
    """Every person's source towards each of the other photos; a person is a batch. count: how many people at most are measured."""

    people: tuple[PersonPhotos, ...]
    count: int
    kind: str = REAL

    def batches(self) -> list[tuple[int, ...]]:
        """See Trials."""
        out, first = [], 0
        for person in self.people[: self.count]:
            out.append(tuple(range(first, first + len(person.others))))
            first += len(person.others)
        return out

    def identity(self) -> str:
        """See Trials. Not the count: more people go on where fewer ended."""
        return files_identity(photo for person in self.people for photo in person.photos)

    def make(self, numbers: tuple[int, ...], bench: Bench) -> TrialBatch:
        """See Trials."""
        person = self.people[self.batches().index(numbers)]
        names = {photo: safe(f"{person.name}-{photo.stem}") for photo in person.others}
        read, left_out = read_photos(person.photos, bench.reader, PairSettings(size=bench.size))
        found = {reading.photo.path: reading for reading in read}
        source = found.get(person.photos[0])
        if source is None:
            why = f"the source, {person.photos[0].name}: {left_out[person.photos[0]]}"
            return TrialBatch((), dict.fromkeys(names.values(), why))
        trials: list[Trial] = []
        lost = {names[photo]: why for photo, why in left_out.items()}
        for seed, photo, edit in zip(numbers, person.others, person.edits, strict=True):
            if photo not in found:
                continue
            turn = abs(source.parameters.yaw - found[photo].parameters.yaw)
            if turn > PairSettings.max_turn:
                lost[names[photo]] = f"turned by {turn:.0f} degrees, more than {PairSettings.max_turn:g}"
            else:
                trials.append(real_trial(names[photo], source, found[photo], edit, person, bench, seed))
        return TrialBatch(tuple(trials), lost)


def real_trial(name: str, a: Person, b: Person, edit: str, person: PersonPhotos, bench: Bench, seed: int) -> Trial:
    """a, edited to look as b; the truth is b's photo in a's crop."""
    target = asked(a, b)
    truth = to_float(cut_square(b.photo.array, photo_to_frame(b, target), bench.size).image)
    kind = edit or (TURNED if abs(a.parameters.yaw - b.parameters.yaw) >= TURN else OTHER_EXPRESSION)
    made = prepare(a, target, bench.size, bench.maps, seed)
    return Trial(name, made, truth, on_photo=True, person=person.name, groups=(("edit", kind), *person.groups))


@dataclass(frozen=True)
class ReturnPairs:
    """Every person's photo from a warp of it; a photo is a batch. count: how many people at most are measured."""

    people: tuple[PersonPhotos, ...]
    count: int
    kind: str = RETURN

    def batches(self) -> list[tuple[int, ...]]:
        """See Trials."""
        return [(k,) for k in range(len(self.people[: self.count]))]

    def identity(self) -> str:
        """See Trials. Not the count: more people go on where fewer ended."""
        return files_identity(person.photos[0] for person in self.people)

    def make(self, numbers: tuple[int, ...], bench: Bench) -> TrialBatch:
        """See Trials."""
        person, settings = self.people[numbers[0]], PairSettings(size=bench.size)
        name = safe(person.name)
        read, left_out = read_photos(person.photos[:1], bench.reader, settings)
        if not read:
            return TrialBatch((), dict.fromkeys([name], next(iter(left_out.values()))))
        photo, parameters, geometry = to_float(read[0].crop.image), read[0].parameters, read[0].geometry
        look = random_edit(parameters, person_generator(person.name, settings))
        back, _ = warped_looks(photo, parameters, geometry, look)
        source = Person.known(to_uint8(back.source), look, geometry, f"{name}.png")
        made = prepare(source, parameters, bench.size, bench.maps, numbers[0])
        return TrialBatch((Trial(name, made, photo, person=person.name, groups=person.groups),), {})


PAIR_KINDS: Final = ("real", "return")


def people_trials(folder: Path, pairs: str, people: str, only: str | None, count: int) -> Trials:
    """`--pairs real` of those who have several photos, `--pairs return` of those who have one. UserError when there is nobody."""
    if pairs not in PAIR_KINDS:
        raise UserError(f"--pairs {pairs!r} is not known; choose from {', '.join(PAIR_KINDS)}")
    if count < 1:
        raise UserError(f"count {count} must be at least 1")
    everybody = list_evaluated(folder, people, only)
    chosen = tuple(person for person in everybody if (len(person.photos) > 1) == (pairs == "real"))
    if not chosen:
        needed = "several photos" if pairs == "real" else "a single photo"
        raise UserError(f"--pairs {pairs} needs people with {needed}, and none of the {len(everybody)} of {people} has that")
    return RealPairs(chosen, count) if pairs == "real" else ReturnPairs(chosen, count)
