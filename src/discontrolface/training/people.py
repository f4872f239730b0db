"""`discontrolface prepare FOLDER --people PEOPLE -o PAIRS`: photographs of people to blocks of training pairs.

A person with several photos gives real pairs, `block_PERSON.npy`; one with a single photo return pairs, `return_PERSON.npy`. A block is written
whole or not at all; a restart makes those that are missing.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing, write_atomically
from discontrolface.common.parallel import run_pool
from discontrolface.synthetic.anatomy import HEAD
from discontrolface.training.dataset import describe_pairs
from discontrolface.training.pairs import encode
from discontrolface.training.real_pairs import PairSettings, person_generator, read_photos, real_pairs, return_pairs
from discontrolface.training.samples import reader

FOLDERS = "folders"  # the value of --people: each folder below FOLDER is a person
COLUMNS = ("file", "person")


@dataclass(frozen=True)
class PersonJob:
    """One person: the name, the photos, where the block goes. (Plain values, for another process.)"""

    name: str
    photos: tuple[str, ...]
    output: str
    settings: dict[str, Any]

    def path(self, kind: str) -> Path:
        """Of the file of this kind: "block", "return", or "people" for what was left out."""
        safe = re.sub(r"[^A-Za-z0-9.-]+", "_", self.name)
        return Path(self.output) / f"{kind}_{safe}.{'json' if kind == 'people' else 'npy'}"


def list_people(folder: Path, people: str) -> dict[str, tuple[str, ...]]:
    """{person: photos}, both sorted. people: a CSV with the columns `file` (relative to the folder) and `person`; or "folders"."""
    found: dict[str, list[str]] = {}
    for row in list_photos(folder, people):
        found.setdefault(row["person"], []).append(row["file"])
    return {name: tuple(sorted(found[name])) for name in sorted(found)}


def list_photos(folder: Path, people: str) -> list[dict[str, str]]:
    """A row for each photo, with its path as `file` and its `person`; of a CSV with all its columns. people: as of `list_people`."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give the folder of the photos")
    rows = _from_folders(folder) if people == FOLDERS else _from_table(folder, Path(people))
    if not rows:
        raise UserError(
            f"nobody found in {folder} by {people!r}; give a CSV with the columns file and person, or {FOLDERS!r} for a folder a person"
        )
    return rows


def _from_folders(folder: Path) -> list[dict[str, str]]:
    out: list[dict[str, str]] = []
    for below in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        photos = sorted(str(p) for p in below.iterdir() if p.is_file() and not p.name.startswith("."))
        out += [{"file": photo, "person": below.name} for photo in photos]
    return out


def _from_table(folder: Path, table: Path) -> list[dict[str, str]]:
    try:
        rows = list(csv.DictReader(table.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the list of people {table} cannot be read ({error}); give a CSV file, or {FOLDERS!r} for a folder a person"
        ) from error
    missing = [name for name in COLUMNS if rows and name not in rows[0]]
    if missing:
        raise UserError(f"{table} has no column {missing[0]!r}; its first line must name {' and '.join(COLUMNS)}")
    out = [{**{str(k): str(v or "") for k, v in row.items()}, "file": str(folder / str(row["file"]))} for row in rows]
    absent = [row["file"] for row in out if not Path(row["file"]).is_file()]
    if absent:
        raise UserError(
            f"{table} lists {absent[0]}, which is not there ({len(absent)} such files); give the folder that its paths start from"
        )
    return out


def make_person(job: PersonJob) -> int:
    """Read one person's photos and write the block. Returns the number of pairs."""
    settings = PairSettings(**job.settings)
    people, left_out = read_photos([Path(p) for p in job.photos], reader(HEAD, settings.size, None, False), settings)
    rng = person_generator(job.name, settings)
    pairs = {"block": [encode(maps) for maps in real_pairs(people, rng, settings)]}
    pairs["return"] = [encode(maps) for person in people for maps in return_pairs(person, rng, settings)] if len(people) == 1 else []
    for kind, made in pairs.items():
        if made:
            with replacing(job.path(kind), "the block of pairs") as file:
                np.save(file, np.stack(made))
    report = {"real": len(pairs["block"]), "return": len(pairs["return"]), "left_out": {p.name: why for p, why in left_out.items()}}
    write_atomically(job.path("people"), json.dumps(report).encode())
    return len(pairs["block"]) + len(pairs["return"])


def prepare_people(
    folder: Path,
    people: str,
    output: Path,
    settings: PairSettings,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Mapping[str, Any]:
    """All people's blocks that are not there yet, and the report (also OUTPUT/report.json)."""
    listed = list_people(folder, people)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {output}: {error.strerror}; choose another --output") from error
    check_settings(output, settings)
    describe_pairs(output, HEAD)
    jobs = [PersonJob(name, photos, str(output), asdict(settings)) for name, photos in listed.items()]
    missing = [job for job in jobs if not job.path("people").is_file()]
    done = len(jobs) - len(missing)
    dead: list[str] = []
    if processes > 1 and len(missing) > 1:
        for job, made in run_pool(missing, processes, make_person):
            done += 1
            dead += [job.name] if made is None else []
            if progress is not None:
                progress(done, len(jobs))
    else:
        for job in missing:
            make_person(job)
            done += 1
            if progress is not None:
                progress(done, len(jobs))
    if dead:
        raise UserError(f"a process died at {dead[0]!r}; run the same command again, or take this person out of the list")
    return report(jobs)


def check_settings(output: Path, settings: PairSettings) -> None:
    """UserError when the folder was begun with other settings."""
    path = output / "settings.json"
    now = asdict(settings)
    if path.is_file():
        then = json.loads(path.read_text())
        changed = [f"{key} {then.get(key)!r} then, {value!r} now" for key, value in now.items() if then.get(key) != value]
        if changed:
            raise UserError(f"{output} was begun with other settings ({', '.join(changed)}); choose another --output")
    else:
        write_atomically(path, json.dumps(now, indent=1).encode())


def report(jobs: list[PersonJob]) -> dict[str, Any]:
    """Counts, and which photos were left out, why."""
    total: Counter[str] = Counter()
    left_out: dict[str, str] = {}
    for job in jobs:
        said = json.loads(job.path("people").read_text())
        total.update({kind: said[kind] for kind in ("real", "return")})
        left_out |= {f"{job.name}/{name}": why for name, why in said["left_out"].items()}
    photos = sum(len(job.photos) for job in jobs)
    out: dict[str, Any] = {"people": len(jobs), "photos": photos, "real": total["real"], "return": total["return"], "left_out": left_out}
    write_atomically(Path(jobs[0].output) / "report.json", json.dumps(out, indent=1, ensure_ascii=False).encode())
    return out
