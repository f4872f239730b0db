"""What a report holds, whoever measured it: sections of words, tables, pictures and plots. report.py writes it as Markdown, JSON or one HTML page."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.statistics import Estimate

Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class Table:
    """Rows under named columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]  # as long as `columns` each
    note: str = ""
    digits: int = 3  # of floats and figures


@dataclass(frozen=True)
class Picture:
    """A grid or sheet, its labels drawn in already."""

    title: str
    image: NDArray[np.uint8]  # (H, W, 3)
    note: str = ""


@dataclass(frozen=True)
class Series:
    """One line of a plot. low, high: the confidence band, or empty."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Plot:
    """Lines over a common axis."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """One question and its answer."""

    title: str
    text: str = ""  # paragraphs, separated by an empty line; what fell short comes first
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True)
class Report:
    """A whole report. settings: seeds, versions, weights, sizes: what repeats it."""

    title: str
    summary: str
    sections: tuple[Section, ...]
    settings: dict[str, str | int | float] = field(default_factory=dict)
