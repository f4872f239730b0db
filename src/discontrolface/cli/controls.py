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
class Controls:
    """What is to be different. values: {argument: as `edit` takes it}; photos: {part of a face: the photo it is taken from}; parameters: a file."""

    values: Mapping[str, Any]
    photos: Mapping[str, Path]
    parameters: Path | None

    @classmethod
    def options(cls) -> list[inspect.Parameter]:
        """An option for each argument of the table, one for each part of a face that another photo can give, and `--parameters`."""
        options = [_option(argument) for argument in CONTROLS.table.arguments]
        for part in CONTROLS.table.parts:
            if part.option_help is not None:
                options.append(_parameter(f"{part.name}_from", Path | None, typer.Option(help=part.option_help), None))
        parameters = typer.Option(help="Start from parameters in this JSON file (see `read -o`).")
        return [*options, _parameter("parameters", Path | None, parameters, None)]

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> Self:
        """What was given of `options`. The text of numbers and pairs is read by `checked_values`."""
        photos = {part.name: given.get(f"{part.name}_from") for part in CONTROLS.table.parts}
        return cls(
            {argument.name: given.get(argument.name) for argument in CONTROLS.table.arguments},
            {name: path for name, path in photos.items() if path is not None},
            given["parameters"],
        )

    @property
    def files(self) -> list[Path | None]:
        """The files that are read: parameters, other photos."""
        return [self.parameters, *self.photos.values()]

    def checked_values(self) -> dict[str, Any]:
        """The named values, as `FaceParameters.edit` takes them. UserError for what is not understood, before anything is loaded."""
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
                values[argument.name] = tuple(control.checked(number) for control, number in zip(controls, numbers, strict=True))
            else:
                values[argument.name] = controls[0].checked(value)
        return values

    def target(self, reader: Reader, person: Person) -> FaceParameters:
        """The photo's parameters, then the file's, then parts of other photos, then the named values."""
        from discontrolface.common.text_files import read_text
        from discontrolface.face.parameters import FaceParameters

        target = person.parameters
        if self.parameters is not None:
            given = FaceParameters.from_json(read_text(self.parameters), base=target, source=str(self.parameters))
            person.check_target(given)
            target = given.with_(camera=target.camera)  # where the head is in this crop is this photo's own
        for part, path in self.photos.items():
            target = target.take_from(reader.read(path).parameters, part)
        return target.edit(controls=self.checked_values())


def _option(argument: Argument) -> inspect.Parameter:
    """The option of one argument of the table."""
    if argument.form == "switch":
        return _parameter(argument.name, bool, typer.Option(argument.option, help=argument.help), False)
    kind = float | None if argument.form == "number" else str | None
    return _parameter(argument.name, kind, typer.Option(argument.option, help=argument.help, metavar=argument.metavar), None)


def _parameter(name: str, kind: Any, option: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])
