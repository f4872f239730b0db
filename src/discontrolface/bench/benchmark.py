"""How long everything takes on this machine, and how much memory: `discontrolface benchmark`.

Every stage (groups.py) runs once to compile and to warm the caches (its operations are counted then), once for its memory, then as often as the
effort says; work of minutes runs once, for time and memory.
The machine's own best speed in float32 is measured before and after, and the better of the two counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from discontrolface.bench.groups import GROUPS, USUAL
from discontrolface.bench.machine import Effort, check_device, describe, load_average, peak_speed
from discontrolface.bench.stage import BATCHES, SIZES, STEPS, NotMeasured, Stage, Workload, drawn_photo
from discontrolface.common.errors import UserError
from discontrolface.common.images import load_photo
from discontrolface.common.usage import peak_growth
from discontrolface.editing.editor import Editor
from discontrolface.weights.manifest import preset_folder

FORMAT = "discontrolface benchmark 1"


@dataclass(frozen=True)
class Plan:
    """What is measured and how thoroughly."""

    effort: Effort
    batches: Sequence[int] = BATCHES
    sizes: Sequence[int] = SIZES
    steps: Sequence[int] = STEPS
    peak_seconds: float = 2.0  # for the machine's best speed, each of two times
    groups: Sequence[str] = USUAL


FULL = Plan(Effort(seconds=4.0, least=5, most=100))
QUICK = Plan(Effort(seconds=0.2, least=2, most=10), (1, 2), (128, 256), (1, 2), peak_seconds=0.3)
"""For CI: that everything runs, with rough times."""


@dataclass(frozen=True)
class Measured:
    """What a stage takes. times: milliseconds of each run. memory: MB that it needs at most, beyond what was in use. operations: of one run."""

    stage: str
    kind: str
    amount: int
    times: tuple[float, ...] = field(repr=False)
    memory: float | None = None
    operations: int | None = None

    def percentile(self, percent: float) -> float:
        """Milliseconds; between two runs where none is exactly there."""
        return float(np.percentile(self.times, percent))

    @property
    def median(self) -> float:
        """Milliseconds."""
        return self.percentile(50)

    @property
    def speed(self) -> float | None:
        """Operations a second in the median run."""
        return None if not self.operations else self.operations / self.median * 1000

    @property
    def key(self) -> tuple[str, str, int]:
        """Which stage it is, from run to run."""
        return self.stage, self.kind, self.amount


@dataclass(frozen=True)
class Benchmark:
    """All of it. machine: see `describe`. settings: what was measured. peak: operations a second, see `peak_speed`."""

    machine: dict[str, str | int | float]
    settings: dict[str, str | int | float]
    peak: dict[str, float]
    stages: tuple[Measured, ...]
    missing: tuple[str, ...] = ()  # groups that could not be measured here, and why

    @property
    def best_speed(self) -> float:
        """The machine's own, operations a second."""
        return max(self.peak.values())

    def share(self, measured: Measured) -> float | None:
        """Of the machine's best speed, 0 to 1."""
        return None if measured.speed is None else measured.speed / self.best_speed

    def find(self, stage: str, amount: int | None = None) -> Measured | None:
        """A stage by name, and by amount where it has several."""
        return next((m for m in self.stages if m.stage == stage and amount in (None, m.amount)), None)


def measure(stage: Stage, effort: Effort) -> Measured:
    """Warm up, count, then memory, then time."""
    if stage.once is not None:
        stage.work()
        begin = time.perf_counter()
        memory = stage.once()
        return kept(Measured(stage.name, stage.kind, stage.amount, (1000 * (time.perf_counter() - begin),), memory))
    operations = None
    if stage.operations is None:
        stage.work()
    else:
        operations = stage.operations()
    memory = peak_growth(stage.work, stage.device) if stage.memory is None else stage.memory()
    return kept(Measured(stage.name, stage.kind, stage.amount, tuple(stage.run(effort)), memory, operations))


def kept(m: Measured) -> Measured:
    """Times to 0.1 microseconds, memory to 10 kB, as the JSON file holds them: screen, page and a later comparison speak of the same numbers."""
    return replace(m, times=tuple(round(t, 4) for t in m.times), memory=None if m.memory is None else round(m.memory, 2))


def workload(plan: Plan, preset: str | Path, device: str, photo: Path | None, assets: Path | None) -> Workload:
    """What the stages work on. UserError for a preset or photo that cannot be used."""
    folder = preset_folder(preset, assets)
    editor = Editor.load(folder, device, assets=assets)
    picture = drawn_photo() if photo is None else load_photo(photo)
    return Workload(folder, editor, picture, editor.read(picture), plan.batches, plan.sizes, plan.steps, assets)


def run_benchmark(
    plan: Plan,
    preset: str | Path = "open",
    device: str = "cpu",
    photo: Path | None = None,  # None: a drawn portrait, the same everywhere
    assets: Path | None = None,  # the folder of imported files, for the paper preset
    progress: Callable[[int, int], None] | None = None,  # told (groups done, of)
) -> Benchmark:
    """Measure everything. UserError for a device, preset or photo that cannot be used."""
    check_device(device)
    load = load_average()
    peaks = [peak_speed(device, plan.peak_seconds)]
    work = workload(plan, preset, device, photo, assets)
    measured: list[Measured] = []
    missing = []
    for done, name in enumerate(plan.groups):
        if progress is not None:
            progress(done, len(plan.groups))
        try:
            for stage in GROUPS[name](work):
                measured.append(measure(stage, plan.effort))
        except NotMeasured as why:
            missing.append(f"{name}: {why}")
    peaks.append(peak_speed(device, plan.peak_seconds))
    peak = {name: max(p[name] for p in peaks) for name in peaks[0]}
    settings: dict[str, str | int | float] = {
        "preset": str(preset),
        "photo": "drawn portrait, 512 x 512" if photo is None else photo.name,
        "seconds a stage": plan.effort.seconds,
        "runs a stage": f"{plan.effort.least} to {plan.effort.most}",
        "load before": load,  # programs that wanted a core
        "steadiness": round(steadiness(peaks), 3),
    }
    return Benchmark(describe(device), settings, peak, tuple(measured), tuple(missing))


def steadiness(peaks: Sequence[dict[str, float]]) -> float:
    """The machine's best speed at its slower time over that at its faster time: 1 when nothing else ran."""
    best = [max(peak.values()) for peak in peaks]
    return min(best) / max(best)


# ---- JSON


def to_json(benchmark: Benchmark) -> str:
    """With the time of every run, so that later runs can be compared with it."""
    rows = [
        {
            "stage": m.stage,
            "kind": m.kind,
            "amount": m.amount,
            "p5_ms": round(m.percentile(5), 4),
            "p50_ms": round(m.median, 4),
            "p95_ms": round(m.percentile(95), 4),
            "memory_mb": m.memory,
            "operations": m.operations,
            "share_of_peak": None if (share := benchmark.share(m)) is None else round(share, 4),
            "times_ms": list(m.times),
        }
        for m in benchmark.stages
    ]
    head: dict[str, object] = {"format": FORMAT, "machine": benchmark.machine, "settings": benchmark.settings}
    head |= {"peak_operations_per_second": benchmark.peak}
    return json.dumps(head | {"stages": rows, "not_measured": list(benchmark.missing)}, indent=1)


def from_json(text: str, source: str) -> Benchmark:
    """What `to_json` wrote. source: for messages. UserError for anything else."""
    try:
        read: dict[str, Any] = json.loads(text)
        if read["format"] != FORMAT:
            raise ValueError(f"format {read['format']!r}")
        stages = tuple(
            Measured(
                str(row["stage"]),
                str(row["kind"]),
                int(row["amount"]),
                tuple(float(t) for t in row["times_ms"]),
                None if row["memory_mb"] is None else float(row["memory_mb"]),
                None if row["operations"] is None else int(row["operations"]),
            )
            for row in read["stages"]
        )
        peak = {str(name): float(value) for name, value in read["peak_operations_per_second"].items()}
        if not peak or not all(m.times for m in stages):
            raise ValueError("it has no times")
        missing = tuple(map(str, read.get("not_measured", ())))
        benchmark = Benchmark(dict(read["machine"]), dict(read["settings"]), peak, stages, missing)
        float(benchmark.settings["load before"]) + float(benchmark.settings["steadiness"]) + float(benchmark.machine["cores"])
        return benchmark
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{source} is not a benchmark that can be compared with ({error}); give a .json that `benchmark -o` wrote"
        ) from error
