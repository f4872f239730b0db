"""A report as JSON: everything but the pixels."""

from __future__ import annotations

import json
import math
from typing import Any

from discontrolface.common.statistics import Estimate
from discontrolface.reports.content import Cell, Report, Section
from discontrolface.reports.text import check_table


def to_json(report: Report) -> str:
    """Everything but the pixels as JSON text. Numbers that JSON does not know (an infinite PSNR) are the strings "inf", "-inf", "nan"."""
    return json.dumps(
        {
            "title": report.title,
            "summary": report.summary,
            "settings": {name: json_number(value) for name, value in report.settings.items()},
            "sections": [json_section(section) for section in report.sections],
        },
        indent=1,
        allow_nan=False,
        ensure_ascii=False,
    )


def json_section(section: Section) -> dict[str, Any]:
    """Tables row by row; of pictures the size."""
    for table in section.tables:
        check_table(table)
    return {
        "title": section.title,
        "text": section.text,
        "tables": [
            {
                "title": t.title,
                "columns": list(t.columns),
                "rows": [[json_cell(cell) for cell in row] for row in t.rows],
                "note": t.note,
            }
            for t in section.tables
        ],
        "pictures": [{"title": p.title, "width": p.image.shape[1], "height": p.image.shape[0], "note": p.note} for p in section.pictures],
        "plots": [
            {
                "title": p.title,
                "x_label": p.x_label,
                "y_label": p.y_label,
                "series": [
                    {"name": s.name, **{key: [json_number(v) for v in getattr(s, key)] for key in ("x", "y", "low", "high")}}
                    for s in p.series
                ],
                "note": p.note,
            }
            for p in section.plots
        ],
    }


def json_cell(cell: Cell) -> Any:
    """A figure with its interval, or why there is none."""
    if isinstance(cell, Estimate):
        values = {"value": cell.value, "low": cell.low, "high": cell.high}
        out = {key: None if value is None else json_number(value) for key, value in values.items()} | {"count": cell.count}
        return out | ({"missing": cell.text()} if cell.value is None else {})
    return json_number(cell) if isinstance(cell, (int, float)) else cell


def json_number(value: str | int | float) -> str | int | float:
    """As it is, or its name where JSON has no such number."""
    if isinstance(value, str) or math.isfinite(value):
        return value
    return str(float(value))
