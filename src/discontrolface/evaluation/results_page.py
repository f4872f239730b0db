"""The results page of the documentation from finished evaluations, what fell short first:

    python -m discontrolface.evaluation.results_page docs/results.md "Held-out pairs=out/pairs.json" "The example photo=out/photo.json"

Each part is TITLE=OUT.json of `discontrolface evaluate`; its sheet is read from OUT.parts. `make results-docs` measures and writes all of it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.evaluation.metrics import TRUTH
from discontrolface.evaluation.parts import parts_of
from discontrolface.evaluation.report import SHEET, evaluation_report
from discontrolface.reports import write_markdown
from discontrolface.reports.cells import slug
from discontrolface.reports.content import Picture, Report, Section

SHEET_BYTES = 150_000
TITLE, MADE_BY = "Results", "make results-docs"


def read_part(text: str) -> tuple[str, Path, dict[str, Any]]:
    """TITLE=OUT.json -> title, path, content. UserError when it is no evaluation."""
    title, equals, name = text.partition("=")
    if not equals or not title or not name:
        raise UserError(f"{text!r} is not TITLE=OUT.json")
    try:
        content = json.loads(Path(name).read_text())
        if content["format"] != "discontrolface.evaluation":
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{name} is not what `discontrolface evaluate` wrote; give its OUT.json") from error
    return title, Path(name), content


def part_sections(title: str, report: Report, sheet: Path | None) -> list[Section]:
    """One evaluation: what fell short with the sheet of the first edits, then its tables. Single and combined edits apart only against the truth.

    sheet: None where it may not be shown.
    """
    pictures = (
        (Picture(f"{title}: {SHEET.lower()}", np.asarray(Image.open(sheet).convert("RGB")), name=slug(title)),)
        if sheet is not None and sheet.is_file()
        else ()
    )
    plots = tuple(replace(plot, name=f"{slug(title)}-differences") for section in report.sections for plot in section.plots)
    settings = "; ".join(f"{name}: {value}" for name, value in report.settings.items())
    out = [Section(title, f"{report.summary}\n\nMeasured with: {settings}.", (), pictures, plots)]
    for section in report.sections:
        tables = tuple(
            t for t in section.tables if section.title == TRUTH or not t.title.startswith(f"{section.title}, ") or ", all " in t.title
        )
        if tables and section.title != "As sets":  # distances of sets need weights of others
            out.append(Section(section.title, section.text, tables, level=3))
    return out


def write_results(
    path: Path,
    parts: Sequence[str],
    note: str = "",
    title: str = TITLE,
    made_by: str = MADE_BY,
    unseen: Sequence[str] = (),
) -> None:
    """The page, and its sheets as JPEGs in a folder of its name beside it. Files there are replaced.

    note: Markdown that comes first, for what the estimates cannot know (how long something was trained). made_by: the command that makes the page.
    unseen: titles of parts whose pictures may not be shown.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    evaluations = [(part, source, evaluation_report(content)) for part, source, content in map(read_part, parts)]
    missing: dict[str, list[str]] = {}
    for part, _, report in evaluations:
        for line in report.missing:
            missing.setdefault(line, []).append(part)
    lines = tuple(line if len(named) == len(parts) else f"{line} ({', '.join(named)})" for line, named in missing.items())
    sections = [
        section
        for part, source, report in evaluations
        for section in part_sections(part, report, None if part in unseen else parts_of(source) / "sheet.png")
    ]
    summary = f"Made by `{made_by}`, which anybody can run again (docs/evaluation.md says what each estimate is)."
    write_markdown(Report(title, summary, tuple(sections), missing=lines), path, True, in_folder=True, limit=SHEET_BYTES, preamble=note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="the .md file")
    parser.add_argument("parts", nargs="+", help="TITLE=OUT.json")
    parser.add_argument("--note", type=Path, help="a Markdown file that comes first")
    parser.add_argument("--title", default=TITLE, help="of the page")
    parser.add_argument("--made-by", default=MADE_BY, help="the command that makes the page")
    parser.add_argument("--without-pictures", nargs="*", default=[], metavar="TITLE", help="parts whose people may not be shown")
    args = parser.parse_args()
    try:
        note = args.note.read_text().strip() if args.note else ""
        write_results(args.page, args.parts, note, args.title, args.made_by, args.without_pictures)
    except (UserError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"wrote {args.page}")


if __name__ == "__main__":
    main()
