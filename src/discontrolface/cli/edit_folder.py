"""`discontrolface edit FOLDER -o FOLDER2`: the same edit of many photos, by as many processes as there are cores."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from discontrolface.cli.common import progress_bar, say
from discontrolface.cli.edit_photo import EditOptions, named, run_edit, targets_of
from discontrolface.cli.source import Source
from discontrolface.cli.trust import check_confidence
from discontrolface.common.errors import UserError
from discontrolface.common.parallel import ENGINES, run_on_ray, run_pool

if TYPE_CHECKING:
    from discontrolface.editing.editor import Editor

REPORT = "report.json"
EDITED, KEPT = "", "kept"  # what `edit_one` says of a photo that was edited, and of one that was edited before; else why not


@dataclass(frozen=True)
class FolderJob:
    """One photo. (Plain values, for another process.)"""

    photo: Path
    output: Path
    options: EditOptions


def edit_folder(
    folder: Path, output: Path, options: EditOptions, engine: str, processes: int, quiet: bool, unused: Mapping[str, Any]
) -> None:
    """Every photo below a folder into another folder, by the same relative names. One that cannot be edited is left out, and the report says why;
    a result that is there is kept, so that the same command goes on after a stop."""
    check(folder, output, options, engine, unused)
    if engine == "ray":
        folder, output = folder.resolve(), output.resolve()  # its processes may begin in another folder
    jobs = [FolderJob(photo, result_path(photo, folder, output), options) for photo in photos_below(folder, output)]
    if not jobs:
        raise UserError(f"no photos in {folder}; give a folder with pictures")
    taken = Counter(job.output for job in jobs)
    jobs = [apart(job) if taken[job.output] > 1 and job.output.name != job.photo.name else job for job in jobs]
    left_out: dict[str, str] = {}
    counts: Counter[str] = Counter()
    with progress_bar("editing", quiet) as update:
        for done, (job, said) in enumerate(results(jobs, engine, processes), 1):
            if said in (EDITED, KEPT):
                counts[said] += 1
            else:
                left_out[str(job.photo.relative_to(folder))] = said
            update(done, len(jobs))
    write_report(output, counts, left_out)
    say(f"{counts[EDITED]} edited, {counts[KEPT]} kept, {len(left_out)} left out of {len(jobs)} photos; see {output / REPORT}")
    if left_out and not counts:
        raise typer.Exit(1)


def check(folder: Path, output: Path, options: EditOptions, engine: str, unused: Mapping[str, Any]) -> None:
    """Before the work. UserError for options that are for one photo, and for a folder that cannot be."""
    from discontrolface.common.credentials import check_signing

    given = [f"{option} {value}" for option, value in unused.items() if value]
    if given:
        raise UserError(f"{folder} is a folder, and {given[0]} is for one photo; leave it out")
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r} is not known; choose one of {', '.join(ENGINES)}")
    if output.is_file() or output.resolve() == folder.resolve():
        raise UserError(f"{output} must be another folder than {folder}, and no file; choose another --output")
    check_signing()
    options.controls.checked_values()
    options.writing.check()
    options.faces.check(options.source)
    options.source.folder()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {output}: {error.strerror}; choose another --output") from error


def photos_below(folder: Path, output: Path) -> list[Path]:
    """Files with the ending of a picture, sorted; hidden ones and those in the output folder are left out."""
    from PIL import Image

    Image.init()
    endings = set(Image.registered_extensions()) | {".heic", ".heif"}
    inside = output.resolve()
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix.lower() in endings]
    return [p for p in found if inside not in p.resolve().parents and not any(part.startswith(".") for part in p.relative_to(folder).parts)]


def result_path(photo: Path, folder: Path, output: Path) -> Path:
    """The same relative name, and the same ending where we can write it; else .png."""
    from discontrolface.common.writing import WRITABLE

    path = output / photo.relative_to(folder)
    return path if path.suffix.lower() in WRITABLE else path.with_suffix(".png")


def apart(job: FolderJob) -> FolderJob:
    """With a result that is called after the photo's whole name: `a.bmp.png`, where there is an `a.png` too."""
    return replace(job, output=job.output.with_name(f"{job.photo.name}{job.output.suffix}"))


def results(jobs: list[FolderJob], engine: str, processes: int) -> Iterator[tuple[FolderJob, str]]:
    """(job, what `edit_one` says) as they get done."""
    if engine == "local" and (processes < 2 or len(jobs) < 2):
        for job in jobs:
            yield job, edit_one(job)
        return
    waiting = {job.photo for job in jobs}
    for job, said in (run_pool if engine == "local" else run_on_ray)(jobs, processes, edit_one):
        if said is not None:
            waiting.discard(job.photo)
            yield job, said
    for job in jobs:
        if job.photo in waiting:
            yield job, "a process of this run died before or while it was edited; run the same command again"


def edit_one(job: FolderJob) -> str:
    """Edit one photo: EDITED, KEPT, or why not."""
    o = job.options
    if job.output.exists() and not o.overwrite:
        return KEPT
    try:
        editor = loaded(o.source, o.device, o.cache_dir)
        people, others = o.faces.read(o.source, editor.reader, job.photo), o.controls.others(editor.reader)
        check_confidence(named(people, job.photo), o.strict)
        targets = targets_of(people, o.controls, o.faces, others)
        result = run_edit(editor, o.personal.adapt(editor, people, True), targets, o.sampling, True)
        job.output.parent.mkdir(parents=True, exist_ok=True)
        o.writing.save(result, job.output, o.overwrite)
    except UserError as error:
        return str(error)
    except Exception as error:  # one bad file never stops the others
        return f"{type(error).__name__}: {error}"
    return EDITED


@functools.lru_cache(maxsize=1)
def loaded(source: Source, device: str, cache_dir: Path | None) -> Editor:
    """The models, once in each process."""
    return source.editor(source.folder(), device, cache_dir, source.reader(device))


def write_report(output: Path, counts: Counter[str], left_out: dict[str, str]) -> None:
    """OUTPUT/report.json."""
    from discontrolface.common.files import write_atomically

    report = {"edited": counts[EDITED], "kept": counts[KEPT], "left_out": left_out}
    write_atomically(output / REPORT, (json.dumps(report, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode())
