"""A report as Markdown, its pictures and plots in files beside it."""

from __future__ import annotations

from pathlib import Path

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.text_files import check_text_output, write_text
from discontrolface.reports.content import Picture, Plot, Report, Table
from discontrolface.reports.files import encode_picture, slug
from discontrolface.reports.plot_svg import plot_svg
from discontrolface.reports.text import check_table, markdown_cell, markdown_text, numeric_columns, paragraphs


def to_markdown(report: Report, folder: Path, overwrite: bool = False, prefix: str | None = None) -> str:
    """The report as Markdown. Its pictures (.png or .jpg) and plots (.svg) are written into `folder`, where the text is meant to go too.

    Their names begin with `prefix` (None: the report's title), so that several reports can share a folder. A file that is there already
    with the same contents is left alone. Raises UserError when one with other contents is there (without `overwrite`) or nothing can be written.
    """
    out = [f"# {markdown_text(report.title)}", *map(markdown_text, paragraphs(report.summary))]
    names: set[str] = set()
    for section in report.sections:
        out.append(f"## {markdown_text(section.title)}")
        out += map(markdown_text, paragraphs(section.text))
        for table in section.tables:
            out += [f"**{markdown_text(table.title)}**", markdown_table(table), *note_lines(table)]
        items: list[Picture | Plot] = [*section.pictures, *section.plots]
        for item in items:
            name = free_name(f"{slug(prefix or report.title)}-{slug(item.title)}", names)
            names.add(name)
            data, ending = encode_picture(item.image) if isinstance(item, Picture) else (plot_svg(item, standalone=True).encode(), "svg")
            put_beside(folder / f"{name}.{ending}", data, overwrite)
            out += [f"![{markdown_text(item.title)}]({name}.{ending})", f"*{markdown_text(item.title)}*", *note_lines(item)]
    if report.settings:
        rows = [f"| {markdown_cell(name, 3)} | {markdown_cell(str(value), 3)} |" for name, value in report.settings.items()]
        out += ["## What repeats this report", "\n".join(["| | |", "|---|---|", *rows])]
    return "\n\n".join(out) + "\n"


def free_name(name: str, taken: set[str]) -> str:
    """The name, with a number where another picture of the report has it."""
    return next(n for n in (name, *(f"{name}-{k}" for k in range(2, len(taken) + 3))) if n not in taken)


def note_lines(item: Table | Picture | Plot) -> list[str]:
    """The note, if there is one."""
    return [markdown_text(item.note)] if item.note else []


def markdown_table(table: Table) -> str:
    """Numbers flush right."""
    check_table(table)
    lines = ["| " + " | ".join(markdown_cell(name, 0) for name in table.columns) + " |"]
    lines.append("|" + "|".join("---:" if numeric else "---" for numeric in numeric_columns(table)) + "|")
    lines += ["| " + " | ".join(markdown_cell(cell, table.digits) for cell in row) + " |" for row in table.rows]
    return "\n".join(lines)


def put_beside(path: Path, data: bytes, overwrite: bool) -> None:
    """Write a picture's file unless it is there already as it should be."""
    if not path.parent.is_dir():
        raise UserError(f"the folder {path.parent} does not exist; make it first")
    if path.is_file() and path.read_bytes() == data:
        return
    write_atomically(path, data, overwrite)


def write_markdown(report: Report, path: Path, overwrite: bool = False) -> None:
    """Write the Markdown and, beside it, its pictures, whose names begin with its own. Raises UserError as `to_markdown` and `write_html` do."""
    check_text_output(path, overwrite, ".md")
    write_text(path, to_markdown(report, path.parent, overwrite, path.stem), overwrite, ".md")
