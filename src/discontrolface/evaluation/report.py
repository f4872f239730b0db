"""The figures of an evaluation (run.py) as a report: tables of methods with intervals, what fell short first, what was not measured and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.statistics import LEVEL, Estimate, bootstrap_mean
from discontrolface.evaluation.metrics import METRICS, PERSON, READ, STAYS, TRUTH
from discontrolface.evaluation.trials import PAIRS, PHOTOS
from discontrolface.reports.content import Picture, Report, Section, Table

NOT_MEASURED = "not measured"
WEIGHTS = f"{NOT_MEASURED}: weights missing"
WHY: Mapping[str, str] = {
    "lpips": WEIGHTS,
    "arcface": WEIGHTS,
    "identity": f"{NOT_MEASURED}: the extra 'eval' is not installed",
    "ms_ssim": f"{NOT_MEASURED}: crops smaller than 176 pixels",
}
SETS = {"fid": "FID", "kid": "KID"}
COMPARED = ("mse", "psnr", "ssim", "hidden_mse", "head", "expression", "landmarks", "identity")  # with the mesh warp, in the summary
Edits = Sequence[Mapping[str, Any]]

READ_WITH_TRUTH = (
    "Each picture is read again by the same reader as the true picture; the figure is the distance of the two readings. "
    "The reader's own faults are in both."
)
READ_WITHOUT_TRUTH = (
    "Each picture is read again; the figure is the distance to what was read in the source, changed as the parameters were changed. There is no true "
    "picture: the reader damps strong expressions, and that counts against a perfect edit too. The row of the unedited photo says how much was asked."
)


def values_of(edits: Edits, method: str, metric: str) -> list[float | None]:
    """A figure of a method, edit by edit; None where it was not measured."""
    return [edit["methods"][method].get(metric) for edit in edits]


def estimate_of(edits: Edits, method: str, metric: str) -> Estimate:
    """The mean over the edits with its interval, or why there is none."""
    figure = bootstrap_mean(values_of(edits, method, metric))
    if figure.value is None:
        missing = all("missing" in edit["methods"][method] for edit in edits)
        return Estimate(None, missing="no pictures" if missing else WHY.get(metric, NOT_MEASURED))
    return figure


def groups_of(result: Mapping[str, Any]) -> dict[str, Edits]:
    """All edits, and those of one and of several kinds where there are both."""
    edits = result["edits"]
    single, combined = [e for e in edits if len(e["kinds"]) <= 1], [e for e in edits if len(e["kinds"]) > 1]
    return {"all edits": edits, **({"single edits": single, "combined edits": combined} if single and combined else {})}


def table_of(result: Mapping[str, Any], title: str, edits: Edits, metrics: Sequence[str]) -> Table:
    """Methods in rows, figures in columns."""
    rows = tuple((label, *(estimate_of(edits, name, m) for m in metrics)) for name, label in result["labels"].items())
    columns = ("method", *(f"{METRICS[m].label} {'↓' if METRICS[m].less else '↑'}" for m in metrics))
    return Table(f"{title} ({len(edits)})", columns, rows)


def units(metrics: Sequence[str]) -> str:
    """What the columns mean."""
    told = [f"{METRICS[m].label}: {METRICS[m].unit}" for m in metrics if METRICS[m].unit]
    return "; ".join(told) + "." if told else ""


def section_of(result: Mapping[str, Any], name: str, words: str, leave_out: Sequence[str] = ()) -> Section:
    """One section of METRICS, for each group of edits."""
    metrics = [m for m, metric in METRICS.items() if metric.section == name and m not in leave_out]
    tables = tuple(table_of(result, f"{name}, {title}", edits, metrics) for title, edits in groups_of(result).items())
    return Section(name, "\n\n".join(filter(None, (words, units(metrics)))), tables)


def compare(result: Mapping[str, Any], name: str, metric: str) -> Estimate:
    """A method's figure less the mesh warp's, edit by edit: what the edits have in common does not widen the interval."""
    pairs = zip(values_of(result["edits"], name, metric), values_of(result["edits"], "warp", metric), strict=True)
    return bootstrap_mean([None if a is None or b is None else a - b for a, b in pairs])


def is_worse(metric: str, difference: Estimate) -> bool:
    """Beyond what chance explains: the interval does not hold 0."""
    if difference.low is None or difference.high is None:
        return False
    return difference.low > 0 if METRICS[metric].less else difference.high < 0


def shortcomings(result: Mapping[str, Any]) -> Section | None:
    """Each method beside the mesh warp, which needs no network; None without it, or without another method."""
    others = [name for name in result["labels"] if name not in ("photo", "warp")]
    compared = [m for m in COMPARED if m in measured(result)]
    if "warp" not in result["labels"] or not others or not compared:
        return None
    found = {name: {m: compare(result, name, m) for m in compared} for name in others}
    said = []
    for name, figures in found.items():
        worse = [METRICS[m].label for m in compared if is_worse(m, figures[m])]
        said.append(
            f"{result['labels'][name]}: "
            + (f"worse than the mesh warp in {', '.join(worse)}." if worse else "nowhere worse than the mesh warp.")
        )
    columns = ("method", *(f"{METRICS[m].label} {'↓' if METRICS[m].less else '↑'}" for m in compared))
    rows = tuple((result["labels"][name], *(figures[m] for m in compared)) for name, figures in found.items())
    note = "Positive is more. Worse: the interval does not hold 0. Edits that lack either picture or reading are left out."
    return Section("What fell short", "\n\n".join(said), (Table("Differences to the mesh warp, edit by edit", columns, rows, note),))


def measured(result: Mapping[str, Any]) -> set[str]:
    """The figures that any method has."""
    return {m for edit in result["edits"] for line in edit["methods"].values() for m, value in line.items() if value is not None}


def counts_table(result: Mapping[str, Any]) -> Table:
    """How many pictures there are of each method, and in how many a face was found."""
    rows = []
    for name, label in result["labels"].items():
        lines = [edit["methods"][name] for edit in result["edits"]]
        missing = sum("missing" in line for line in lines)
        lost = sum(line.get("found") == 0 for line in lines)
        unread = sum("missing" not in line and line.get("found") is None for line in lines)
        rows.append((label, len(lines), missing, lost, unread))
    columns = ("method", "edits", "no picture", "no face found in it", "no face found in the source or the truth")
    return Table(
        "Pictures", columns, tuple(rows), "What is missing is in none of the means; a method that leaves out the hard edits looks better."
    )


def set_table(result: Mapping[str, Any]) -> Table:
    """FID and KID."""
    rows = []
    for name, label in result["labels"].items():
        found = result["sets"].get(name)
        given = "inception" in result["settings"]
        figures = [Estimate(**found[k]) if found else Estimate(None, missing="no pictures" if given else WEIGHTS) for k in SETS]
        rows.append((label, *figures))
    return Table("Sets of pictures", ("method", *(f"{label} ↓" for label in SETS.values())), tuple(rows))


def not_measured(result: Mapping[str, Any]) -> list[str]:
    """Sentences: each figure that no method has, and why."""
    applicable = [
        m
        for m, metric in METRICS.items()
        if (metric.section != TRUTH or result["kind"] == PAIRS) and (m != "outside" or result["kind"] == PHOTOS)
    ]
    said = [f"{METRICS[m].label}: {WHY.get(m, NOT_MEASURED)}" for m in applicable if m not in measured(result)]
    if not result["sets"]:
        said.append(f"FID, KID: {WEIGHTS}")
    return said


def evaluation_report(result: Mapping[str, Any], sheet: NDArray[np.uint8] | None = None) -> Report:
    """The content of OUT.json (`run.evaluate`) as a report. sheet: the picture of the first edits."""
    kind, edits = result["kind"], result["edits"]
    short, missing = shortcomings(result), not_measured(result)
    summary = [
        f"{len(edits)} edits of {kind}, {len(result['labels'])} methods. Means with {100 * LEVEL:g} % bootstrap intervals over the edits."
    ]
    summary += [short.text] if short is not None else []
    summary += ["Not measured: " + "; ".join(missing) + "."] if missing else []
    sections = [] if short is None else [short]
    if kind == PAIRS:
        words = (
            "Drawn people under two sets of face parameters: the second picture is the right answer. Hidden: what the source did not show."
        )
        sections.append(section_of(result, TRUTH, words))
    sections.append(section_of(result, READ, READ_WITH_TRUTH if kind == PAIRS else READ_WITHOUT_TRUTH))
    sections.append(section_of(result, PERSON, "The embedding of each picture's face beside the source's, without jitter."))
    words = (
        "Pixels that no edit concerns. Beyond the mask of an edited photo nothing may change; pictures are pasted back as `edit` does it."
    )
    sections.append(section_of(result, STAYS, words, () if kind == PHOTOS else ("outside",)))
    reference = "the true pictures" if kind == PAIRS else "the sources, which are no edits: a distance is partly the edit itself"
    words = f"Distances of each method's pictures from {reference}. FID is high for few pictures; KID is meant for few."
    sections.append(Section("As sets", words, (set_table(result),)))
    reasons = Counter(line["left_out"] for line in result["left_out"])
    left = tuple((reason, count) for reason, count in reasons.most_common())
    tables = (counts_table(result), *((Table("Edits left out", ("why", "edits"), left),) if left else ()))
    sections.append(Section("What is counted", "", tables))
    if sheet is not None:
        sections.append(Section("The first edits", "", pictures=(Picture("Source, truth where it is known, and every method", sheet),)))
    return Report(f"Evaluation: {kind}", "\n\n".join(summary), tuple(sections), dict(result["settings"]))
