"""The options that say what changes in a face: the same for an edit and for an exported head. Made from the table of controls."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from discontrolface.cli.common import parse_numbers, parse_pairs
from discontrolface.face.control_table import Argument
from discontrolface.face.controls import CONTROLS

if TYPE_CHECKING:
    from discontrolface.editing.person import Person
    from discontrolface.editing.reading import Reader
    from discontrolface.face.parameters import FaceParameters


@dataclass(frozen=True)
class OtherFace:
    """A face of another photo, by its number."""

    photo: Path
    number: int

    @classmethod
    def of(cls, given: Path, number: int) -> Self:
        """`PHOTO#2` is face 2 of PHOTO; without `#`, or where a file has the whole name, `number` counts."""
        name, mark, digits = str(given).rpartition("#")
        if mark and name and digits.isascii() and digits.isdigit() and not given.exists():
            return cls(Path(name), int(digits))
        return cls(given, number)


@dataclass(frozen=True)
class Controls:
    """What is to be different. values: {argument: as `edit` takes it}; faces: {part of a face: the face of another photo it is taken from};
    parameters: a file."""

    values: Mapping[str, Any]
    faces: Mapping[str, OtherFace]
    parameters: Path | None

    @classmethod
    def options(cls) -> list[inspect.Parameter]:
        """An option for each argument of the table, one for each part of a face that another photo can give, and `--parameters`."""
        options = [_option(argument) for argument in CONTROLS.table.arguments]
        for part in CONTROLS.table.parts:
            if part.option_help is not None:
                shown = typer.Option(help=f"{part.option_help} PHOTO#2 is its face 2.", metavar="PHOTO[#N]")
                options.append(_parameter(f"{part.name}_from", Path | None, shown, None))
        number = typer.Option(help="Which face of these photos: 0 is the largest. PHOTO#N comes first.")
        options.append(_parameter("from_face", int, number, 0))
        parameters = typer.Option(help="Start from parameters in this JSON file (see `read -o`).")
        return [*options, _parameter("parameters", Path | None, parameters, None)]

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> Self:
        """What was given of `options`. The text of numbers and pairs is read by `checked_values`."""
        photos = {part.name: given.get(f"{part.name}_from") for part in CONTROLS.table.parts}
        number = given["from_face"]
        return cls(
            {argument.name: given.get(argument.name) for argument in CONTROLS.table.arguments},
            {name: OtherFace.of(path, number) for name, path in photos.items() if path is not None},
            given["parameters"],
        )

    @property
    def files(self) -> list[Path | None]:
        """The files that are read: parameters, other photos."""
        return [self.parameters, *(face.photo for face in self.faces.values())]

    def checked_values(self, amounts: bool = False) -> dict[str, Any]:
        """The named values, as `FaceParameters.edit` takes them. UserError for what is not understood, before anything is loaded.

        amounts: they are to be added to what a face shows (face/added.py).
        """
        table = CONTROLS.table
        values: dict[str, Any] = {}
        for argument in table.arguments:
            value = self.values[argument.name]
            if value is None or value is False:
                continue
            controls = table.of(argument.name)
            if argument.form == "mapping":
                values[argument.name] = parse_pairs(value, argument.option)
            elif argument.form == "vector":
                numbers = parse_numbers(value, argument.option, len(controls)) or ()
                pairs = zip(controls, numbers, strict=True)
                values[argument.name] = tuple(c.checked_amount(number) if amounts else c.checked(number) for c, number in pairs)
            else:
                values[argument.name] = controls[0].checked_amount(value) if amounts else controls[0].checked(value)
        return values

    def others(self, reader: Reader) -> dict[str, Person]:
        """{part of a face: the face that it is taken from}, each read once."""
        read = {face: reader.read(face.photo, face.number) for face in dict.fromkeys(self.faces.values())}
        return {part: read[face] for part, face in self.faces.items()}

    @property
    def named(self) -> dict[str, str]:
        """{part of a face: what messages call the face that it is taken from}."""
        return {part: f"face {face.number} of {face.photo}" for part, face in self.faces.items()}

    def target(self, person: Person, others: Mapping[str, Person]) -> FaceParameters:
        """The photo's parameters, then the file's, then parts of other photos' faces, then the named values."""
        from discontrolface.common.text_files import read_text
        from discontrolface.face.parameters import FaceParameters

        target = person.parameters
        if self.parameters is not None:
            given = FaceParameters.from_json(read_text(self.parameters), base=target, source=str(self.parameters))
            person.check_target(given)
            target = given.with_(camera=target.camera)  # where the head is in this crop is this photo's own
        for part, other in others.items():
            target = target.take_from(other.parameters, part)
        return target.edit(controls=self.checked_values())


def _option(argument: Argument) -> inspect.Parameter:
    """The option of one argument of the table."""
    if argument.form == "switch":
        return _parameter(argument.name, bool, typer.Option(argument.option, help=argument.help), False)
    kind = float | None if argument.form == "number" else str | None
    return _parameter(argument.name, kind, typer.Option(argument.option, help=argument.help, metavar=argument.metavar), None)


def _parameter(name: str, kind: Any, option: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])
