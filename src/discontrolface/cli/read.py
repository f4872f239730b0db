"""`discontrolface read`: the face parameters of a photo, printed and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discontrolface.cli.common import OverwriteOption, PhotoArgument, check_clashes, check_outputs, grouped, plain_errors, printable
from discontrolface.cli.source import Source
from discontrolface.common.errors import UserError
from discontrolface.face.control_table import DEGREES
from discontrolface.face.controls import CONTROLS

if TYPE_CHECKING:
    from discontrolface.common.images import Photo
    from discontrolface.editing.person import Person
    from discontrolface.face.confidence import Confidence
    from discontrolface.face.parameters import FaceParameters


@grouped
def read(
    photo: PhotoArgument,
    source: Source,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the parameters to this JSON file.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write one picture: photo, crop, mesh, snapshot.")] = None,
    codes: Annotated[
        Path | None, typer.Option(help="With FLAME: write EMOCA's or DECA's codes to this file (.npz, .mat, .pkl, .npy).")
    ] = None,
    faces: Annotated[
        bool,
        typer.Option("--faces", help="List all faces, with their numbers and boxes; --sheet shows them in the photo, -o writes the list."),
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Read the face parameters of a photo and print them. --faces lists the faces that there are instead. Of a clip: every frame, -o FILE.jsonl."""
    with plain_errors():
        from discontrolface.common.text_files import write_text
        from discontrolface.common.video import is_clip

        if is_clip(photo):
            read_clip(photo, source, output, [sheet, codes, faces or None], overwrite)
            return
        check_outputs(pictures=[sheet], texts=[output], overwrite=overwrite, inputs=[photo], recorded=False)
        check_clashes([sheet, output, codes], [photo], overwrite)
        if codes is not None:
            check_codes_output(codes, overwrite)
        if faces:
            list_faces(photo, source, output, sheet, codes, overwrite)
            return
        reader = source.reader()
        loaded = source.load(photo)
        number, (found, least) = (
            source.number or 0,
            (None, 0.0) if source.face_box is not None else reader.find_quickly(loaded, source.number or 0),
        )
        person = source.read(reader, loaded) if found is None or source.every else reader.read_found(loaded, found, number)
        if codes is not None:
            from discontrolface.face.codes import write_codes

            if person.codes is None:
                raise UserError(f"{photo} was not read by EMOCA's or DECA's networks, so there are no codes; give --preset paper with them")
            write_codes(codes, person.codes)
        if output is not None:
            write_text(output, person.parameters.to_json(person.confidence.readable()), overwrite)
        if sheet is not None:
            from discontrolface.common.images import save_photo
            from discontrolface.editing.sheet import reading_sheet

            save_photo(reading_sheet(person), sheet, overwrite)
        print_reading(person, None if found is None else faces_row(number, len(found), least))


def read_clip(clip: Path, source: Source, output: Path | None, unused: list[object], overwrite: bool) -> None:
    """Every frame's parameters, a line of JSON each; on stdout how they move."""
    from discontrolface.cli.animate import performed
    from discontrolface.cli.clip_files import check_free
    from discontrolface.editing.performance import save_performance

    if output is None or output.suffix.lower() != ".jsonl" or any(unused) or source.face is not None or source.face_box is not None:
        raise UserError(f"{clip} is a clip: give -o FILE.jsonl for its frames' parameters, and no option but --preset and --head")
    check_free(output, clip, overwrite)
    performance = performed(source.reader(), clip, quiet=False)
    save_performance(performance, output, overwrite)
    known = [face for face in performance.frames if face is not None]
    typer.echo(
        f"{len(known)} of {len(performance.frames)} frames with a face, {float(performance.rate):g} a second; parameters in {output}"
    )


def check_codes_output(path: Path, overwrite: bool) -> None:
    """Before the long work: can codes be written there?"""
    from discontrolface.common.text_files import check_text_output
    from discontrolface.face.codes import FORMATS

    if path.suffix not in FORMATS:
        raise UserError(f"{path} has no known ending for codes; choose one of {', '.join(FORMATS)}")
    check_text_output(path, overwrite, path.suffix)


def list_faces(photo: Path, source: Source, output: Path | None, sheet: Path | None, codes: Path | None, overwrite: bool) -> None:
    """`--faces`: number, box and size of each face as a table on stdout, as JSON, and in the photo."""
    from PIL import Image
    from rich.console import Console
    from rich.table import Table

    from discontrolface.common.images import save_photo
    from discontrolface.common.text_files import write_text
    from discontrolface.editing.sheet import faces_sheet

    if codes is not None or source.face is not None or source.face_box is not None:
        other = f"--codes {codes}" if codes is not None else "--face-box" if source.face_box is not None else f"--face {source.face}"
        raise UserError(f"--faces lists all faces and reads none, so {other} does nothing; leave one of them out")
    loaded = source.load(photo)
    found = source.reader().find(loaded)
    boxes = [[round(v) for v in face.box] for face in found]
    if output is not None:
        rows = [{"face": n, "box": box, "size": round(face.size, 1)} for n, (box, face) in enumerate(zip(boxes, found, strict=True))]
        write_text(output, json.dumps({"faces": rows}, indent=1), overwrite)
    if sheet is not None:
        save_photo(faces_sheet(Image.fromarray(loaded.array), [face.box for face in found]), sheet, overwrite)
    table = Table("face", "left,top,right,bottom", "size", title=title_of(loaded))
    for number, (box, face) in enumerate(zip(boxes, found, strict=True)):
        table.add_row(str(number), ",".join(map(str, box)), f"{face.size:.0f} px")
    Console().print(table)


def title_of(photo: Photo) -> str:
    """The photo's name and size; nothing in the name is markup."""
    from rich.markup import escape

    return f"{escape(printable(photo.path.name))}  {photo.size[0]}x{photo.size[1]}"


def faces_row(number: int, count: int, least: float) -> str:
    """How many faces were found, and which one is read. least: down to which size in pixels all were looked for; 0: any size."""
    chosen = f"; face {number} is read (--faces lists them, --face N chooses)" if count > 1 else ""
    if not least:
        return f"{count} found{chosen}"
    return f"{count} found, of {least:.0f} pixels and more all{chosen}; --faces looks for smaller ones, which takes longer"


def print_reading(person: Person, faces: str | None) -> None:
    """The parameters as a table on stdout. faces: what is said of how many there are; None where a box chose the face."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title_of(person.photo), show_header=False)
    if faces is not None:
        table.add_row("faces", faces)
    for row in reading_rows(person.parameters):
        table.add_row(*row)
    table.add_row("landmark error", f"{person.fit.mean_pixels:.2f} px, {person.fit.mean_percent:.2f} % of the face's width")
    table.add_row("confidence", confidence_row(person.confidence))
    Console().print(table)


def confidence_row(confidence: Confidence) -> str:
    """The number, and the parts that speak against the reading."""
    parts = {name: part for name, part in confidence.readable().items() if name != "value" and part < 0.9}
    against = ", ".join(f"{name} {part:.2f}" for name, part in sorted(parts.items(), key=lambda item: item[1]))
    return f"{confidence.value:.2f}" + (f" ({against})" if against else "")


def reading_rows(face: FaceParameters) -> list[tuple[str, str]]:
    """(what, values in words) of every control that a face shows; of blendshapes and shape the strong ones, strongest first.

    Of a shape with measurements these, not the coefficients.
    """
    rows = []
    values = face.readable()
    for argument in CONTROLS.table.recorded:
        value, controls = values.get(argument.name), CONTROLS.table.of(argument.name)
        if value is None:
            continue
        if argument.form == "mapping":
            measures = [row for row in face.controls.controls if row.argument == argument.name and row.measures]
            value = {row.name: row.read(face) for row in measures if row.read is not None} or value
            strong = sorted(((n, v) for n, v in value.items() if abs(v) >= argument.printed_from), key=lambda item: -abs(item[1]))
            rows.append((argument.name, ", ".join(f"{name} {number:.2f}" for name, number in strong) or argument.empty))
            continue
        numbers = value if argument.form == "vector" else [value]
        axes = [control.name.removeprefix(f"{argument.name}_") for control in controls]
        name = f"{argument.name} ({', '.join(axes)})" if argument.form == "vector" else argument.name
        rows.append((name, ", ".join(f"{number:.1f}°" if controls[0].unit == DEGREES else f"{number:.2f}" for number in numbers)))
    return rows
