"""Words and cells of a report for HTML and for Markdown. What comes from outside (file names, messages) is shown, never obeyed."""

from __future__ import annotations

import html
import math
import re

from discontrolface.common.statistics import Estimate
from discontrolface.reports.content import Cell, Table

NOTHING = "–"
CODE = re.compile(r"(`[^`\n]+`)")


def paragraphs(text: str) -> list[str]:
    """What stands between empty lines."""
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def number(value: int | float, digits: int) -> str:
    """1234567 as 1,234,567; 0.1234 to `digits` digits; inf as ∞."""
    if isinstance(value, int):
        return f"{value:,}"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:,.{digits}f}"


def is_number(cell: Cell) -> bool:
    """A measured number, as opposed to words or a reason why there is none."""
    return isinstance(cell, (int, float)) or (isinstance(cell, Estimate) and cell.value is not None)


def numeric_columns(table: Table) -> list[bool]:
    """Which columns hold numbers, whatever else (nothing, a reason) stands in some of their cells; they are set flush right."""
    columns = [[row[k] for row in table.rows] for k in range(len(table.columns))]
    return [any(map(is_number, cells)) and not any(isinstance(c, str) for c in cells) for cells in columns]


def html_text(text: str) -> str:
    """Escaped; `code` in its own type."""
    return "".join(f"<code>{html.escape(part[1:-1])}</code>" if CODE.fullmatch(part) else html.escape(part) for part in CODE.split(text))


def interval(cell: Cell, digits: int) -> str:
    """The confidence interval of a figure that has one."""
    if not isinstance(cell, Estimate) or cell.value is None or cell.low is None or cell.high is None:
        return ""
    return f"{number(cell.low, digits)} – {number(cell.high, digits)}"


def html_cell(cell: Cell, digits: int, room: int = 0) -> str:
    """The inside of a table cell; a confidence interval is set lightly. room: letters of the column's longest interval, so that values align."""
    if cell is None:
        return f'<span class="none">{NOTHING}</span>'
    if isinstance(cell, str):
        return html_text(cell)
    if isinstance(cell, Estimate):
        if cell.value is None:
            return f'<span class="none">{html.escape(cell.text())}</span>'
        shown = number(cell.value, digits)
    else:
        shown = number(cell, digits)
    return f'{shown}<span class="ci" style="min-width:{room}ch"> {interval(cell, digits)}</span>' if room else shown


def markdown_text(text: str) -> str:
    """Escaped, so that nothing in it is markup but `code`."""

    def plain(part: str) -> str:
        part = re.sub(r"([\\`*\[\]<>|~&])", r"\\\1", part)
        part = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", part)
        part = re.sub(r"^(\s*)(?=[#+-])", r"\1\\", part, flags=re.MULTILINE)
        return re.sub(r"^(\s*\d+)(?=[.)](\s|$))", r"\1\\", part, flags=re.MULTILINE)

    return "".join(part if CODE.fullmatch(part) else plain(part) for part in CODE.split(text))


def markdown_cell(cell: Cell, digits: int) -> str:
    """A cell on one line."""
    if cell is None:
        return NOTHING
    if isinstance(cell, str):
        shown = "".join(p.replace("|", "\\|") if CODE.fullmatch(p) else markdown_text(p) for p in CODE.split(cell))
        return " ".join(shown.split())
    if not isinstance(cell, Estimate):
        return number(cell, digits)
    if cell.value is None:
        return markdown_text(cell.text())
    if cell.low is None or cell.high is None:
        return number(cell.value, digits)
    return f"{number(cell.value, digits)} [{number(cell.low, digits)}, {number(cell.high, digits)}]"


def check_table(table: Table) -> None:
    """ValueError for rows that do not fit the columns: a mistake of the program that made the table."""
    for row in table.rows:
        if len(row) != len(table.columns):
            raise ValueError(f"table {table.title!r} has {len(table.columns)} columns, but a row of {len(row)} cells: {row}")
