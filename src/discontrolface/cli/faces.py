"""Which faces of a photo are edited, and what each becomes: `--face all`, `--edit 2:yaw=10`, `--edits FILE`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discontrolface.cli.source import Source
from discontrolface.common.errors import UserError
from discontrolface.common.text_files import read_text

if TYPE_CHECKING:
    from discontrolface.editing.person import Person
    from discontrolface.editing.reading import Reader

FORM = "--edit is FACE:NAME=VALUE,..., for instance --edit 0:smile=0.8,yaw=10"


@dataclass(frozen=True)
class FaceEdits:
    """Edits of single faces; the other options are for all faces that are edited."""

    edit: Annotated[
        list[str] | None,
        typer.Option(
            "--edit", help="What one face becomes: its number, then controls by name. Give it once a face.", metavar="N:NAME=VALUE"
        ),
    ] = None
    edits: Annotated[
        Path | None, typer.Option("--edits", help='The same for many faces, a JSON file: {"0": {"smile": 0.8}, "2": {"yaw": 10}}.')
    ] = None

    def controls(self) -> dict[int, dict[str, Any]]:
        """{face: {control: value}}, in the order of the numbers. UserError for another form and for a face that is given twice."""
        found: dict[int, dict[str, Any]] = {}
        for number, values in [*map(parse_edit, self.edit or []), *([] if self.edits is None else read_edits(self.edits))]:
            if number in found:
                raise UserError(f"face {number} was given two edits; put all of its controls into one")
            found[number] = values
        return dict(sorted(found.items()))

    def check(self, source: Source) -> None:
        """UserError for what does not go together with the options that choose one face."""
        self.controls()
        chosen = "--face-box" if source.face_box is not None else f"--face {source.face}" if source.number is not None else None
        if chosen is not None and (self.edit or self.edits is not None):
            raise UserError(f"{chosen} chooses one face, and --edit or --edits names faces too; give one of them")

    def several(self, source: Source) -> bool:
        """Whether more than the one face that `source` chooses may be edited."""
        return source.every or bool(self.edit) or self.edits is not None

    def read(self, source: Source, reader: Reader, photo: Path) -> dict[int | None, Person]:
        """{face: person} of the faces that are edited; the number is None where a box or nothing chose the face."""
        own = self.controls()
        if not self.several(source):
            return {source.number: source.read(reader, photo)}
        people = reader.read_several(source.load(photo), None if source.every else list(own))
        numbers = range(len(people)) if source.every else list(own)
        unknown = [number for number in own if number not in numbers]
        if unknown:
            raise UserError(f"there is no face {unknown[0]} in {photo}: faces are numbered from 0 (largest) to {len(people) - 1}")
        return dict(zip(numbers, people, strict=True))


def parse_edit(text: str) -> tuple[int, dict[str, Any]]:
    """`0:smile=0.8,light=left` as (0, {"smile": 0.8, "light": "left"})."""
    number, colon, rest = text.partition(":")
    pairs = [part.partition("=") for part in rest.split(",") if part.strip()]
    if not (colon and pairs and number.strip().isascii() and number.strip().isdigit() and all(name and mark for name, mark, _ in pairs)):
        raise UserError(f"--edit {text!r} is not understood; {FORM}")
    values: dict[str, Any] = {}
    for name, _, value in pairs:
        if name.strip() in values:
            raise UserError(f"--edit {text!r} gives {name.strip()} twice; give it once")
        values[name.strip()] = as_value(value.strip())
    return int(number), values


def as_value(text: str) -> float | str:
    """A number, or the name of a choice."""
    try:
        return float(text)
    except ValueError:
        return text


def read_edits(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """What a JSON file says. UserError for another form."""
    form = f'{path} is not a JSON object of edits by face, as {{"0": {{"smile": 0.8}}, "2": {{"yaw": 10}}}}'
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{form} ({error})") from error
    if not isinstance(content, Mapping):
        raise UserError(form)
    for number, values in content.items():
        if not (number.isascii() and number.isdigit() and isinstance(values, Mapping)):
            raise UserError(f"{form}: {number!r} is not a face with controls")
    return [(int(number), dict(values)) for number, values in content.items()]
