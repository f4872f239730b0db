"""The model card's figures by group of people, from a finished evaluation of real pairs:

    python -m discontrolface.evaluation.model_card docs/model-card.md out/real.json

What stands between the two marks in the file is replaced; the rest is not touched. `make real-results` measures and writes it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.evaluation.group_tables import EDIT, Edits, estimate, group_names, people_of, values_of_group
from discontrolface.evaluation.metrics import METRICS

BEGIN, END = "<!-- figures by group: begin -->", "<!-- figures by group: end -->"
METHODS: Final = ("photo", "warp", "ours", "one-step")  # and every column of other weights
SHOWN: Final = {"psnr": 1, "hidden_psnr": 1, "ssim": 3, "identity_truth": 3, "blendshapes": 3, "smile": 3}  # with their digits


def groups(result: Mapping[str, Any]) -> dict[str, Edits]:
    """All edits, then by what is edited, then by what is known of the people."""
    edits: Edits = result["edits"]
    out: dict[str, Edits] = {"all": edits}
    for what in (EDIT, *group_names(edits)):
        for name, of_group in values_of_group(edits, what).items():
            out[name if what == EDIT or name != "not said" else f"{what} {name}"] = of_group
    return out


def group_tables(result: Mapping[str, Any]) -> str:
    """Markdown: a table for each metric, groups in rows, methods in columns; an interval over the people where all are in it."""
    labels = {name: label for name, label in result["labels"].items() if name in METHODS or ":" in name}
    tables = []
    for metric, digits in SHOWN.items():
        if not any(edit["methods"][name].get(metric) is not None for edit in result["edits"] for name in labels):
            continue
        rows = [row(name, edits, labels, metric, digits) for name, edits in groups(result).items()]
        head = [f"{METRICS[metric].label} {'↓' if METRICS[metric].less else '↑'}", "people", "edits", *labels.values()]
        tables.append("\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---", *["---:"] * (len(head) - 1)], *rows)))
    return "\n\n".join(tables)


def row(name: str, edits: Edits, labels: Mapping[str, str], metric: str, digits: int) -> list[str]:
    """A group's cells."""
    estimates = [estimate(edits, method, metric) for method in labels]
    cells = [("-" if e.value is None else e.text(digits) if name == "all" else f"{e.value:.{digits}f}") for e in estimates]
    return [name, str(len(set(people_of(edits) or ()))), str(len(edits)), *cells]


def write_card(path: Path, source: Path) -> None:
    """Replace what stands between the marks. UserError when they are not there, or `source` is no evaluation of real pairs."""
    try:
        result = json.loads(source.read_text())
        if not (result["format"] == "discontrolface.evaluation" and all("person" in edit for edit in result["edits"])):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{source} is not what `discontrolface evaluate --pairs real` wrote; give its OUT.json") from error
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{path} does not have the lines {BEGIN} and {END}, between which the figures go")
    write_atomically(path, f"{before}{BEGIN}\n\n{group_tables(result)}\n\n{END}{after}".encode())


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("card", type=Path, help="the .md file with the two marks")
    parser.add_argument("evaluation", type=Path, help="OUT.json of real pairs")
    args = parser.parse_args(given)
    try:
        write_card(args.card, args.evaluation)
    except (UserError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    print(f"wrote {args.card}")


if __name__ == "__main__":
    main()
