"""A report as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import html
from importlib.resources import files
from pathlib import Path

from discontrolface.common.text_files import write_text
from discontrolface.reports.content import Picture, Report, Section, Table
from discontrolface.reports.files import encode_picture, slug
from discontrolface.reports.plot_svg import STYLE, plot_svg
from discontrolface.reports.text import check_table, html_cell, html_text, interval, numeric_columns, paragraphs

WIDE = 1100  # pixels; a wider picture can be shown at its full size
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # the page can load nothing, and the browser holds it to that


def write_html(report: Report, path: Path, overwrite: bool = False) -> None:
    """Write the report as one page: styles, pictures and plots inside, no scripts, nothing to load. It opens without a network.

    Raises UserError when `path` does not end in .html, exists (without `overwrite`) or cannot be written.
    """
    write_text(path, to_html(report), overwrite, ".html")


def to_html(report: Report) -> str:
    """The page of `write_html`."""
    style = (files("discontrolface") / "assets" / "report.css").read_text(encoding="utf-8")
    summary = "".join(f"<p>{html_text(p)}</p>" for p in paragraphs(report.summary))
    links = "".join(f'<a href="#{anchor(k, s)}">{html.escape(s.title)}</a>' for k, s in enumerate(report.sections))
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="generator" content="DisControlFace">',
        f"<title>{html.escape(report.title)}</title>",
        '<link rel="icon" href="data:,">',
        f"<style>{style}{STYLE}</style></head>",
        f"<body><header><h1>{html.escape(report.title)}</h1>{summary}",
        f'<nav aria-label="Sections">{links}</nav>' if len(report.sections) > 1 else "",
        "</header><main>",
        *(html_section(k, section) for k, section in enumerate(report.sections)),
        "</main>",
        html_settings(report.settings),
        "</body></html>\n",
    ]
    return "\n".join(filter(None, parts))


def anchor(number: int, section: Section) -> str:
    """A section's id in the page; the number keeps equal titles apart."""
    return f"s{number + 1}-{slug(section.title)}"


def html_section(number: int, section: Section) -> str:
    """Words first, then tables, pictures, plots."""
    out = [f'<section id="{anchor(number, section)}"><h2>{html.escape(section.title)}</h2>']
    out += [f"<p>{html_text(p)}</p>" for p in paragraphs(section.text)]
    out += [html_figure(table.title, html_table(table), table.note) for table in section.tables]
    out += [html_figure(picture.title, html_picture(picture), picture.note) for picture in section.pictures]
    if section.plots:
        plots = "\n".join(html_figure(plot.title, plot_svg(plot), plot.note) for plot in section.plots)
        out.append(f'<div class="plots">{plots}</div>')
    return "\n".join([*out, "</section>"])


def html_figure(title: str, inside: str, note: str) -> str:
    """A titled table, picture or plot with its note."""
    said = f'<p class="note">{html_text(note)}</p>' if note else ""
    return f"<figure><figcaption>{html.escape(title)}</figcaption>{inside}{said}</figure>"


def html_table(table: Table) -> str:
    """The first column names the rows."""
    check_table(table)
    kinds = [' class="number"' if numeric else "" for numeric in numeric_columns(table)]
    head = "".join(f'<th scope="col"{kind}>{html_text(name)}</th>' for name, kind in zip(table.columns, kinds, strict=True))
    rooms = [max((len(interval(row[k], table.digits)) for row in table.rows), default=0) for k in range(len(table.columns))]
    rows = []
    for row in table.rows:
        cells = [html_cell(cell, table.digits, room) for cell, room in zip(row, rooms, strict=True)]
        first = f'<th scope="row"{kinds[0]}>{cells[0]}</th>'
        rows.append(f"<tr>{first}" + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(cells[1:], kinds[1:], strict=True)) + "</tr>")
    body = "\n".join(rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def html_picture(picture: Picture) -> str:
    """The pixels inside the page; a wide one grows to its full size when it is clicked."""
    data, ending = encode_picture(picture.image)
    height, width = picture.image.shape[:2]
    kind = {"png": "image/png", "jpg": "image/jpeg"}[ending]
    source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    name = html.escape(picture.title)
    image = f'<img src="{source}" width="{width}" height="{height}" alt="{name}">'
    return f'<label class="zoom"><input type="checkbox" aria-label="{name} at full size">{image}</label>' if width > WIDE else image


def html_settings(settings: dict[str, str | int | float]) -> str:
    """What repeats the report."""
    if not settings:
        return ""
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd>" for name, value in settings.items())
    return f"<footer><h2>What repeats this report</h2><dl>{rows}</dl></footer>"
