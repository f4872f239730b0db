"""Figures by group of people: what an average hides. The groups are few people each, and their intervals are over these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from discontrolface.common.statistics import Estimate, bootstrap_mean
from discontrolface.evaluation.metrics import METRICS
from discontrolface.reports.content import Section, Table

EDIT: Final = "edit"  # the group that says what is edited; it has tables of its own
SHOWN: Final = ("psnr", "hidden_psnr", "ssim", "mask_mse", "identity_truth", "blendshapes")
WORDS = (
    "The same edits by what is known of the people. A group of few people says little about all who belong to it: look at how wide the "
    "intervals are, and at the unedited photo, which says how much was asked of the group."
)
Edits = Sequence[Mapping[str, Any]]


def people_of(edits: Edits) -> list[str] | None:
    """Whose each edit is, for the bootstrap; None where every edit is another person's."""
    return [edit["person"] for edit in edits] if edits and all("person" in edit for edit in edits) else None


def estimate(edits: Edits, method: str, metric: str) -> Estimate:
    """The mean over the edits, its interval over the people."""
    return bootstrap_mean([edit["methods"][method].get(metric) for edit in edits], clusters=people_of(edits))


def values_of_group(edits: Edits, what: str) -> dict[str, Edits]:
    """{group: its edits}, sorted; edits of people of whom it is not known are in "not said"."""
    out: dict[str, list[Mapping[str, Any]]] = {}
    for edit in edits:
        out.setdefault(edit.get("groups", {}).get(what, "not said"), []).append(edit)
    return {name: out[name] for name in sorted(out, key=lambda name: (name == "not said", not name.startswith("under"), name))}


def group_names(edits: Edits) -> list[str]:
    """What the people are grouped by, in the order in which it first appears."""
    return [name for name in dict.fromkeys(name for edit in edits for name in edit.get("groups", {})) if name != EDIT]


def group_section(result: Mapping[str, Any], measured: set[str]) -> Section | None:
    """A table for each way to group the people: group and method in rows. None where nothing is known of them."""
    edits, metrics = result["edits"], [m for m in SHOWN if m in measured]
    tables = [group_table(result, what, metrics) for what in group_names(edits)]
    return Section("By group", WORDS, tuple(tables)) if tables and metrics else None


def group_table(result: Mapping[str, Any], what: str, metrics: Sequence[str]) -> Table:
    """One way to group them."""
    rows: list[tuple[str | int | Estimate, ...]] = []
    for group, edits in values_of_group(result["edits"], what).items():
        people = len(set(people_of(edits) or ()))
        for name, label in result["labels"].items():
            rows.append((group, people, label, *(estimate(edits, name, m) for m in metrics)))
    arrows = [f"{METRICS[m].label} {'↓' if METRICS[m].less else '↑'}" for m in metrics]
    return Table(f"By {what}", (what, "people", "method", *arrows), tuple(rows))
