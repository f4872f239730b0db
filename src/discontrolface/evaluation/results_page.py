"""The results page of the documentation from finished evaluations, what fell short first:

    python -m discontrolface.evaluation.results_page docs/results.md "Held-out pairs=out/pairs.json" "The example photo=out/photo.json"

Each part is TITLE=OUT.json of `discontrolface evaluate`; its sheet is read from OUT.parts. `make results-docs` measures and writes all of it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.evaluation.ablation_page import small_jpeg, table_markdown
from discontrolface.evaluation.metrics import TRUTH
from discontrolface.evaluation.parts import parts_of
from discontrolface.evaluation.report import evaluation_report
from discontrolface.reports.content import Report
from discontrolface.reports.files import slug

SHEET_BYTES = 400_000
LEAVE_OUT = ("As sets", "The first edits")  # no figures without weights of others; the sheet has its own place


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


def part_markdown(title: str, report: Report, picture: str | None) -> str:
    """One evaluation: what fell short, then its tables. Single and combined edits apart only against the true picture."""
    out = [f"## {title}", report.summary]
    for section in report.sections:
        tables = [
            t for t in section.tables if section.title == TRUTH or not t.title.startswith(f"{section.title}, ") or ", all " in t.title
        ]
        if section.title in LEAVE_OUT or not tables:
            continue
        words = "" if section.title == "What fell short" else section.text  # the summary says it
        out += [f"### {section.title}", *filter(None, [words]), *map(table_markdown, tables)]
    if picture is not None:
        out.append(f"![{title}: source, truth where it is known, every method]({picture})")
    settings = "; ".join(f"{name}: {value}" for name, value in report.settings.items())
    return "\n\n".join([*out, f"Measured with: {settings}."])


def write_results(path: Path, parts: Sequence[str], note: str = "") -> None:
    """The page, and its sheets as JPEGs in a folder of its name beside it. Files there are replaced.

    note: Markdown that comes first, for what the figures cannot know (how long something was trained).
    """
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    out = ["# Results", "Made by `make results-docs`, which anybody can run again (docs/evaluation.md says what each figure is)."]
    out += [note] if note else []
    for title, source, content in map(read_part, parts):
        sheet, name = parts_of(source) / "sheet.png", f"{slug(title)}.jpg"
        if sheet.is_file():
            write_atomically(folder / name, small_jpeg(np.asarray(Image.open(sheet).convert("RGB")), SHEET_BYTES), True)
        out.append(part_markdown(title, evaluation_report(content), f"{folder.name}/{name}" if sheet.is_file() else None))
    write_atomically(path, ("\n\n".join(out) + "\n").encode(), True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="the .md file")
    parser.add_argument("parts", nargs="+", help="TITLE=OUT.json")
    parser.add_argument("--note", type=Path, help="a Markdown file that comes first")
    args = parser.parse_args()
    try:
        write_results(args.page, args.parts, args.note.read_text().strip() if args.note else "")
    except (UserError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"wrote {args.page}")


if __name__ == "__main__":
    main()
