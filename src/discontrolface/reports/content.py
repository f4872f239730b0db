"""What a report holds, whoever measured it: sections of words, plots, pictures and tables. render.py writes it as Markdown or as one HTML page."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.statistics import Estimate

Cell = str | int | float | Estimate | None


@dataclass(frozen=True)
class Table:
    """Rows under named columns. ValueError for a row that does not fit: a mistake of the program that builds the table."""

    title: str
    columns: tuple[str, ...]  # the first one names the rows
    rows: tuple[tuple[Cell, ...], ...]  # as long as `columns` each
    note: str = ""
    digits: int = 3  # of floats and estimates

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.title!r} has {len(self.columns)} columns, but a row of {len(row)} cells: {row}")


@dataclass(frozen=True)
class Picture:
    """A grid or sheet, its labels drawn in already."""

    title: str
    image: NDArray[np.uint8]  # (H, W, 3)
    note: str = ""
    name: str = ""  # of its file beside Markdown; empty: from the title


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
    name: str = ""


@dataclass(frozen=True)
class IntervalPlot:
    """A table's columns of estimates as points with their intervals: a panel a column, the rows from top to bottom."""

    table: Table
    reference: float | None = None  # a line in every panel: 0 for differences
    note: str = ""
    name: str = ""

    @property
    def title(self) -> str:
        """The table's."""
        return self.table.title

    @property
    def panels(self) -> list[tuple[str, list[Estimate]]]:
        """(name, an estimate a row) of each column that holds nothing else."""
        columns = [(name, [row[k] for row in self.table.rows]) for k, name in enumerate(self.table.columns)]
        return [
            (name, [c for c in cells if isinstance(c, Estimate)]) for name, cells in columns if all(isinstance(c, Estimate) for c in cells)
        ]


Image = Picture | Plot | IntervalPlot


@dataclass(frozen=True)
class Section:
    """One question and its answer."""

    title: str
    text: str = ""  # paragraphs, separated by an empty line; what fell short comes first
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    plots: tuple[Plot | IntervalPlot, ...] = ()
    command: str = ""  # that measures it
    level: int = 2  # of its heading; 3: within the section before it


@dataclass(frozen=True)
class Report:
    """A whole report. settings: seeds, versions, weights, sizes: what repeats it. missing: what was not measured and why, a line each."""

    title: str
    summary: str
    sections: tuple[Section, ...]
    settings: dict[str, str | int | float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
