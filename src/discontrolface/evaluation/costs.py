"""What each method's pictures cost: seconds and memory, beside their quality."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from discontrolface.common.usage import peak_growth, synchronize
from discontrolface.reports.content import Cell, Table

T = TypeVar("T")


class Cost(NamedTuple):
    """Of one batch. seconds: a picture. megabytes: by which the memory in use grew at most; None where that cannot be measured."""

    seconds: float
    megabytes: float | None


def costing(work: Callable[[], T], pictures: int, device: str) -> tuple[T, Cost]:
    """What the work gives, and what it cost."""
    results: list[T] = []
    seconds = 0.0

    def run() -> None:
        nonlocal seconds
        start = time.perf_counter()
        results.append(work())
        synchronize(device)
        seconds = time.perf_counter() - start

    grown = peak_growth(run, device)
    return results[0], Cost(round(seconds / pictures, 4), None if grown is None else round(grown, 1))


def summary(batches: Iterable[Mapping[str, Cost]], names: Iterable[str]) -> dict[str, dict[str, float | int | None]]:
    """Of each method that was run here: median seconds a picture over the batches, the largest growth of the memory, the number of batches."""
    found: dict[str, list[Cost]] = {}
    for batch in batches:
        for name, cost in batch.items():
            found.setdefault(name, []).append(cost)
    out: dict[str, dict[str, float | int | None]] = {}
    for name in names:
        costs = found.get(name, [])
        if costs:
            grown = [cost.megabytes for cost in costs if cost.megabytes is not None]
            seconds = round(statistics.median(cost.seconds for cost in costs), 4)
            out[name] = {"seconds": seconds, "megabytes": max(grown) if grown else None, "batches": len(costs)}
    return out


def cost_table(result: Mapping[str, Any]) -> Table:
    """Methods in rows."""
    rows: list[tuple[Cell, ...]] = []
    for name, label in result["labels"].items():
        cost = result["costs"].get(name)
        if cost is not None:
            grown = cost["megabytes"]
            rows.append((label, f"{cost['seconds']:.2f}", None if grown is None else f"{grown:.0f}", cost["batches"]))
    note = (
        "Seconds: median over the batches of one process, pasting included, the target's preview and snapshot and the loading "
        "of networks not; with several processes each had one core. Whatever else ran counts too. Memory: by which it grew at most in a batch."
    )
    return Table("What a picture costs", ("method", "seconds ↓", "MB ↓", "batches"), tuple(rows), note)
