"""The run's log: log.jsonl, one line a step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing


def read_log(path: Path, before: int | None = None) -> list[dict[str, Any]]:
    """The lines of the steps below `before`. A last line that a kill cut off is left out."""
    lines: list[dict[str, Any]] = []
    if not path.exists():
        return lines
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            break
        if before is None or line["step"] < before:
            lines.append(line)
    return lines


def cut_log(path: Path, step: int) -> None:
    """Forget the lines from `step` on: they will be written again."""
    kept = read_log(path, step)
    with replacing(path, "the log") as f:
        f.write("".join(json.dumps(line) + "\n" for line in kept).encode())


def check_bar(path: Path, bar: float) -> None:
    """UserError when the mean loss of the last tenth of the steps is not below the bar."""
    losses = [line["loss"] for line in read_log(path)]
    last = losses[-max(1, len(losses) // 10) :]
    mean = sum(last) / len(last)
    if not mean < bar:
        raise UserError(f"the mean loss of the last {len(last)} steps is {mean:.5f}, not below loss_bar {bar:g}; see {path}")
