"""`discontrolface prepare FOLDER --people PEOPLE -o PAIRS`: photographs of people to blocks of training pairs, or, `-o ALBUM.zip`, to an album.

A person with several photos gives real pairs, `block_PERSON.npy`; one with a single photo return pairs, `return_PERSON.npy`. A person's file is
written whole or not at all; a restart makes those that are missing. `prepare ALBUM.zip -o PAIRS` makes the blocks of an album.
"""

from __future__ import annotations

import csv
import functools
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.parallel import run_on_ray, run_pool
from discontrolface.editing.person import Person
from discontrolface.synthetic.anatomy import HEAD
from discontrolface.training.album import Album, Entry, merged, write_album
from discontrolface.training.dataset import describe_pairs
from discontrolface.training.pairs import encode, write_block
from discontrolface.training.real_pairs import PairSettings, person_generator, read_photos, real_pairs, return_pairs
from discontrolface.training.samples import reader

FOLDERS = "folders"  # the value of --people: each folder below FOLDER is a person
COLUMNS = ("file", "person")
ENGINES = ("local", "ray")
ENDINGS = {"people": "json", "album": "zip"}


@dataclass(frozen=True)
class PersonJob:
    """One person: the name, the photos, where the files go. (Plain values, for another process.)"""

    name: str
    photos: tuple[str, ...]  # paths; or of an album's photos the numbers
    output: str
    settings: dict[str, Any]
    group: str = ""  # the set that the person is from
    album: str | None = None  # the album that the photos are in

    def path(self, kind: str) -> Path:
        """Of the file of this kind: "block", "return", "album", or "people" for what was left out."""
        safe = re.sub(r"[^A-Za-z0-9.-]+", "_", self.name)
        return Path(self.output) / f"{kind}_{safe}.{ENDINGS.get(kind, 'npy')}"

    def people(self) -> tuple[list[Person], dict[str, str]]:
        """The person's photos, read, with one shape; and {photo: why} of those left out."""
        settings = PairSettings(**self.settings)
        if self.album is not None:
            album = open_album(self.album)
            return [album.person(int(number), settings.size) for number in self.photos], {}
        people, left_out = read_photos([Path(p) for p in self.photos], reader(HEAD, settings.size, None, False), settings)
        return people, {f"{self.name}/{path.name}": why for path, why in left_out.items()}


@functools.lru_cache(maxsize=1)
def open_album(path: str) -> Album:
    """The album, read once in each process."""
    return Album(Path(path))


@dataclass(frozen=True)
class Listed:
    """A person of the list: the photos' paths, and the set."""

    photos: tuple[str, ...]
    group: str = ""


def list_people(folder: Path, people: str, leave_out: Path | None = None) -> dict[str, Listed]:
    """{person: photos}, sorted. people: a CSV with the columns `file` (relative to the folder) and `person`, perhaps `set`; or "folders".

    leave_out: a file of people who are kept back for evaluation, see `without`.
    """
    found: dict[str, list[dict[str, str]]] = {}
    for row in list_photos(folder, people):
        found.setdefault(row["person"], []).append(row)
    photos = {name: tuple(sorted(row["file"] for row in found[name])) for name in without(sorted(found), leave_out)}
    return {name: Listed(of_one, found[name][0].get("set", "")) for name, of_one in photos.items()}


def without(names: Sequence[str], leave_out: Path | None) -> list[str]:
    """The names that the file `leave_out` does not list: a name a line, after # a remark. UserError for a name that nobody has: a slip
    of the pen would train on somebody who is kept back."""
    if leave_out is None:
        return list(names)
    try:
        lines = leave_out.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"the list of who is left out, {leave_out}, cannot be read ({error}); give a text file with a name a line"
        ) from error
    listed = {name for name in (line.partition("#")[0].strip() for line in lines) if name}
    unknown = sorted(listed - set(names))
    if unknown:
        raise UserError(
            f"{leave_out} leaves out {unknown[0]!r}, which is nobody's name here ({len(unknown)} such names); write it as in the list"
        )
    return [name for name in names if name not in listed]


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
    for below in sorted(p for p in folder.resolve().iterdir() if p.is_dir() and not p.name.startswith(".")):
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
    out = [{**{str(k): str(v or "") for k, v in row.items()}, "file": str(folder.resolve() / str(row["file"]))} for row in rows]
    absent = [row["file"] for row in out if not Path(row["file"]).is_file()]
    if absent:
        raise UserError(
            f"{table} lists {absent[0]}, which is not there ({len(absent)} such files); give the folder that its paths start from"
        )
    return out


def make_person(job: PersonJob) -> int:
    """Read one person's photos and write the block. Returns the number of pairs."""
    settings = PairSettings(**job.settings)
    people, left_out = job.people()
    rng = person_generator(job.name, settings)
    pairs = {"block": [encode(maps) for maps in real_pairs(people, rng, settings)]}
    pairs["return"] = [encode(maps) for person in people for maps in return_pairs(person, rng, settings)] if len(people) == 1 else []
    for kind, made in pairs.items():
        if made:
            write_block(job.path(kind), made)
    report = {"real": len(pairs["block"]), "return": len(pairs["return"]), "left_out": left_out}
    write_atomically(job.path("people"), json.dumps(report).encode())
    return len(pairs["block"]) + len(pairs["return"])


def make_album_part(job: PersonJob) -> int:
    """Read one person's photos and write an album of them alone. Returns the number of photos."""
    people, left_out = job.people()
    entries = [Entry.of(person, job.name, job.group) for person in people]
    return write_album(job.path("album"), entries, HEAD, left_out)


def prepare_people(
    folder: Path,  # of the photos; or an album
    people: str | None,  # see list_people; None: those of the album
    output: Path,
    settings: PairSettings,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
    leave_out: Path | None = None,
    engine: str = "local",  # one of ENGINES
) -> Mapping[str, Any]:
    """All people's blocks that are not there yet, and the report (also OUTPUT/report.json)."""
    listed, album = list_album(folder, leave_out) if people is None else (list_people(folder, people, leave_out), None)
    make_folder(output)
    check_settings(output, settings)
    describe_pairs(output, HEAD)
    jobs = [PersonJob(name, one.photos, str(output.resolve()), asdict(settings), one.group, album) for name, one in listed.items()]
    run_jobs(jobs, "people", make_person, processes, progress, engine)
    return report(jobs)


def prepare_album(
    folder: Path,
    people: str,
    output: Path,  # ends in .zip
    settings: PairSettings,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
    leave_out: Path | None = None,
    engine: str = "local",
) -> Mapping[str, Any]:
    """Read all photos and write the album. What was read lies in OUTPUT.parts until the whole is written; a restart reads what is missing there."""
    listed = list_people(folder, people, leave_out)
    parts = output.with_name(f"{output.name}.parts")
    make_folder(parts)
    check_settings(parts, settings)
    jobs = [PersonJob(name, one.photos, str(parts.resolve()), asdict(settings), one.group) for name, one in listed.items()]
    run_jobs(jobs, "album", make_album_part, processes, progress, engine)
    made = merged([job.path("album") for job in jobs], output, HEAD)
    shutil.rmtree(parts)
    return made


def list_album(path: Path, leave_out: Path | None) -> tuple[dict[str, Listed], str]:
    """The people of an album, and its path for the jobs."""
    album = Album(path)
    if album.head != HEAD:
        raise UserError(f"{path} is of the head model {album.head!r}; pairs of people are made with {HEAD!r}")
    names = without(list(album.people), leave_out)
    return {name: Listed(tuple(str(k) for k in album.people[name])) for name in names}, str(path.resolve())


def make_folder(folder: Path) -> None:
    """UserError when it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}; choose another --output") from error


def run_jobs(
    jobs: Sequence[PersonJob],
    kind: str,  # of the file that says that a job is done
    make: Callable[[PersonJob], int],
    processes: int,
    progress: Callable[[int, int], None] | None,
    engine: str = "local",  # or "ray": on a cluster whose machines all see the folders
) -> None:
    """Do the jobs that are not done yet. UserError when a process died."""
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r} is not known; choose one of {', '.join(ENGINES)}")
    missing = [job for job in jobs if not job.path(kind).is_file()]
    done = len(jobs) - len(missing)
    dead: list[str] = []
    if engine == "ray" or (processes > 1 and len(missing) > 1):
        for job, made in (run_on_ray if engine == "ray" else run_pool)(missing, processes, make):
            done += 1
            dead += [job.name] if made is None else []
            if progress is not None:
                progress(done, len(jobs))
    else:
        for job in missing:
            make(job)
            done += 1
            if progress is not None:
                progress(done, len(jobs))
    if dead:
        raise UserError(f"a process died at {dead[0]!r}; run the same command again, or take this person out of the list")


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
        left_out |= said["left_out"]
    photos = sum(len(job.photos) for job in jobs)
    out: dict[str, Any] = {"people": len(jobs), "photos": photos, "real": total["real"], "return": total["return"], "left_out": left_out}
    write_atomically(Path(jobs[0].output) / "report.json", json.dumps(out, indent=1, ensure_ascii=False).encode())
    return out
