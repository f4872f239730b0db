"""What came out of an ablation: tables of means, of paired differences, of the paper's statements, and a sentence. All computed from the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from discontrolface.common.statistics import Estimate, bootstrap_mean, paired_difference
from discontrolface.diffusion.settings import Sampling
from discontrolface.evaluation.ablations import LEGEND, MEASURES, Claim, Comparison, Experiment
from discontrolface.reports.content import Cell, IntervalPlot, Picture, Plot, Section, Series, Table

ENOUGH = 8  # pairs; with fewer an interval says little, and nothing is concluded

Values = list[float | None]


def columns_of(experiment: Experiment, items: Mapping[str, Any], task: str) -> dict[str, dict[str, Values]]:
    """{variant: {metric: one value per item of this task that has every variant}}."""
    names = [v.name for v in experiment.variants]
    whole = [entry["variants"] for entry in items.values() if entry["task"] == task and all(n in entry["variants"] for n in names)]
    metrics = [f for f in MEASURES if any(f in made[n] for made in whole for n in names)]
    return {n: {f: [made[n].get(f) for made in whole] for f in metrics} for n in names}


def difference(columns: Mapping[str, Mapping[str, Values]], metric: str, variant: str, against: str) -> Estimate:
    """The paired difference of a metric."""
    return paired_difference(columns[variant].get(metric, []), columns[against].get(metric, []))


def direction(gap: Estimate) -> int:
    """+1 or -1 if the whole interval of a difference lies on that side of 0, else 0; 0 also for fewer than ENOUGH items."""
    if gap.count < ENOUGH or gap.low is None or gap.high is None:
        return 0
    return 1 if gap.low > 0 else -1 if gap.high < 0 else 0


def verdict(gaps: Sequence[Estimate], comparisons: Sequence[Comparison]) -> str:
    """Whether all of the comparisons hold, from their paired differences (variant - against)."""
    if any(gap.count < ENOUGH for gap in gaps):
        return f"not decided (fewer than {ENOUGH} items)"
    agrees = [direction(gap) * (1 if c.more else -1) for gap, c in zip(gaps, comparisons, strict=True)]
    if all(a > 0 for a in agrees):
        return "agrees"
    if any(a < 0 for a in agrees):
        return "contradicts"
    return "agrees in part" if any(agrees) else "not decided"


def scaled(estimate: Estimate, kind: str) -> Estimate:
    """In the unit of the table."""
    by = MEASURES[kind].scale
    values = {k: None if v is None else v * by for k, v in (("value", estimate.value), ("low", estimate.low), ("high", estimate.high))}
    return Estimate(**values, count=estimate.count, missing=estimate.missing)


def ranked(experiment: Experiment, columns: Mapping[str, Mapping[str, Values]]) -> list[str]:
    """Variants, the best mean of the experiment's main metric first; those without one last."""
    means = {name: bootstrap_mean(values.get(experiment.main, [])).value for name, values in columns.items()}
    sign = -MEASURES[experiment.main].better
    return sorted(columns, key=lambda name: (means[name] is None, sign * (means[name] or 0.0)))


def mean_table(experiment: Experiment, columns: Mapping[str, Mapping[str, Values]], task: str) -> Table:
    """Ranked means with intervals."""
    shown = [f for f in experiment.figures if any(v is not None for values in columns.values() for v in values.get(f, []))]
    rows: list[tuple[Cell, ...]] = []
    for place, name in enumerate(ranked(experiment, columns), 1):
        rows.append((name, place, *(scaled(bootstrap_mean(columns[name].get(f, [])), f) for f in shown)))
    count = max((len(v) for values in columns.values() for v in values.values()), default=0)
    what = "photos' edits" if experiment.on_photos else "pairs"
    return Table(f"{task.capitalize()} ({count} {what})", ("", "rank", *(MEASURES[f].label for f in shown)), tuple(rows), digits=3)


def difference_table(experiment: Experiment, columns: Mapping[str, Mapping[str, Values]], task: str) -> Table:
    """Every variant minus the reference, item by item."""
    metrics = (
        ("detail",)
        if experiment.main == "detail" and task == "reconstruction"
        else ("mse", "hidden_mse", "off_face", "landmarks", "control")
    )
    shown = [f for f in metrics if f in experiment.figures and any(v is not None for v in columns[experiment.reference].get(f, []))]
    rows: list[tuple[Cell, ...]] = []
    for name in ranked(experiment, columns):
        if name == experiment.reference:
            continue
        gaps = {f: difference(columns, f, name, experiment.reference) for f in shown}
        rows.append(
            (
                name,
                *(scaled(gap, f) for f, gap in gaps.items()),
                word(gaps[experiment.main], experiment.main) if experiment.main in gaps else "",
            )
        )
    title = f"{task.capitalize()}: difference to `{experiment.reference}`, item by item"
    return Table(title, ("", *(MEASURES[f].label for f in shown), MEASURES[experiment.main].label + " is"), tuple(rows), digits=4)


def word(gap: Estimate, metric: str) -> str:
    """better, worse, or why neither can be said."""
    if gap.count < ENOUGH:
        return f"undecided: {gap.count} item{'s' if gap.count != 1 else ''}"
    return {1: "better", -1: "worse", 0: "not distinguishable"}[direction(gap) * MEASURES[metric].better]


def claim_gaps(claim: Claim, columns: Mapping[str, Mapping[str, Mapping[str, Values]]]) -> list[Estimate]:
    """The paired difference of each of a claim's comparisons. columns: by task."""
    return [difference(columns[c.task], c.figure, c.variant, c.against) for c in claim.comparisons]


def claim_table(claims: Sequence[Claim], columns: Mapping[str, Mapping[str, Mapping[str, Values]]]) -> Table:
    """The paper's statements against what was measured."""
    rows: list[tuple[Cell, ...]] = []
    for claim in claims:
        gaps = claim_gaps(claim, columns)
        for k, (c, gap) in enumerate(zip(claim.comparisons, gaps, strict=True)):
            condition = f"{MEASURES[c.figure].label}, {c.task}: {c.variant} {'more' if c.more else 'less'} than {c.against}"
            rows.append(
                (claim.text if k == 0 else "", verdict(gaps, claim.comparisons) if k == 0 else "", condition, scaled(gap, c.figure))
            )
    note = (
        "Computed: `agrees` if the 95 % interval of every paired difference lies on the side that the statement wants, `contradicts` if one lies "
        "on the other side, `agrees in part` if some agree and none contradicts. Intervals are not corrected for their number."
    )
    return Table("The paper's statements", ("the paper", "our finding", "holds if", "measured difference"), tuple(rows), note, 4)


def finding(experiment: Experiment, columns: Mapping[str, Mapping[str, Mapping[str, Values]]]) -> str:
    """The result in words: what is worse, what is better, what cannot be told apart, and what the paper's statements are worth here."""
    task = experiment.tasks[0] if experiment.main == "detail" else experiment.tasks[-1]
    of = columns[task]
    groups: dict[str, list[str]] = {"worse": [], "better": [], "not distinguishable": []}
    count, largest = 0, 0.0
    for name in ranked(experiment, of):
        if name == experiment.reference:
            continue
        gap = difference(of, experiment.main, name, experiment.reference)
        count, largest = gap.count, max(largest, abs(gap.value or 0.0))
        groups.setdefault(word(gap, experiment.main), []).append(name)
    if count < ENOUGH:
        return f"{count or 'No'} item{'s' if count != 1 else ''}: too few to conclude anything; the command works."
    groups_text = "; ".join(f"{what}: {', '.join(f'`{n}`' for n in names)}" for what, names in groups.items() if names)
    parts = [
        f"{task.capitalize()}, {MEASURES[experiment.main].label}, against `{experiment.reference}` "
        f"({count} items, 95 % paired intervals): {groups_text}."
    ]
    if usual := bootstrap_mean(of[experiment.reference][experiment.main]).value:
        share = largest / abs(usual)
        how_large = f"{100 * share:.1f} % of" if share < 1 else f"{share:.1f} times"
        parts.append(f"The largest difference is {how_large} the {MEASURES[experiment.main].label} of `{experiment.reference}`.")
    if experiment.claims:
        verdicts = [f"{c.text}: {verdict(claim_gaps(c, columns), c.comparisons)}" for c in experiment.claims]
        parts.append(f"The paper's statements: {'; '.join(verdicts)}.")
    return " ".join(parts)


def plot_of(experiment: Experiment, columns: Mapping[str, Mapping[str, Values]], task: str) -> Plot:
    """The main metric over the experiment's axis, one line per solver."""
    lines: dict[str, list[tuple[float, Estimate]]] = {}
    for v in experiment.variants:
        sampling = v.sampled(Sampling())
        x = v.iterations if experiment.axis == "iterations" else sampling.steps
        lines.setdefault(sampling.solver, []).append(
            (float(x), scaled(bootstrap_mean(columns[v.name].get(experiment.main, [])), experiment.main))
        )
    series = []
    for name, points in lines.items():
        points = sorted((p for p in points if p[1].value is not None), key=lambda p: p[0])
        band = all(f.low is not None and f.high is not None for _, f in points)
        low, high = (tuple(f.low or 0.0 for _, f in points), tuple(f.high or 0.0 for _, f in points)) if band else ((), ())
        series.append(Series(name, tuple(x for x, _ in points), tuple(f.value or 0.0 for _, f in points), low, high))
    return Plot(
        f"{task.capitalize()}: {MEASURES[experiment.main].label} over {experiment.axis}",
        experiment.axis,
        MEASURES[experiment.main].label,
        tuple(series),
    )


def by_task(experiment: Experiment, items: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Values]]]:
    """`columns_of` for every task."""
    return {task: columns_of(experiment, items, task) for task in experiment.tasks}


def summary_of(experiment: Experiment, items: Mapping[str, Any]) -> dict[str, Any]:
    """Means, differences and verdicts as JSON, in the record's own units."""
    columns = by_task(experiment, items)

    def means(of: Mapping[str, Mapping[str, Values]]) -> dict[str, Any]:
        return {name: {f: asdict(bootstrap_mean(v)) for f, v in values.items()} for name, values in of.items()}

    def gaps(of: Mapping[str, Mapping[str, Values]]) -> dict[str, Any]:
        others = [name for name in of if name != experiment.reference]
        return {name: {f: asdict(difference(of, f, name, experiment.reference)) for f in of[name]} for name in others}

    return {
        "finding": finding(experiment, columns),
        "means": {task: means(of) for task, of in columns.items()},
        f"differences to {experiment.reference}": {task: gaps(of) for task, of in columns.items()},
        "statements": {c.text: verdict(claim_gaps(c, columns), c.comparisons) for c in experiment.claims},
    }


def section_of(experiment: Experiment, record: Mapping[str, Any], picture: Picture | None) -> Section:
    """The ablation as a section of a report."""
    columns = by_task(experiment, record["items"])
    settings = record["settings"]
    how = f"Weights {settings['weights']} ({settings['preset']} preset), {settings['steps']} steps from noise where nothing else is said. "
    text = "\n\n".join(part for part in (finding(experiment, columns), experiment.question, experiment.note, how + LEGEND) if part)
    gaps = {task: difference_table(experiment, columns[task], task) for task in experiment.tasks}
    tables = [table for task in reversed(experiment.tasks) for table in (mean_table(experiment, columns[task], task), gaps[task])]
    if experiment.claims:
        tables.insert(0, claim_table(experiment.claims, columns))
    last = experiment.tasks[-1]
    plots: list[Plot | IntervalPlot] = [plot_of(experiment, columns[last], last)] if experiment.axis else []
    plots += [IntervalPlot(gaps[last], 0.0)]
    return Section(experiment.title, text, tuple(tables), () if picture is None else (picture,), tuple(plots))
