"""A table as it is shown: what nobody measured is said once below it, and a table too wide for the page goes on in further pieces."""

from __future__ import annotations

from dataclasses import dataclass, replace

from discontrolface.common.statistics import Estimate
from discontrolface.reports.cells import NOTHING, interval_of, is_missing, numeric_columns, value_text
from discontrolface.reports.content import Cell, Table

PAGE_WIDTH = 1180  # pixels that a table may take of a window of 1280
LETTER, SMALL_LETTER, SPACE = 9, 7.6, 16  # pixels at most: a digit of a value, of an interval or a heading; the space beside a column
WORDS_WIDTH = 130  # pixels of a column of words, which wraps


@dataclass(frozen=True)
class Layout:
    """A table in pieces, each with the first column, which names the rows. notes: its own note, then why something is missing."""

    title: str
    pieces: tuple[Table, ...]
    notes: tuple[str, ...]


def layout(table: Table, width: float = PAGE_WIDTH) -> Layout:
    """Columns without any value go, the others are laid out in pieces of at most `width` pixels."""
    columns = [tuple(row[k] for row in table.rows) for k in range(len(table.columns))]
    kept = [k for k, cells in enumerate(columns) if k == 0 or not cells or not all(map(is_missing, cells))]
    reasons = {k: dict.fromkeys(c.text() for c in cells if isinstance(c, Estimate) and is_missing(c)) for k, cells in enumerate(columns)}
    gone = [f"{table.columns[k]}: {', '.join(why)}" for k, why in reasons.items() if why and k not in kept]
    some = dict.fromkeys(f"{NOTHING}: {why}" for k in kept for why in reasons[k])
    widths = [column_width(*column, table.digits) for column in zip(table.columns, columns, numeric_columns(table), strict=True)]
    pieces = [kept[:1]]
    for k in kept[1:]:
        if sum(widths[j] for j in (*pieces[-1], k)) > width and len(pieces[-1]) > 1:
            pieces.append(kept[:1])
        pieces[-1].append(k)
    notes = tuple(filter(None, (table.note, *gone, *some)))
    return Layout(table.title, tuple(with_columns(table, piece) for piece in pieces), notes)


def with_columns(table: Table, columns: list[int]) -> Table:
    """Some columns of the table."""
    rows = tuple(tuple(row[k] for k in columns) for row in table.rows)
    return replace(table, columns=tuple(table.columns[k] for k in columns), rows=rows)


def column_width(name: str, cells: tuple[Cell, ...], numeric: bool, digits: int) -> float:
    """Pixels that a column needs at least: headings and words wrap, and so does an interval between its ends; numbers stay whole."""
    if not numeric:
        return WORDS_WIDTH + SPACE
    values = max((len(value_text(cell, digits)) for cell in cells), default=0)
    ends = max((len(end) + 2 for cell in cells for end in interval_of(cell, digits) or ()), default=0)
    return SPACE + max(LETTER * values, SMALL_LETTER * max(ends, *(len(word) for word in name.split() or [""])))
