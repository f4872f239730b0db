"""Cells and words of a report as text. What comes from outside (file names, messages) is shown, never obeyed."""

from __future__ import annotations

import math
import re

from discontrolface.common.statistics import Estimate
from discontrolface.reports.content import Cell, Table

NOTHING = "–"
CODE = re.compile(r"(`[^`\n]+`)")


def paragraphs(text: str) -> list[str]:
    """What stands between empty lines."""
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


def slug(text: str) -> str:
    """A title as a file name or an anchor: small letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "report"


def number(value: int | float, digits: int) -> str:
    """1234567 as 1,234,567; 0.1234 to `digits` digits; inf as ∞."""
    if isinstance(value, int):
        return f"{value:,}"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:,.{digits}f}"


def is_missing(cell: Cell) -> bool:
    """Nothing, or an estimate that was not measured."""
    return cell is None or (isinstance(cell, Estimate) and cell.value is None)


def value_text(cell: Cell, digits: int) -> str:
    """A cell without its interval."""
    value = cell.value if isinstance(cell, Estimate) else cell
    return NOTHING if value is None else value if isinstance(value, str) else number(value, digits)


def interval_of(cell: Cell, digits: int) -> tuple[str, str] | None:
    """Both ends of the confidence interval of an estimate that has one."""
    if not isinstance(cell, Estimate) or cell.value is None or cell.low is None or cell.high is None:
        return None
    return number(cell.low, digits), number(cell.high, digits)


def cell_text(cell: Cell, digits: int) -> str:
    """`0.12 [0.10, 0.20]`."""
    ends = interval_of(cell, digits)
    return value_text(cell, digits) + (f" [{ends[0]}, {ends[1]}]" if ends else "")


def numeric_columns(table: Table) -> list[bool]:
    """Which columns hold numbers, whatever is missing in some of their cells; they are set flush right."""
    columns = [[row[k] for row in table.rows if not is_missing(row[k])] for k in range(len(table.columns))]
    return [bool(cells) and not any(isinstance(cell, str) for cell in cells) for cells in columns]


def markdown_text(text: str) -> str:
    """Escaped, so that nothing in it is markup but `code`."""

    def plain(part: str) -> str:
        part = re.sub(r"([\\`*\[\]<>|~&])", r"\\\1", part)
        part = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", part)
        part = re.sub(r"^(\s*)(?=[#+-])", r"\1\\", part, flags=re.MULTILINE)
        return re.sub(r"^(\s*\d+)(?=[.)](\s|$))", r"\1\\", part, flags=re.MULTILINE)

    return "".join(part if CODE.fullmatch(part) else plain(part) for part in CODE.split(text))


def markdown_cell(cell: Cell, digits: int = 3) -> str:
    """A cell on one line; words are `markdown_text`, without a bar inside of `code` too."""
    if not isinstance(cell, str):
        return cell_text(cell, digits)
    return " ".join("".join(p.replace("|", "\\|") if CODE.fullmatch(p) else markdown_text(p) for p in CODE.split(cell)).split())
