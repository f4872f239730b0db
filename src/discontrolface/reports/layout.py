"""A table as it is shown: what nobody measured is said once below it, and a table too wide for the page goes on in further pieces."""

from __future__ import annotations

from dataclasses import dataclass

from discontrolface.common.statistics import Estimate
from discontrolface.reports.cells import NOTHING, interval_of, is_missing, numeric_columns, value_text
from discontrolface.reports.content import Cell, Table

PAGE_WIDTH = 1180  # pixels that a table may take of a window of 1280
LETTER, SMALL_LETTER, SPACE = 9, 7.6, 16  # pixels at most: a digit of a value, of an interval or a heading; the space beside a column
WORDS_WIDTH = 130  # pixels of a column of words, which wraps


@dataclass(frozen=True)
class Shown:
    """A cell. interval: both ends, or None."""

    value: str
    interval: tuple[str, str] | None


@dataclass(frozen=True)
class Piece:
    """Some columns of a table, the first one, which names the rows, among them."""

    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[Shown, ...], ...]


@dataclass(frozen=True)
class Layout:
    """A table in pieces. notes: its own note, then why something is missing."""

    title: str
    pieces: tuple[Piece, ...]
    notes: tuple[str, ...]


def layout(table: Table, width: float = PAGE_WIDTH) -> Layout:
    """Columns without any value go, the others are laid out in pieces of at most `width` pixels."""
    columns = [tuple(row[k] for row in table.rows) for k in range(len(table.columns))]
    kept = [k for k, cells in enumerate(columns) if k == 0 or not cells or not all(map(is_missing, cells))]
    gone = {reason(columns[k], table.columns[k]): None for k in range(len(columns)) if k not in kept}
    some = {f"{NOTHING}: {cell.text()}": None for k in kept for cell in columns[k] if isinstance(cell, Estimate) and cell.value is None}
    numeric = numeric_columns(table)
    pieces: list[list[int]] = [kept[:1]]
    taken = first = column_width(table.columns[0], columns[0], numeric[0], table.digits)
    for k in kept[1:]:
        own = column_width(table.columns[k], columns[k], numeric[k], table.digits)
        if taken + own > width and len(pieces[-1]) > 1:
            pieces.append(kept[:1])
            taken = first
        pieces[-1].append(k)
        taken += own
    return Layout(
        table.title,
        tuple(piece_of(table, piece, numeric) for piece in pieces),
        tuple(filter(None, (table.note, *gone, *some))),
    )


def piece_of(table: Table, columns: list[int], numeric: list[bool]) -> Piece:
    """These columns of the table, as text."""
    rows = tuple(tuple(Shown(value_text(row[k], table.digits), interval_of(row[k], table.digits)) for k in columns) for row in table.rows)
    return Piece(tuple(table.columns[k] for k in columns), tuple(numeric[k] for k in columns), rows)


def reason(cells: tuple[Cell, ...], name: str) -> str:
    """Why a column is not there; nothing to say of cells that were left empty."""
    reasons = dict.fromkeys(cell.text() for cell in cells if isinstance(cell, Estimate))
    return f"{name}: {', '.join(reasons)}" if reasons else ""


def column_width(name: str, cells: tuple[Cell, ...], numeric: bool, digits: int) -> float:
    """Pixels that a column needs at least: headings and words wrap, and so does an interval between its ends; numbers stay whole."""
    if not numeric:
        return WORDS_WIDTH + SPACE
    values = max((len(value_text(cell, digits)) for cell in cells), default=0)
    ends = max((len(end) + 2 for cell in cells for end in interval_of(cell, digits) or ()), default=0)
    return SPACE + max(LETTER * values, SMALL_LETTER * max(ends, *(len(word) for word in name.split() or [""])))
