"""A report through the templates: page.html.j2 (one page that needs nothing else) and page.md.j2 (Markdown, pictures beside it)."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.text_files import check_text_output, write_text
from discontrolface.reports.cells import CODE, interval_of, markdown_cell, markdown_text, numeric_columns, paragraphs, slug, value_text
from discontrolface.reports.content import Image, Report
from discontrolface.reports.layout import layout
from discontrolface.reports.pictures import KINDS, encode

LIBRARIES = ("jinja2", "matplotlib")  # of the extra `reports`


def check_installed() -> None:
    """Say before the long work whether a report can be written. UserError without the extra `reports`."""
    if missing := [name for name in LIBRARIES if importlib.util.find_spec(name) is None]:
        raise UserError(f"a report needs {' and '.join(missing)}; install the extra: pip install 'discontrolface[reports]'")


def write_html(report: Report, path: Path, overwrite: bool = False) -> None:
    """Write the report as one page: styles, pictures and plots inside, no scripts, nothing to load. It opens without a network.

    Raises UserError when `path` does not end in .html, exists (without `overwrite`) or cannot be written, and without the extra `reports`.
    """
    check_text_output(path, overwrite, ".html")
    write_text(path, to_html(report), overwrite, ".html")


def to_html(report: Report) -> str:
    """The page of `write_html`."""

    def place(image: Image) -> dict[str, Any]:
        file = encode(image)
        source = f"data:{KINDS[file.ending]};base64,{base64.b64encode(file.data).decode()}"
        return {"source": source, "width": file.width, "height": file.height, "plot": file.ending == "svg"}

    return fill("page.html.j2", report, place)


def write_markdown(
    report: Report,
    path: Path,
    overwrite: bool = False,
    in_folder: bool = False,  # pictures in a folder of the file's name; else beside it, their names beginning with its own
    limit: int | None = None,  # bytes of a picture, which is then a JPEG; plots are SVG always
    preamble: str = "",  # Markdown as it is, after the title
) -> None:
    """Write the report as Markdown with its pictures. A picture that is there already with the same contents is left alone.

    Raises UserError when `path` does not end in .md, something with other contents is there (without `overwrite`) or cannot be written, and
    without the extra `reports`.
    """
    check_text_output(path, overwrite, ".md")
    taken: set[str] = set()

    def place(image: Image) -> dict[str, Any]:
        stem = image.name or slug(image.title)
        stem = free_name(stem if in_folder else f"{slug(path.stem)}-{stem}", taken)
        file = encode(image, limit)
        name = f"{path.stem}/{stem}.{file.ending}" if in_folder else f"{stem}.{file.ending}"
        put(path.parent / name, file.data, overwrite)
        return {"source": name}

    if in_folder:
        path.with_suffix("").mkdir(exist_ok=True)
    write_text(path, to_markdown(report, place, preamble), overwrite, ".md")


def to_markdown(report: Report, place: Callable[[Image], dict[str, Any] | None], preamble: str = "") -> str:
    """The report as Markdown. place: writes a picture or plot where it belongs and returns {"source": its name}; None leaves it out."""
    return fill("page.md.j2", report, place, preamble=preamble)


def fill(template: str, report: Report, place: Callable[[Image], dict[str, Any] | None], **more: Any) -> str:
    """A template with the report in it."""
    check_installed()
    import jinja2
    from markupsafe import Markup, escape

    def html_text(text: str) -> Markup:
        parts = CODE.split(text)
        return Markup("").join(Markup("<code>{}</code>").format(p[1:-1]) if CODE.fullmatch(p) else escape(p) for p in parts)

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("discontrolface.reports"),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"text": html_text, "md": markdown_text, "cell": markdown_cell}
    environment.filters |= {"paragraphs": paragraphs, "slug": slug, "layout": layout, "numeric": numeric_columns}
    environment.filters |= {"value": value_text, "interval": interval_of}
    return environment.get_template(template).render(report=report, place=place, **more)


def free_name(name: str, taken: set[str]) -> str:
    """The name, with a number where another picture of the report has it; taken from then on."""
    free = next(n for n in (name, *(f"{name}-{k}" for k in range(2, len(taken) + 3))) if n not in taken)
    taken.add(free)
    return free


def put(path: Path, data: bytes, overwrite: bool) -> None:
    """Write a picture's file unless it is there already as it should be."""
    if not (path.is_file() and path.read_bytes() == data):
        write_atomically(path, data, overwrite)
