"""Ablations as Markdown: one section, or the whole page of the documentation with its pictures as small JPEGs."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.files import write_atomically
from discontrolface.reports.content import Section, Table
from discontrolface.reports.markdown import markdown_table

PICTURE_BYTES = 150_000


@dataclass(frozen=True)
class Entry:
    """An ablation on the page. missing: why it was not measured, instead of a section."""

    name: str
    command: str
    section: Section | None
    missing: str = ""


def table_markdown(table: Table) -> str:
    """A table with its title above and its note below."""
    return "\n\n".join(part for part in (f"**{table.title}**", markdown_table(table), table.note) if part)


def section_markdown(section: Section, picture: str | None, command: str = "") -> str:
    """A section; picture: the file of its grid, as seen from the Markdown."""
    parts = [f"## {section.title}"]
    if command:
        parts.append(f"```sh\n{command}\n```")
    parts.append(section.text)
    parts += [table_markdown(table) for table in section.tables]
    if picture is not None:
        parts.append(f"![{section.title}: the same edits in every way]({picture})")
    return "\n\n".join(parts) + "\n"


def small_jpeg(image: NDArray[np.uint8], limit: int = PICTURE_BYTES) -> bytes:
    """A picture as a JPEG of at most `limit` bytes: first the quality goes down, then the size."""
    picture = Image.fromarray(image)
    while True:
        for quality in (88, 80, 70, 60):
            out = io.BytesIO()
            picture.save(out, "JPEG", quality=quality, optimize=True)
            if out.tell() <= limit:
                return out.getvalue()
        picture = picture.resize((max(1, picture.width * 4 // 5), max(1, picture.height * 4 // 5)), Image.Resampling.LANCZOS)


def page_markdown(entries: Sequence[Entry], settings: Mapping[str, Any], command: str, folder: str) -> str:
    """The page. folder: where its pictures lie, as seen from the page."""
    parts = [
        "# Ablations",
        "What the paper's supplement asks, asked again here, and some questions of our own. Every number and every verdict on this page is "
        f"computed by the commands shown; all of it by one:\n\n```sh\n{command}\n```",
        "Verdicts stand first in each section. They hold for these weights and for drawn portraits, and say nothing about others.",
        "| ablation | finding |\n|---|---|\n" + "\n".join(f"| [{e.name}](#{e.name}) | {summary_line(e)} |" for e in entries),
        "Measured with: " + ", ".join(f"{name} {value}" for name, value in settings.items()) + ".",
    ]
    for e in entries:
        parts.append(f'<a id="{e.name}"></a>')
        if e.section is None:
            parts.append(f"## {e.name}\n\n```sh\n{e.command}\n```\n\n**Not measured:** {e.missing}")
            continue
        parts.append(section_markdown(e.section, f"{folder}/{e.name}.jpg" if e.section.pictures else None, e.command).rstrip())
    return "\n\n".join(parts) + "\n"


def summary_line(entry: Entry) -> str:
    """The finding, or why there is none, for a table cell."""
    words = f"not measured: {entry.missing}" if entry.section is None else entry.section.text.split("\n\n")[0]
    return words.replace("|", "\\|")


def write_page(path: Path, entries: Sequence[Entry], settings: Mapping[str, Any], command: str) -> None:
    """The page and, in a folder of its name beside it, its pictures. Files there are replaced."""
    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    for entry in entries:
        for picture in entry.section.pictures if entry.section is not None else ():
            write_atomically(folder / f"{entry.name}.jpg", small_jpeg(picture.image), True)
    write_atomically(path, page_markdown(entries, settings, command, folder.name).encode(), True)
