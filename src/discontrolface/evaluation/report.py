"""An evaluation (run.py) as a report: tables of methods with intervals, what fell short first, what was not measured and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.statistics import LEVEL, Estimate, bootstrap_mean, paired_difference
from discontrolface.evaluation.costs import cost_table
from discontrolface.evaluation.group_tables import EDIT, group_section, people_of, values_of_group
from discontrolface.evaluation.metrics import METRICS, PERSON, READ, STAYS, TRUTH
from discontrolface.evaluation.trials import PAIRS, PHOTOS, REAL, RETURN, WITH_TRUTH
from discontrolface.reports.content import IntervalPlot, Picture, Report, Section, Table

WEIGHTS, NEVER, NO_PICTURES = "weights missing", "not possible in any of the edits", "no pictures"
NO_DLIB = "the extra 'eval' is not installed"
WHY: Mapping[str, str] = {
    "lpips": WEIGHTS,
    "arcface": WEIGHTS,
    "arcface_truth": WEIGHTS,
    "identity": NO_DLIB,
    "identity_truth": NO_DLIB,
    "ms_ssim": "crops smaller than 176 pixels",
}
SETS = {"fid": "FID", "kid": "KID"}
# with the mesh warp, in the summary: of drawn pairs and photos, of real pairs and return pairs
COMPARED = ("mse", "psnr", "ssim", "hidden_mse", "head", "expression", "landmarks", "identity")
COMPARED_REAL = ("psnr", "hidden_psnr", "ssim", "mask_mse", "identity_truth", "head", "blendshapes", "smile", "landmarks")
TRUTH_WORDS: Mapping[str, str] = {
    PAIRS: "Drawn people under two sets of face parameters: the second picture is the right answer. Hidden: what the source did not show.",
    REAL: (
        "Two photos of one person in the same light: the second, moved into the source's crop by one similarity, is the right answer. It is not "
        "laid on any result, so readings that differ by a pixel or two count against every method; clothes and background, which no edit moves, "
        "count too. Hidden: what the source did not show."
    ),
    RETURN: (
        "The source is a warp of a photo to a random look, the edit leads back, and the photo itself is the right answer. "
        "Hidden: what the source did not show."
    ),
}
Edits = Sequence[Mapping[str, Any]]

READ_WITH_TRUTH = (
    "Each picture is read again by the same reader as the true picture; the estimate is the distance of the two readings. "
    "The reader's own faults are in both."
)
STAYS_WORDS = (
    "Pixels that no edit concerns. Beyond the mask of an edited photo nothing may change; pictures are pasted back as `edit` does it."
)
SHEET = "Source, truth where it is known, and every method"
READ_WITHOUT_TRUTH = (
    "Each picture is read again; the estimate is the distance to what was read in the source, changed as the parameters were changed. "
    "There is no true picture: the reader damps strong expressions, and that counts against a perfect edit too. "
    "The row of the unedited photo says how much was asked."
)


def values_of(edits: Edits, method: str, metric: str) -> list[float | None]:
    """A metric of a method, edit by edit; None where it was not measured."""
    return [edit["methods"][method].get(metric) for edit in edits]


def estimate_of(edits: Edits, method: str, metric: str) -> Estimate:
    """The mean over the edits with its interval, or why there is none."""
    estimate = bootstrap_mean(values_of(edits, method, metric), clusters=people_of(edits))
    if estimate.value is None:
        return Estimate(None, missing=NO_PICTURES if all("missing" in edit["methods"][method] for edit in edits) else NEVER)
    return estimate


def groups_of(result: Mapping[str, Any]) -> dict[str, Edits]:
    """All edits, and apart what the people's table says of them, or those of one and of several kinds where there are both."""
    edits = result["edits"]
    if any(EDIT in edit.get("groups", {}) for edit in edits):
        return {"all edits": edits, **values_of_group(edits, EDIT)}
    single, combined = [e for e in edits if len(e["kinds"]) <= 1], [e for e in edits if len(e["kinds"]) > 1]
    return {"all edits": edits, **({"single edits": single, "combined edits": combined} if single and combined else {})}


def heading(metric: str) -> str:
    """A metric's name and whether less or more of it is better."""
    return f"{METRICS[metric].label} {'↓' if METRICS[metric].less else '↑'}"


def table_of(result: Mapping[str, Any], title: str, edits: Edits, metrics: Sequence[str]) -> Table:
    """Methods in rows, metrics in columns."""
    rows = tuple((label, *(estimate_of(edits, name, m) for m in metrics)) for name, label in result["labels"].items())
    return Table(f"{title} ({len(edits)})", ("method", *map(heading, metrics)), rows)


def units(metrics: Sequence[str]) -> str:
    """What the columns mean."""
    parts = [f"{METRICS[m].label}: {METRICS[m].unit}" for m in metrics if METRICS[m].unit]
    return "; ".join(parts) + "." if parts else ""


def section_of(result: Mapping[str, Any], name: str, words: str) -> Section | None:
    """One section of METRICS, for each group of edits; None where none of its metrics was measured."""
    metrics = [m for m in applicable(result) if METRICS[m].section == name and m in measured(result)]
    if not metrics:
        return None
    tables = tuple(table_of(result, f"{name}, {title}", edits, metrics) for title, edits in groups_of(result).items())
    return Section(name, "\n\n".join(filter(None, (words, units(metrics)))), tables)


def compare(result: Mapping[str, Any], name: str, metric: str) -> Estimate:
    """A method less the mesh warp, edit by edit."""
    edits = result["edits"]
    return paired_difference(values_of(edits, name, metric), values_of(edits, "warp", metric), clusters=people_of(edits))


def is_worse(metric: str, difference: Estimate) -> bool:
    """Beyond what chance explains: the interval does not hold 0."""
    if difference.low is None or difference.high is None:
        return False
    return difference.low > 0 if METRICS[metric].less else difference.high < 0


def shortcomings(result: Mapping[str, Any]) -> Section | None:
    """Each method beside the mesh warp, which needs no network; None without it, or without another method."""
    others = [name for name in result["labels"] if name not in ("photo", "warp")]
    compared = [m for m in (COMPARED_REAL if result["kind"] in (REAL, RETURN) else COMPARED) if m in measured(result)]
    if "warp" not in result["labels"] or not others or not compared:
        return None
    gaps = {name: {m: compare(result, name, m) for m in compared} for name in others}
    sentences = []
    for name, estimates in gaps.items():
        worse = [METRICS[m].label for m in compared if is_worse(m, estimates[m])]
        verdict = f"worse than the mesh warp in {', '.join(worse)}" if worse else "nowhere worse than the mesh warp"
        sentences.append(f"{result['labels'][name]}: {verdict}.")
    note = "Positive is more. Worse: the interval does not hold 0. Edits that lack either picture or reading are left out."
    rows = tuple((result["labels"][name], *estimates.values()) for name, estimates in gaps.items())
    table = Table("Differences to the mesh warp, edit by edit", ("method", *map(heading, compared)), rows, note)
    return Section("What fell short", "\n\n".join(sentences), (table,), plots=(IntervalPlot(table, 0.0),))


def measured(result: Mapping[str, Any]) -> set[str]:
    """The metrics that any method has."""
    return {m for edit in result["edits"] for line in edit["methods"].values() for m, value in line.items() if value is not None}


def counts_table(result: Mapping[str, Any]) -> Table:
    """How many pictures there are of each method, and in how many a face was found."""
    rows: list[tuple[str | int, ...]] = []
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
        distances = result["sets"].get(name)
        rows.append((label, *(Estimate(**distances[kind]) if distances else Estimate(None, missing=NO_PICTURES) for kind in SETS)))
    return Table("Sets of pictures", ("method", *(f"{label} ↓" for label in SETS.values())), tuple(rows))


def applicable(result: Mapping[str, Any]) -> list[str]:
    """The metrics that edits of this kind have: a true picture is known of pairs, a photo around the crop of photos."""
    truth, photo = result["kind"] in WITH_TRUTH, result["kind"] in (PHOTOS, REAL)
    return [m for m, metric in METRICS.items() if (metric.section != TRUTH or truth) and (m != "outside" or photo)]


def not_measured(result: Mapping[str, Any]) -> tuple[str, ...]:
    """A line for each reason why metrics were measured for no method: each metric is named once."""
    reasons: dict[str, list[str]] = {}
    for metric in applicable(result):
        if metric not in measured(result):
            reasons.setdefault(WHY.get(metric, NEVER), []).append(METRICS[metric].label)
    if not result["sets"]:
        reasons.setdefault(WEIGHTS, []).extend(SETS.values())
    return tuple(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())


def evaluation_report(result: Mapping[str, Any], sheet: NDArray[np.uint8] | None = None) -> Report:
    """The content of OUT.json (`run.evaluate`) as a report. sheet: the picture of the first edits."""
    kind, edits, short = result["kind"], result["edits"], shortcomings(result)
    people = people_of(edits)
    over = "the edits" if people is None else f"the people ({len(set(people))})"
    count = f"{len(edits)} edits of {kind}, {len(result['labels'])} methods. Means with {100 * LEVEL:g} % bootstrap intervals over {over}."
    pictures = () if sheet is None else (Picture(SHEET, sheet),)
    reference = "the true pictures" if kind in WITH_TRUTH else "the sources, which are no edits: a distance is partly the edit itself"
    sets = f"Distances of each method's pictures from {reference}. FID is high for few pictures; KID is meant for few."
    reasons = Counter(line["left_out"] for line in result["left_out"])
    left = (Table("Edits left out", ("why", "edits"), tuple(reasons.most_common())),) if reasons else ()
    sections: list[Section | None] = [
        Section("The first edits", "", pictures=pictures) if short is None and pictures else None,
        section_of(result, TRUTH, TRUTH_WORDS.get(kind, "")),
        group_section(result, measured(result)),
        section_of(result, READ, READ_WITH_TRUTH if kind in WITH_TRUTH else READ_WITHOUT_TRUTH),
        section_of(result, PERSON, "The embedding of each picture's face beside the source's, without jitter."),
        section_of(result, STAYS, STAYS_WORDS),
        Section("As sets", sets, (set_table(result),)) if result["sets"] else None,
        Section("Cost", "", (cost_table(result),)) if result.get("costs") else None,  # results of before have none
        Section("What is counted", "", (counts_table(result), *left)),
    ]
    summary = count
    if short is not None:  # the summary says it in words
        summary = f"{count}\n\n{short.text}"
        sections.insert(0, replace(short, text="", pictures=pictures))
    return Report(f"Evaluation: {kind}", summary, tuple(filter(None, sections)), dict(result["settings"]), not_measured(result))
