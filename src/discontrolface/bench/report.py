"""What a benchmark says, as a report; and how it compares with an earlier one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from discontrolface.bench.benchmark import Benchmark, Measured
from discontrolface.bench.network_stages import PAPER
from discontrolface.common.statistics import Estimate
from discontrolface.reports.content import Cell, Plot, Report, Section, Series, Table

UNITS = {"": "", "batch": "batch {}", "pixels": "{} px", "steps": "{} steps", "targets": "{} targets"}
COLUMNS = ("stage", "size", "time, ms", "runs", "memory, MB", "GFLOP", "GFLOP/s", "share of peak, %")
WITHIN_NOISE = "within noise"
MEMORY_NOISE = (0.1, 5.0)  # a change of memory counts when it is larger than this share and than so many MB
STEADY = 0.8  # best speeds before and after that differ more are worth a warning too
COLD = "cold start: "
BUSY = 0.5  # a load before the start of more than this share of the cores is worth a warning


def size_text(m: Measured) -> str:
    """What grows from row to row: `batch 4`, `256 px`, `20 steps`."""
    return UNITS[m.kind].format(m.amount) if not (m.kind == "steps" and m.amount == 1) else "1 step"


def stage_row(benchmark: Benchmark, m: Measured) -> tuple[Cell, ...]:
    """A line of the table; nothing where operations were not counted."""
    share = benchmark.share(m)
    return (
        m.stage.removeprefix(PAPER),
        size_text(m),
        Estimate(m.median, m.percentile(5), m.percentile(95), len(m.times)),
        len(m.times),
        m.memory,
        None if not m.operations else m.operations / 1e9,
        None if m.speed is None else m.speed / 1e9,
        None if share is None else 100 * share,
    )


def stage_tables(benchmark: Benchmark) -> tuple[Table, ...]:
    """Every stage; then, where they were measured, the paper's networks."""
    note = (
        "Time: the median run, lightly the 5th and 95th percentile. Memory: what the stage needs at most beyond what was in use. "
        "GFLOP: matrix products, convolutions and attentions; a multiply-add counts as two."
    )
    full = [m for m in benchmark.stages if m.stage.startswith(PAPER)]
    own = [m for m in benchmark.stages if m not in full]
    groups = {
        f"Preset {benchmark.settings['preset']}: networks and edits": [m for m in own if m.operations is not None],
        "Reading, drawing and the rest": [m for m in own if m.operations is None],
        "The paper's networks, 256 px, random weights, one forward": full,
    }
    shown = [(title, tuple(stage_row(benchmark, m) for m in stages)) for title, stages in groups.items() if stages]
    return tuple(Table(title, COLUMNS, rows, note if rows is shown[-1][1] else "", digits=1) for title, rows in shown)


def peak_table(benchmark: Benchmark) -> Table:
    """What the machine can do."""
    rows = tuple((name, speed / 1e9) for name, speed in benchmark.peak.items())
    return Table("Best speed seen in this process, float32", ("work", "GFLOP/s"), rows, "The share of peak is of the larger one.", 1)


def scaling_plots(benchmark: Benchmark) -> tuple[Plot, ...]:
    """Time per picture by batch, time by pixels, time by steps: of every stage that was measured at two sizes or more."""

    def series(kind: str, by: Callable[[Measured], float], choose: Callable[[Measured], bool]) -> tuple[Series, ...]:
        stages = [m for m in benchmark.stages if m.kind == kind and choose(m)]
        out = []
        for name in dict.fromkeys(m.stage for m in stages):
            rows = [m for m in stages if m.stage == name]
            if len(rows) > 1:
                low, middle, high = (tuple(m.percentile(p) / by(m) for m in rows) for p in (5, 50, 95))
                out.append(Series(name, tuple(float(m.amount) for m in rows), middle, low, high))
        return tuple(out)

    def network(m: Measured) -> bool:
        return m.operations is not None and not tuned(m)

    def amount(m: Measured) -> float:
        return float(m.amount)

    def tuned(m: Measured) -> bool:
        return m.stage.startswith("personalize")

    plots = (
        Plot("Networks by batch size", "pictures in a batch", "ms per picture", series("batch", amount, network)),
        Plot("Personalizing by batch size", "pictures in a batch", "ms per picture", series("batch", amount, tuned)),
        Plot("Drawing by resolution", "pixels a side", "ms", series("pixels", lambda m: 1.0, lambda m: ":" not in m.stage)),
        Plot("Edits by number of steps", "denoising steps", "seconds", series("steps", lambda m: 1000.0, lambda m: True)),
    )
    return tuple(plot for plot in plots if plot.series)


def summary(benchmark: Benchmark) -> str:
    """The times that a user asks for first; before them, whether they can be believed."""
    out = []
    cores, load = float(benchmark.machine["cores"]), float(benchmark.settings["load before"])
    if load > BUSY * cores:
        out.append(f"Other programs were running at the start (cores: {cores:g}, load: {load:g}): times are too long, and spread.")
    if (steady := float(benchmark.settings["steadiness"])) < STEADY:
        out.append(
            f"The machine's own best speed was at one end of the run {steady:.2f} of what it was at the other: stages measured at different times "
            "cannot be compared with each other."
        )
    said = []
    for stage, amount, words in (("read", None, "reading a photo"), ("preview", 256, "a preview at 256 px")):
        if (m := benchmark.find(stage, amount)) is not None:
            said.append(f"{words} takes {seconds_text(m.median)}")
    edits = [m for m in benchmark.stages if m.kind == "steps"]
    said += [f"an {m.stage} ({size_text(m)}) {seconds_text(m.median)}" for m in edits[-2:]]
    if (m := benchmark.find("personalize: iteration", 4)) is not None:
        said.append(f"an iteration of personalizing (batch 4) {seconds_text(m.median)}")
    one, many = benchmark.find("edit, one after the other"), benchmark.find("edit_many")
    if one is not None and many is not None:
        said.append(f"{many.amount} edits as one batch {many.median / one.median:.2f} of the time of as many edits one after the other")
    said += [
        f"`discontrolface {m.stage.removeprefix(COLD)}` from its start {seconds_text(m.median)}"
        for m in benchmark.stages
        if m.stage.startswith(COLD)
    ]
    if said:
        out.append(f"{benchmark.machine['processor']}, threads: {benchmark.machine['threads']}, device: {benchmark.machine['device']}.")
        words = ", ".join(said)
        out.append(words[0].upper() + words[1:] + ".")
    return "\n\n".join(out)


def seconds_text(ms: float) -> str:
    """35 ms, 2.4 s."""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


# ---- compared with an earlier run


def time_verdict(before: Measured, now: Measured) -> str:
    """Beyond noise: each median lies outside the other's 5th to 95th percentile. Then `slower` or `faster`."""
    if now.median > before.percentile(95) and before.median < now.percentile(5):
        return "slower"
    if now.median < before.percentile(5) and before.median > now.percentile(95):
        return "faster"
    return WITHIN_NOISE


def memory_verdict(before: float | None, now: float | None) -> str:
    """`more` or `less` memory, or nothing to say."""
    if before is None or now is None or abs(now - before) <= max(MEMORY_NOISE[0] * before, MEMORY_NOISE[1]):
        return ""
    return "more memory" if now > before else "less memory"


def compare_row(before: Measured, now: Measured) -> tuple[Cell, ...]:
    """A line of the comparison."""
    memory = None if before.memory is None or now.memory is None or before.memory <= 0 else now.memory / before.memory
    verdict = ", ".join(filter(None, (time_verdict(before, now), memory_verdict(before.memory, now.memory))))
    return now.stage, size_text(now), before.median, now.median, now.median / before.median, memory, verdict


def changed_settings(before: Benchmark, now: Benchmark) -> list[str]:
    """What else differs between two runs: `threads 1, now 2`."""
    old, new = before.machine | before.settings, now.machine | now.settings
    names = [name for name in dict.fromkeys([*old, *new]) if name not in ("load before", "steadiness")]
    return [f"{name} {old.get(name, '?')}, now {new.get(name, '?')}" for name in names if old.get(name) != new.get(name)]


def comparison(before: Benchmark, now: Benchmark, name: str) -> Section:
    """Every stage that both have, as ratios; what differs beyond noise is said first."""
    old = {m.key: m for m in before.stages}
    both = [(old[m.key], m) for m in now.stages if m.key in old]
    rows = tuple(compare_row(a, b) for a, b in both)
    marked = [
        f"{' '.join(filter(None, (b.stage, size_text(b))))} {verdict} ({b.median / a.median:.2f})"
        for a, b in both
        if (verdict := time_verdict(a, b)) != WITHIN_NOISE
    ]
    text = [f"Beyond noise: {'; '.join(marked)}." if marked else "No stage differs beyond noise."]
    speeds = now.best_speed / before.best_speed
    text.append(f"The machine's own best speed is {speeds:.2f} of what it was; times of the networks follow it.")
    if changes := changed_settings(before, now):
        text.append(f"The runs differ in more than the code: {'; '.join(changes)}.")
    only = [
        *missing_text("only before", old, {m.key for m in now.stages}),
        *missing_text("only now", {m.key: m for m in now.stages}, set(old)),
    ]
    note = (
        "Beyond noise: each median lies outside the other's 5th to 95th percentile. Memory: a change of more than 10 % and 5 MB is named."
    )
    columns = ("stage", "size", "before, ms", "now, ms", "time ratio", "memory ratio", "verdict")
    return Section(f"Compared with {name}", "\n\n".join(text + only), (Table("Now over before", columns, rows, note, digits=2),))


def missing_text(words: str, stages: dict[tuple[str, str, int], Measured], others: set[tuple[str, str, int]]) -> list[str]:
    """Stages that one of the runs does not have."""
    names = [f"{m.stage} {size_text(m)}".strip() for key, m in stages.items() if key not in others]
    return [f"Measured {words}: {', '.join(names)}."] if names else []


def benchmark_report(benchmark: Benchmark, others: Sequence[tuple[str, Benchmark]] = ()) -> Report:
    """The report; others: earlier runs by name, to compare with."""
    settings = benchmark.machine | benchmark.settings
    sections = [comparison(before, benchmark, name) for name, before in others]
    if plots := scaling_plots(benchmark):
        sections.append(Section("Scaling", "Bands: 5th to 95th percentile of the runs.", plots=plots))
    sections.append(Section("Stages", "", (*stage_tables(benchmark), peak_table(benchmark))))
    return Report("Benchmark", summary(benchmark), tuple(sections), settings, benchmark.missing)
