"""Ablations as Markdown: one section, or the whole page of the documentation with its pictures as small JPEGs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discontrolface.reports import to_markdown, write_markdown
from discontrolface.reports.cells import paragraphs
from discontrolface.reports.content import Picture, Report, Section, Table

PICTURE_BYTES = 80_000


@dataclass(frozen=True)
class Entry:
    """An ablation on the page. missing: why it was not measured, instead of a section."""

    name: str
    command: str
    section: Section | None
    missing: str = ""


def section_markdown(section: Section, picture: str | None) -> str:
    """A section without its plots; picture: the file of its grid, as seen from the Markdown."""
    return to_markdown(Report("", "", (section,)), lambda image: {"source": picture} if picture and isinstance(image, Picture) else None)


def ablation_report(entries: Sequence[Entry], settings: Mapping[str, Any], command: str) -> Report:
    """All of them: the findings first, then each with its command."""
    measured = [(e, e.section) for e in entries if e.section is not None]
    findings = tuple((e.name, paragraphs(section.text)[0]) for e, section in measured)
    sections = [Section("Findings", tables=(Table("", ("ablation", "finding"), findings),))] if findings else []
    for e, section in measured:
        pictures = tuple(replace(picture, name=e.name) for picture in section.pictures)
        plots = tuple(replace(plot, name=f"{e.name}-{k}") for k, plot in enumerate(section.plots, 1))
        sections.append(replace(section, pictures=pictures, plots=plots, command=e.command))
    summary = (
        "What the paper's supplement asks, asked again here, and some questions of our own. Every number and every verdict on this page is "
        f"computed by the commands shown; all of it by one: `{command}`\n\n"
        "Verdicts stand first in each section. They hold for these weights and for drawn portraits, and say nothing about others."
    )
    return Report(
        "Ablations", summary, tuple(sections), dict(settings), tuple(f"{e.name}: {e.missing}" for e in entries if e.section is None)
    )


def write_page(path: Path, entries: Sequence[Entry], settings: Mapping[str, Any], command: str) -> None:
    """The page and, in a folder of its name beside it, its pictures. Files there are replaced."""
    write_markdown(ablation_report(entries, settings, command), path, True, in_folder=True, limit=PICTURE_BYTES)
