"""`discontrolface read`: the face parameters of a photo, printed and written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discontrolface.cli.common import OverwriteOption, PhotoArgument, check_outputs, grouped, plain_errors
from discontrolface.cli.source import Source
from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.editing.person import Person


@grouped
def read(
    photo: PhotoArgument,
    source: Source,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the parameters to this JSON file.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write one picture: photo, crop, mesh, snapshot.")] = None,
    codes: Annotated[
        Path | None, typer.Option(help="With FLAME: write EMOCA's or DECA's codes to this file (.npz, .mat, .pkl, .npy).")
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Read the face parameters of a photo and print them."""
    with plain_errors():
        from discontrolface.common.text_files import write_text

        check_outputs(pictures=[sheet], texts=[output], overwrite=overwrite)
        if codes is not None:
            check_codes_output(codes, overwrite)
        person = source.read(source.reader(), photo)
        if codes is not None:
            from discontrolface.face.codes import write_codes

            if person.codes is None:
                raise UserError(f"{photo} was not read by EMOCA's or DECA's networks, so there are no codes; give --preset paper with them")
            write_codes(codes, person.codes)
        if output is not None:
            write_text(output, person.parameters.to_json(), overwrite)
        if sheet is not None:
            from discontrolface.common.images import save_photo
            from discontrolface.editing.sheet import reading_sheet

            save_photo(reading_sheet(person), sheet, overwrite)
        print_reading(person)


def check_codes_output(path: Path, overwrite: bool) -> None:
    """Before the long work: can codes be written there?"""
    from discontrolface.common.text_files import check_text_output
    from discontrolface.face.codes import FORMATS

    if path.suffix not in FORMATS:
        raise UserError(f"{path} has no known ending for codes; choose one of {', '.join(FORMATS)}")
    check_text_output(path, overwrite, path.suffix)


def print_reading(person: Person) -> None:
    """The parameters as a table on stdout."""
    from rich.console import Console
    from rich.table import Table

    values = person.parameters.readable()
    table = Table(title=f"{person.photo.path.name}  {person.photo.size[0]}x{person.photo.size[1]}", show_header=False)
    for key in ("yaw", "pitch", "roll"):
        table.add_row(key, f"{values[key]:.1f}°")
    table.add_row("gaze (yaw, pitch)", ", ".join(f"{v:.1f}°" for v in values["gaze"]))
    strong = sorted(person.parameters.expression_dict(0.05).items(), key=lambda item: -abs(item[1]))
    table.add_row("expression", ", ".join(f"{name} {value:.2f}" for name, value in strong) or "neutral")
    table.add_row("landmark error", f"{person.fit.mean_pixels:.2f} px, {person.fit.mean_percent:.2f} % of the face's width")
    Console().print(table)
