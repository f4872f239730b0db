"""The evaluation itself: batches of edits on all cores, each written when it is done, so that the same command goes on where it was stopped.

More edits, and more methods, are added to what is there (parts.py).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import discontrolface.evaluation.methods  # noqa: F401  registers them, in a process of a pool too
from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.images import encode_picture
from discontrolface.common.parallel import run_pool
from discontrolface.common.pixels import to_float, to_uint8
from discontrolface.common.text_files import check_text_output
from discontrolface.common.weights_id import weights_id
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.editor import Editor
from discontrolface.editing.method import Method, MethodContext, method_table
from discontrolface.editing.reading import Reader
from discontrolface.editing.sheet import contact_sheet
from discontrolface.evaluation.arcface import ArcFace
from discontrolface.evaluation.costs import Cost, costing, summary
from discontrolface.evaluation.identity import IdentityModel
from discontrolface.evaluation.inception import FEATURES, Inception
from discontrolface.evaluation.lpips import Lpips
from discontrolface.evaluation.metrics import HIDDEN_BELOW, Meter, checked_picture
from discontrolface.evaluation.other_weights import WEIGHTS, OtherWeights, is_preset, load_other, with_own_snapshots
from discontrolface.evaluation.outputs import folder_identity, read_output
from discontrolface.evaluation.parts import Batch, Identity, add_arrays, begin, parts_of
from discontrolface.evaluation.set_distances import fid, kid, with_interval
from discontrolface.evaluation.trials import BATCH, PAIRS, Bench, Trial, Trials
from discontrolface.synthetic.anatomy import HEAD
from discontrolface.weights.preset import Preset, load_preset, read_manifest

Bytes = NDArray[np.uint8]

VERSION = 2  # of OUT.json, and of what is measured
FIRST, SHEET_ROWS = "first.npz", 8  # what the sheet is made from
MISSING = "no picture"


@dataclass(frozen=True)
class Measures:
    """Which figures beside those that always can be measured: files of the user's, and the extra `eval`."""

    inception: Path | None = None  # for FID and KID
    lpips_backbone: Path | None = None
    lpips_linear: Path | None = None
    arcface: Path | None = None
    identity: bool = True  # dlib's embedding; the command says False where the extra is not installed

    def __post_init__(self) -> None:
        if (self.lpips_backbone is None) != (self.lpips_linear is None):
            raise UserError(
                "LPIPS needs two files, the backbone's (--lpips-backbone) and the linear layers' (--lpips-linear); give both or none"
            )


@dataclass(frozen=True)
class Setup:
    """All that a process needs to make and measure a batch."""

    preset: Path
    assets: Path | None  # of FLAME
    trials: Trials
    methods: tuple[str, ...]  # by name
    outputs: tuple[tuple[str, Path], ...]  # others' pictures
    measures: Measures
    steps: int | None  # None: the preset's
    strength: float | None
    device: str
    weights: tuple[tuple[str, Path], ...] = ()  # of methods that bring their own: (method, folder)
    others: tuple[OtherWeights, ...] = ()  # methods once more, with other weights

    @property
    def names(self) -> tuple[str, ...]:
        """Of all columns: methods, methods with other weights, others' pictures."""
        return (*self.methods, *(other.name for other in self.others), *(name for name, _ in self.outputs))

    @property
    def labels(self) -> dict[str, str]:
        """What tables call them."""
        table = method_table()
        titles = {name: table[name].label for name in self.methods} | {other.name: other.title for other in self.others}
        return {name: titles.get(name, f"{name} (pictures from outside)") for name in self.names}


@dataclass(frozen=True)
class Job:
    """One batch, and where its figures go. setup: with the methods that the batch lacks."""

    setup: Setup
    number: int
    edits: tuple[int, ...]
    parts: Path

    @property
    def figures(self) -> Path:
        """The batch's file."""
        return self.parts / f"{self.number:06d}.json"

    @property
    def features(self) -> Path:
        """Inception's."""
        return self.figures.with_suffix(".npz")


class Worker:
    """What one process has loaded."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        preset = load_preset(setup.preset, setup.device)
        self.bench = make_bench(setup, preset)
        table, context = method_table(), self.context(preset)
        self.methods: dict[str, Method] = {name: table[name].make(context) for name in setup.methods}
        for folder in dict.fromkeys(other.folder for other in setup.others):
            loaded = load_other(folder, preset, setup.device)
            context = self.context(loaded)
            for other in (o for o in setup.others if o.folder == folder):
                self.methods[other.name] = with_own_snapshots(table[other.method].make(context), loaded.control.spec.maps)
        self.meter, self.inception = load_measures(setup.measures, self.bench.reader)

    def context(self, preset: Preset) -> MethodContext:
        """What methods are made from, with the networks of a preset."""
        editor = Editor(preset, self.bench.reader, self.setup.device)
        return MethodContext(editor, run_sampling(self.setup, preset.sampling), dict(self.setup.weights))

    def pictures(self, trials: Sequence[Trial]) -> tuple[dict[str, list[Bytes | None]], dict[str, Cost]]:
        """({method: its pictures}, {method: their cost}); None where a folder holds no picture."""
        size, costs = self.bench.size, dict[str, Cost]()
        out: dict[str, list[Bytes | None]] = {}
        for name, method in self.methods.items():
            pictures, costs[name] = costing(functools.partial(method, [trial.edit for trial in trials]), len(trials), self.setup.device)
            if len(pictures) != len(trials):
                raise UserError(f"method {name!r} returned {len(pictures)} pictures for {len(trials)} edits")
            out[name] = [checked_picture(picture, size, name) for picture in pictures]
        for name, folder in self.setup.outputs:
            out[name] = [read_output(folder, trial.name, size) for trial in trials]
        return out, costs


def preset_bench(setup: Setup) -> Bench:
    """What trials are made with, without methods and measures."""
    return make_bench(setup, load_preset(setup.preset))


def make_bench(setup: Setup, preset: Preset) -> Bench:
    """Reader and head model of a preset. UserError when the edits are of another head."""
    config: Any = preset.control.config
    size = int(config["image_size"])
    if preset.head != HEAD and setup.trials.kind == PAIRS:
        raise UserError(
            f"{PAIRS} are drawn with the head model {HEAD!r}, and the preset's is {preset.head!r}; give a folder of photos or shards"
        )
    reader = Reader.load(preset.head, size, setup.assets, device=setup.device)
    return Bench(reader, reader.geometry, size, tuple(config["snapshot_maps"]))


def run_sampling(setup: Setup, sampling: Sampling) -> Sampling:
    """The preset's sampling with the user's steps, and the user's strength for the starts that have one. UserError out of range."""
    chosen = sampling.with_choices({"steps": setup.steps})
    return chosen if setup.strength is None else replace(chosen, strength=setup.strength)


def load_measures(measures: Measures, reader: Reader) -> tuple[Meter, Inception | None]:
    """The measuring networks. UserError for a file that is not what it should be."""
    backbone, linear = measures.lpips_backbone, measures.lpips_linear
    meter = Meter(
        reader,
        IdentityModel() if measures.identity else None,
        None if measures.arcface is None else ArcFace(measures.arcface),
        None if backbone is None or linear is None else Lpips.load(backbone, linear),
    )
    return meter, None if measures.inception is None else Inception.load(measures.inception)


@functools.lru_cache(maxsize=1)
def worker(setup: Setup) -> Worker:
    """Loaded once in each process."""
    return Worker(setup)


def measure_batch(job: Job) -> int:
    """Make, measure and write a batch. Returns the number of its edits."""
    work = worker(job.setup)
    batch = job.setup.trials.make(job.edits, work.bench)
    pictures, costs = work.pictures(batch.trials) if batch.trials else ({}, {})
    lines = [record(work, trial, {name: p[k] for name, p in pictures.items()}) for k, trial in enumerate(batch.trials)]
    if work.inception is not None and batch.trials:
        add_arrays(job.features, features(work.inception, batch.trials, pictures))
    if job.number == 0 and batch.trials:
        add_arrays(job.parts / FIRST, first_pictures(batch.trials[:SHEET_ROWS], pictures))
    left_out = [{"name": name, "left_out": why} for name, why in batch.left_out.items()]
    Batch(job.figures).add(identities(job.setup), lines, left_out, costs)
    return len(job.edits)


def record(work: Worker, trial: Trial, pictures: dict[str, Bytes | None]) -> dict[str, Any]:
    """One edit's line."""
    meter = work.meter.trial(trial)
    estimates = {name: {"missing": MISSING} if picture is None else meter.measure(picture) for name, picture in pictures.items()}
    hidden = round(float((trial.edit.preview.visibility < HIDDEN_BELOW).mean()), 4)
    about: dict[str, Any] = {"person": trial.person, "groups": dict(trial.groups)} if trial.person else {}
    return {"name": trial.name, "kinds": list(trial.kinds), **about, "hidden": hidden, "methods": estimates}


def features(network: Inception, trials: Sequence[Trial], pictures: Mapping[str, list[Bytes | None]]) -> dict[str, NDArray[np.float32]]:
    """(N, 2048) of the truths, or of the sources where there are none, and of each method's pictures; rows of NaN where a picture is missing."""

    @torch.no_grad()
    def of(picture: NDArray[Any] | None) -> NDArray[np.float32]:
        if picture is None:
            return np.full(FEATURES, np.nan, np.float32)
        values = to_float(picture) if picture.dtype == np.uint8 else np.ascontiguousarray(picture)
        return network(torch.from_numpy(values).permute(2, 0, 1)[None])[0].numpy()

    arrays = {"reference": np.stack([of(t.source if t.truth is None else t.truth) for t in trials])}
    return arrays | {f"method {name}": np.stack([of(p) for p in column]) for name, column in pictures.items()}


def first_pictures(trials: Sequence[Trial], pictures: Mapping[str, list[Bytes | None]]) -> dict[str, NDArray[Any]]:
    """(N, S, S, 3) bytes of the sources, of the truths where they are known, of each method; white where a picture is missing. And what is edited."""
    white = np.full_like(trials[0].source, 255)
    columns: dict[str, list[Bytes | None]] = {"source": [t.source for t in trials]}
    if trials[0].truth is not None:
        columns["truth"] = [None if t.truth is None else to_uint8(t.truth) for t in trials]
    columns |= {f"method {name}": column[: len(trials)] for name, column in pictures.items()}
    arrays: dict[str, NDArray[Any]] = {name: np.stack([white if p is None else p for p in column]) for name, column in columns.items()}
    return arrays | {"edits": np.array([dict(t.groups).get("edit", ", ".join(t.kinds)) for t in trials])}


def sheet(first: Path, names: Sequence[str]) -> bytes:
    """A PNG. One row an edit: the source, the truth where it is known, these methods."""
    with np.load(first, allow_pickle=False) as arrays:
        columns = {name: arrays[name] for name in ("truth",) if name in arrays.files}
        columns |= {name: arrays[f"method {name}"] for name in names if name != "photo"}
        edits, sources = arrays["edits"], arrays["source"]
    tiles = []
    for k, edit in enumerate(edits):
        row = {f"source: {edit}": sources[k], **{name: column[k] for name, column in columns.items()}}
        tiles += [(name, Image.fromarray(picture)) for name, picture in row.items()]
    return encode_picture(np.asarray(contact_sheet(tiles, len(tiles) // len(edits), sources.shape[1])))


def identities(setup: Setup) -> dict[str, Identity]:
    """What the estimates of each method depend on beside the settings: others' pictures or weights, the temperature."""
    weights, sampling = dict(setup.weights), read_manifest(setup.preset)["sampling"]
    out: dict[str, Identity] = {}
    for name in setup.methods:
        out[name] = {key: getattr(sampling, key) for key in method_table()[name].depends}
        if name in weights:
            out[name] = {f"weights of {name}": file_id(weights[name] / WEIGHTS if weights[name].is_dir() else weights[name])}
    for other in setup.others:
        out[other.name] = {f"weights of {other.label}": " ".join(map(file_id, other.files))}
        if not is_preset(other.folder):
            out[other.name] |= {key: getattr(sampling, key) for key in method_table()[other.method].depends}
    return out | {name: {f"pictures of {name}": folder_identity(folder)} for name, folder in setup.outputs}


def describe(setup: Setup) -> dict[str, str | int | float]:
    """What is measured, with what, whatever the method: the same settings give the same estimates on the same machine."""
    preset = load_preset(setup.preset)
    sampling = run_sampling(setup, preset.sampling)
    out: dict[str, str | int | float] = {
        "format": VERSION,
        "edits": f"{setup.trials.kind}, {setup.trials.identity()}",
        "preset": preset.name,
        "weights": weights_id(preset.model, preset.control),
        "steps": sampling.steps,
        "strength": sampling.strength,
        "batch": BATCH,
        "device": setup.device,
    }
    if preset.larger is not None:
        out["super-resolution"] = weights_id(preset.larger)
    files = {k: v for k, v in asdict(setup.measures).items() if isinstance(v, Path)}
    out |= {name: file_id(path) for name, path in files.items()}
    out["identity"] = "dlib" if setup.measures.identity else "not measured"
    out |= {name: version(name) for name in ("discontrolface", "torch", "numpy", "ai-edge-litert")}
    return out


def file_id(path: Path) -> str:
    """Name and digest of a file of the user's. UserError if it is not there."""
    try:
        with path.open("rb") as file:
            return f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def run_jobs(jobs: Sequence[Job], processes: int) -> Iterator[int]:
    """Numbers of edits as batches get done, here or by processes of their own."""
    if processes == 1:
        yield from map(measure_batch, jobs)
        return
    for job, done in run_pool(jobs, processes, measure_batch):
        if done is None:
            raise UserError(f"a process died at batch {job.number}; give fewer --processes, or free memory, and run the same command again")
        yield done


def check_outputs(output: Path, page: Path | None, overwrite: bool) -> None:
    """Before the long work: can everything be written? A file OUT.json that this run's folder of batches lies beside is its own."""
    own = (parts_of(output) / "settings.json").is_file()
    check_text_output(output, overwrite or own)
    check_text_output(output.with_suffix(".md"), overwrite or own, ".md")
    if page is not None:
        check_text_output(page, overwrite, ".html")


def evaluate(
    setup: Setup, output: Path, processes: int = 1, progress: Callable[[int, int], None] | None = None, overwrite: bool = False
) -> dict[str, Any]:
    """Measure what is missing, then put all together: the content of OUT.json, which is not written here. progress: (edits done, of).

    UserError when the folder beside `output` holds figures of other settings; with `overwrite` these go, or, where only a method is another
    (its weights, its pictures), that method's.
    """
    if processes < 1:
        raise UserError(f"processes is {processes}; it must be at least 1")
    settings, parts, asked = describe(setup), parts_of(output), identities(setup)
    begin(parts, settings, overwrite)
    jobs = [Job(setup, number, edits, parts) for number, edits in enumerate(setup.trials.batches())]
    before = [Batch(job.figures) for job in jobs]
    if not overwrite:
        for batch in before:
            batch.check(asked)
    lacking = [batch.lacks(asked) for batch in before]
    missing = [replace(job, setup=with_only(setup, names)) for job, names in zip(jobs, lacking, strict=True) if names]
    total = sum(len(job.edits) for job in jobs)
    done = total - sum(len(job.edits) for job in missing)
    if progress is not None:
        progress(done, total)
    for count in run_jobs(missing, min(processes, max(len(missing), 1))):
        done += count
        if progress is not None:
            progress(done, total)
    batches = [Batch(job.figures) for job in jobs]
    if (parts / FIRST).is_file():
        write_atomically(parts / "sheet.png", sheet(parts / FIRST, setup.names))
    return {
        "format": "discontrolface.evaluation",
        "version": VERSION,
        "kind": setup.trials.kind,
        "settings": settings | {"methods": ", ".join(setup.names)} | {key: value for own in asked.values() for key, value in own.items()},
        "labels": setup.labels,
        "edits": [line for batch in batches for line in batch.lines(setup.names)],
        "left_out": [line for batch in batches for line in batch.left_out],
        "sets": set_estimates(jobs, setup),
        "costs": summary((batch.costs for batch in batches), setup.names),
    }


def with_only(setup: Setup, names: Sequence[str]) -> Setup:
    """The setup with some of its methods."""
    return replace(
        setup,
        methods=tuple(name for name in setup.methods if name in names),
        others=tuple(other for other in setup.others if other.name in names),
        outputs=tuple((name, folder) for name, folder in setup.outputs if name in names),
    )


def set_estimates(jobs: Sequence[Job], setup: Setup) -> dict[str, Any]:
    """FID and KID of each method, as the fields of `Estimate`."""
    if setup.measures.inception is None:
        return {}
    loaded = [np.load(job.features, allow_pickle=False) for job in jobs if job.features.is_file()]
    out: dict[str, Any] = {}
    for name in setup.names if loaded else ():
        reference, pictures = (np.concatenate([arrays[key] for arrays in loaded]) for key in ("reference", f"method {name}"))
        there = np.isfinite(pictures).all(1)
        figures = {kind: with_interval(distance, pictures[there], reference[there]) for kind, distance in (("fid", fid), ("kid", kid))}
        out[name] = {kind: asdict(figure) for kind, figure in figures.items()}
    return out
