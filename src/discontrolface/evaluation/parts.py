"""What an evaluation has measured so far, on disk: a folder beside OUT.json, a file a batch, which more methods and more batches are added to.

OUT.parts/settings.json what all figures depend on: the edits, the preset, the versions
OUT.parts/000012.json   a batch: of which pictures its methods' figures are, and the figures
OUT.parts/000012.npz    Inception features of its pictures, where they are asked for
OUT.parts/first.npz     the first pictures of each method, for the sheet; sheet.png: the sheet
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing, write_atomically
from discontrolface.evaluation.costs import Cost

Identity = dict[str, str | int | float]  # what a method's figures depend on beside the settings; the same: the same pictures


class Batch:
    """A batch's file. methods: {method: its identity}; edits: a line for each edit; left_out: for those that could not be made; costs: by method."""

    def __init__(self, path: Path) -> None:
        """UserError for a file that is not one of these."""
        self.path = path
        self.methods: dict[str, Identity] = {}
        self.edits: list[dict[str, Any]] = []
        self.left_out: list[dict[str, Any]] = []
        self.costs: dict[str, Cost] = {}
        if path.is_file():
            try:
                content = json.loads(path.read_text())
                self.methods, self.edits, self.left_out = dict(content["methods"]), list(content["edits"]), list(content["left_out"])
                self.costs = {name: Cost(*cost) for name, cost in content.get("costs", {}).items()}  # files of before have none
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UserError(f"{path} is not a batch of figures; remove it and run the same command again") from error

    def lacks(self, asked: Mapping[str, Identity]) -> list[str]:
        """The methods that are not measured, or were with other pictures."""
        return [name for name, identity in asked.items() if self.methods.get(name) != identity]

    def check(self, asked: Mapping[str, Identity]) -> None:
        """UserError when a method was measured with other weights or pictures."""
        for name, identity in asked.items():
            before = self.methods.get(name, identity)
            changed = next((key for key in {**before, **identity} if before.get(key) != identity.get(key)), None)
            if changed is not None:
                now = f"{before.get(changed)}, now {identity.get(changed)}"
                raise UserError(
                    f"{self.path} holds figures with other {changed} ({now}); choose another -o, or --overwrite to measure it again"
                )

    def add(
        self, methods: Mapping[str, Identity], edits: list[dict[str, Any]], left_out: list[dict[str, Any]], costs: Mapping[str, Cost]
    ) -> None:
        """More methods' figures of the same edits; written at once."""
        before = {edit["name"]: edit["methods"] for edit in self.edits}
        self.edits = [{**edit, "methods": {**before.get(edit["name"], {}), **edit["methods"]}} for edit in edits]
        self.methods, self.left_out, self.costs = {**self.methods, **methods}, left_out, {**self.costs, **costs}
        content = {"methods": self.methods, "left_out": self.left_out, "costs": self.costs, "edits": self.edits}
        write_atomically(self.path, json.dumps(content).encode())

    def lines(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """The edits with the figures of some methods, in this order."""
        return [{**edit, "methods": {name: edit["methods"][name] for name in names}} for edit in self.edits]


def add_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Arrays by name into a file that may hold others."""
    kept: dict[str, NDArray[Any]] = {}
    if path.is_file():
        with np.load(path, allow_pickle=False) as before:
            kept = {name: before[name] for name in before.files}
    with replacing(path) as file:
        np.savez_compressed(file, **{**kept, **arrays})  # type: ignore[arg-type]


def parts_of(output: Path) -> Path:
    """The folder of OUT.json."""
    return output.with_suffix(".parts")


def begin(parts: Path, settings: dict[str, str | int | float], overwrite: bool) -> None:
    """A folder for the figures; UserError when it holds those of other settings (with `overwrite` they are removed), or is no such folder."""
    kept = parts / "settings.json"
    if kept.is_file():
        try:
            before = json.loads(kept.read_text())
            changed = next((k for k in {**before, **settings} if before.get(k) != settings.get(k)), None)
        except (OSError, ValueError, TypeError, AttributeError):
            before, changed = {}, "format"
        if changed is None:
            return
        if not overwrite:
            now = f"{before.get(changed)}, now {settings.get(changed)}"
            raise UserError(f"{parts} holds figures with another {changed} ({now}); choose another -o or --overwrite")
        for path in (p for pattern in ("*.json", "*.npz", "*.png") for p in parts.glob(pattern)):
            path.unlink()
    try:
        parts.mkdir(exist_ok=True)
        if any(parts.iterdir()):
            raise UserError(f"{parts} is not a folder of figures; choose another -o")
    except OSError as error:
        raise UserError(f"cannot make the folder {parts}: {error.strerror or error}") from error
    write_atomically(kept, json.dumps(settings, indent=1).encode())
