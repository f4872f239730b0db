"""`discontrolface prepare FOLDER -o SHARDS`: any folder of photos to WebDataset shards, an index and a report.

The photos are listed once (plan.jsonl), in groups, by their names in the folder and a hash, so that the folder may move between two runs; each
group becomes one shard, by one function that is the same on one machine and on a Ray cluster. A shard is written whole or not at all, its .json
after it: a restart does exactly the groups that have none. New photos in the folder become new groups. One bad file never stops it: it goes into
the report, and a file at which the process died again and again is left out. A fault of this program does stop it, with its traceback.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing, write_atomically
from discontrolface.common.images import encode_picture as encode
from discontrolface.common.parallel import ENGINES, run_pool, single_thread
from discontrolface.training.samples import SampleSettings, SkippedError, photo_samples
from discontrolface.training.shards import ShardDataset, write_index, write_shard

GROUP = 128  # photos of one shard
DEATHS = 3  # of the process at one file, until it is left out
SHEET = 48  # samples on the contact sheet
MARKED_BYTES = 2**16  # of the beginning and of the end of a photo, for its fingerprint
COMPARED = 64  # photos whose fingerprints are compared when a run goes on


@dataclass(frozen=True)
class Job:
    """One group of photos: line `number` of the plan, which begins at byte `offset`; `first` is the number of its first photo."""

    folder: str
    output: str
    number: int
    offset: int
    first: int
    settings: dict[str, Any]

    @property
    def shard(self) -> Path:
        """The tar to be written."""
        return Path(self.output) / f"shard-{self.number:06d}.tar"

    @property
    def listed(self) -> Path:
        """Its list of contents; exists when the tar is complete."""
        return self.shard.with_suffix(".json")

    @property
    def trying(self) -> Path:
        """The note of the file being read."""
        return self.shard.with_suffix(".trying")

    def files(self) -> list[str]:
        """The photos, relative to the folder."""
        with (Path(self.output) / "plan.jsonl").open("rb") as f:
            f.seek(self.offset)
            return [name for name, _ in json.loads(f.readline())]


def make_shard(job: Job) -> int:
    """Read the photos of a job and write its shard. Returns the number of samples."""
    settings = SampleSettings(**job.settings)
    notes = Deaths(job.trying)
    samples: list[tuple[str, dict[str, bytes]]] = []
    skipped: list[dict[str, str]] = []
    for number, name in enumerate(job.files(), job.first):
        try:
            if notes.of(number) >= DEATHS:
                raise SkippedError("crash", f"the process died {DEATHS} times at this file")
            notes.trying(number)
            found = photo_samples(Path(job.folder) / name, settings)
            samples += [(f"{number:09d}_{face}", members) for face, members in enumerate(found)]
        except SkippedError as reason:
            skipped.append({"file": name, "reason": reason.reason, "detail": reason.detail})
        except Exception:  # our fault, not the file's: the run ends here, and the next one comes back to this file
            notes.forget(number)
            raise
    entries = write_shard(job.shard, samples)
    with replacing(job.listed, "the shard's list") as f:
        f.write(json.dumps({"photos": len(job.files()), "samples": entries, "skipped": skipped}).encode())
    notes.path.unlink(missing_ok=True)
    return len(samples)


class Deaths:
    """A note on disk of the file being read, so that the next process knows where this one died."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            known = json.loads(path.read_text())
            self.counts = {int(k): int(v) for k, v in known.items()}
        except (OSError, ValueError, AttributeError):
            self.counts = {}

    def of(self, number: int) -> int:
        """How often a process died at this file."""
        return self.counts.get(number, 0)

    def forget(self, number: int) -> None:
        """The process does not die of this file, it ends in another way."""
        self._write({k: v for k, v in self.counts.items() if k != number})

    def trying(self, number: int) -> None:
        """Say which file comes now: it counts as a death until the next one."""
        bad = {k: v for k, v in self.counts.items() if k != number}
        self._write({**bad, number: self.of(number) + 1})

    def _write(self, counts: dict[int, int]) -> None:
        write_atomically(self.path, json.dumps(counts).encode())


def list_photos(folder: Path, output: Path) -> list[str]:
    """All files below the folder, relative and sorted; hidden ones and the output folder are left out."""
    found: list[str] = []
    for path, folders, files in os.walk(folder):
        here = Path(path)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and (here / f).resolve() != output.resolve())
        found += [str((here / f).relative_to(folder)) for f in files if not f.startswith(".")]
    return sorted(found)


def make_plan(folder: Path, output: Path, settings: SampleSettings, group_size: int | None = None) -> list[Job]:
    """All groups of photos (of GROUP unless said otherwise); a plan that exists keeps its groups, and photos that are new come after them."""
    plan = output / "plan.jsonl"
    groups = read_plan(plan) if plan.exists() else []
    known = dict(photo for group in groups for photo in group)
    check_same_photos(folder, known, output)
    new = [(name, fingerprint(folder / name)) for name in list_photos(folder, output) if name not in known]
    if not known and not new:
        raise UserError(f"no files in {folder}; give a folder with photos")
    step = group_size or GROUP
    groups += [new[i : i + step] for i in range(0, len(new), step)]
    lines = [json.dumps(group).encode() + b"\n" for group in groups]
    if new:
        with replacing(plan, "the plan") as f:
            f.writelines(lines)
    jobs, offset, first = [], 0, 0
    for number, (line, group) in enumerate(zip(lines, groups, strict=True)):
        jobs.append(Job(str(folder), str(output), number, offset, first, asdict(settings)))
        offset, first = offset + len(line), first + len(group)
    return jobs


def read_plan(plan: Path) -> list[list[tuple[str, str]]]:
    """The groups of a plan: (photo, fingerprint) each. UserError for a file that is none."""
    try:
        return [[(str(name), str(mark)) for name, mark in json.loads(line)] for line in plan.read_text().splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{plan} is not a plan of photos with their fingerprints ({error}); choose another -o") from error


def fingerprint(path: Path) -> str:
    """What tells a photo's content: a hash of its length, its beginning and its end; "" for a file that cannot be read."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(MARKED_BYTES)
            file.seek(max(size - MARKED_BYTES, 0))
            return hashlib.blake2b(size.to_bytes(8, "little") + head + file.read(MARKED_BYTES), digest_size=12).hexdigest()
    except OSError:
        return ""


def check_same_photos(folder: Path, known: Mapping[str, str], output: Path) -> None:
    """The folder may have moved or lost photos, but it must hold those of the plan: UserError where none is there, or one of some is another."""
    names = [name for name in known if (folder / name).is_file()]
    if known and not names:
        raise UserError(f"{output} holds shards of other photos: none of the {len(known)} in its plan is in {folder}; choose another -o")
    for name in names[:: max(1, len(names) // COMPARED)]:
        if fingerprint(folder / name) != known[name]:
            raise UserError(f"{folder / name} is not the photo that {output} was begun with; give the same folder, or choose another -o")


def run_local(jobs: list[Job], processes: int, make: Callable[[Job], int] = make_shard) -> Iterator[int]:
    """Numbers of samples as shards get done, by processes of their own: what kills one of them does not end the run.

    A shard at which a process died is made again, alone, so that it is known which file did it.
    """
    futile = 0
    while missing := [job for job in jobs if not job.listed.exists()]:
        suspects = [job for job in missing if Deaths(job.trying).counts]
        for _, samples in run_pool(suspects[:1] or missing, processes, make):
            if samples is not None:
                yield samples
        left = [job for job in missing if not job.listed.exists()]
        futile = futile + 1 if len(left) == len(missing) and not any(Deaths(job.trying).counts for job in left) else 0
        if futile >= DEATHS:
            raise UserError(f"the processes that read photos die before the first photo; try fewer than {processes}, or free memory")


def run_ray(jobs: list[Job], processes: int) -> Iterator[int]:
    """The same through Ray Data, on the cluster that RAY_ADDRESS names or on this machine. The folders must be the same on all of its machines."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise UserError("engine 'ray' needs Ray Data: pip install 'discontrolface[ray]', or use --engine local") from None

    if not ray.is_initialized():
        ray.init(num_cpus=None if os.environ.get("RAY_ADDRESS") else processes, include_dashboard=False, log_to_driver=False)
    rows = ray.data.from_items([asdict(job) for job in jobs], override_num_blocks=len(jobs))
    for row in rows.map(ray_row, num_cpus=1).iter_rows():
        yield int(row["samples"])


def ray_row(row: dict[str, Any]) -> dict[str, Any]:
    """One job of `run_ray`, in a process of Ray's."""
    single_thread()
    return {"samples": make_shard(Job(**row))}


def prepare(
    folder: Path,
    output: Path,
    settings: SampleSettings | None = None,
    engine: str = "local",
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,  # (shards done, of)
    group: int | None = None,  # photos in a shard; None: GROUP
) -> dict[str, Any]:
    """Make the shards that are missing, then index and report. Returns the report: photos, samples, {reason: number of photos left out}.

    UserError for a folder that is not there, an output of other settings, a full disk.
    """
    settings = settings or SampleSettings()
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder of photos")
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r} is not known; choose one of {', '.join(ENGINES)}")
    if processes < 1 or (group is not None and group < 1):
        raise UserError(f"processes is {processes} and photos per shard {group}; both must be at least 1")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {output}: {error.strerror}; choose another -o") from error
    keep_settings(output / "settings.json", settings)
    jobs = make_plan(folder, output, settings, group)
    missing = [job for job in jobs if not job.listed.exists()]
    run = run_local if engine == "local" else run_ray
    for done, _ in enumerate(run(missing, processes) if missing else (), len(jobs) - len(missing) + 1):
        if progress is not None:
            progress(done, len(jobs))
    return finish(output, jobs, settings)


def keep_settings(path: Path, settings: SampleSettings) -> None:
    """Write down what the shards are made of; UserError when it was something else before."""
    now = asdict(settings)
    now.pop("assets")  # the same files may lie elsewhere, and so may the photos
    if path.exists():
        try:
            before = json.loads(path.read_text())
        except ValueError:
            before = {}
        changed = [k for k, v in now.items() if before.get(k) != v]
        if changed:
            raise UserError(f"{path.parent} holds shards with another {changed[0]} ({before.get(changed[0])!r}); choose another -o")
        return
    with replacing(path, "the settings") as f:
        f.write(json.dumps(now, indent=1).encode())


def finish(output: Path, jobs: Iterable[Job], settings: SampleSettings) -> dict[str, Any]:
    """Index, report and contact sheet of all shards."""
    shards: list[tuple[str, int]] = []
    reasons: Counter[str] = Counter()
    skipped: list[dict[str, str]] = []
    photos = size = 0
    for job in jobs:
        listed = json.loads(job.listed.read_text())
        shards.append((job.shard.name, len(listed["samples"])))
        reasons.update(entry["reason"] for entry in listed["skipped"])
        skipped += listed["skipped"]
        photos += listed["photos"]
        size += job.shard.stat().st_size
    write_index(output, shards, settings.size, settings.crop_format, settings.head)
    samples = sum(count for _, count in shards)
    report: dict[str, Any] = {
        "photos": photos,
        "samples": samples,
        "taken": photos - len(skipped),
        "left_out": dict(sorted(reasons.items())),
    }
    report |= {"shards": len(shards), "bytes": size}
    with replacing(output / "report.json", "the report") as f:
        f.write(json.dumps({**report, "files": skipped}, indent=1, ensure_ascii=False).encode())
    with replacing(output / "report.md", "the report") as f:
        f.write(report_text(report, skipped).encode())
    if samples:
        with replacing(output / "contact.jpg", "the contact sheet") as f:
            f.write(contact(ShardDataset(output)))
    return report


def report_text(report: dict[str, Any], skipped: list[dict[str, str]]) -> str:
    """The report for people."""
    lines = [
        f"{report['photos']} files, {report['taken']} photos taken: {report['samples']} samples in {report['shards']} shards, "
        f"{report['bytes'] / 1e6:.1f} MB."
    ]
    lines += [
        "",
        "| left out because | files |",
        "|---|---|",
        *(f"| {reason} | {count} |" for reason, count in report["left_out"].items()),
        "",
    ]
    lines += [f"- `{entry['file']}`: {entry['detail']}" for entry in skipped[:1000]]
    if len(skipped) > 1000:
        lines.append(f"- and {len(skipped) - 1000} more, see report.json")
    return "\n".join(lines) + "\n"


def contact(data: ShardDataset) -> bytes:
    """A sheet of samples spread over the whole set: each crop beside its normals."""
    import numpy as np

    count = min(SHEET, len(data))
    tile = 128
    rows = []
    for k in range(count):
        index = k * len(data) // count
        pair = np.concatenate([data.photo(index), data.picture(index, "snapshot.png", 2 * data.size)[:, : data.size]], 1)
        rows.append(shrunk((pair * 255 + 0.5).astype(np.uint8), 2 * tile, tile))
    columns = 4 if count >= 4 else count
    rows += [np.full_like(rows[0], 255)] * (-count % columns)
    return encode(np.concatenate([np.concatenate(rows[i : i + columns], 1) for i in range(0, len(rows), columns)]), "jpg")


def shrunk(picture: Any, width: int, height: int) -> Any:
    """A picture at another size."""
    import numpy as np
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))
