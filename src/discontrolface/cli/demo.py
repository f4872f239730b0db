"""`discontrolface demo`: thirteen edits of the photo that comes with the package, on one sheet. `make demo` runs this."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discontrolface.cli.common import OverwriteOption, check_outputs, plain_errors, say, without_native_messages

if TYPE_CHECKING:
    from discontrolface.editing.person import Person


def demo(
    photo: Annotated[Path | None, typer.Option(help="Another photo. [default: the one that comes with the package]")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("discontrolface-demo"),
    preset: Annotated[str, typer.Option(help="Name or folder of the preset.")] = "open",
    overwrite: OverwriteOption = False,
) -> None:
    """Edit a real photo in thirteen ways and put them on one sheet: does it work here, and what does it do?"""
    with plain_errors():
        from discontrolface.common.example import example_photo
        from discontrolface.editing.example_edits import EDITS

        files = {name: output / f"{name.replace(' ', '_')}.png" for name in EDITS}
        sheet = output / "sheet.png"
        check_folder(output)
        given = photo or example_photo()
        check_outputs([*files.values(), sheet], [], overwrite, [given])
        begin = time.monotonic()
        make_sheet(given, files, sheet, preset, overwrite)
        say(f"{time.monotonic() - begin:.1f} seconds in all; look at {sheet}")


def check_folder(folder: Path) -> None:
    """The folder, made where it is missing. UserError where it cannot be."""
    from discontrolface.common.errors import UserError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be made ({error.strerror}); choose another with --output") from error


def make_sheet(photo: Path, files: dict[str, Path], sheet: Path, preset: str, overwrite: bool) -> None:
    """Read, edit, write; a line on standard output for each step."""
    from PIL import Image

    from discontrolface.common.images import save_photo
    from discontrolface.editing.editor import Editor
    from discontrolface.editing.example_edits import EDITS
    from discontrolface.editing.sheet import contact_sheet

    begin = time.monotonic()
    with without_native_messages():
        editor = Editor.load(preset)
    person = editor.read(photo)
    say(f"read {photo.name} in {time.monotonic() - begin:.1f} s: landmark error {person.fit.mean_percent:.2f} % of the face's width")
    whole = Image.fromarray(person.photo.array)
    box = head_box(person)
    tiles = [("photo", whole), ("its face", whole.crop(box))]
    begin = time.monotonic()
    record = None
    for name, changes in EDITS.items():
        result = editor.edit(person, person.parameters.edit(**changes))
        result.save(files[name], overwrite)
        record = result.record
        tiles.append((name, result.image.crop(box)))
    say(f"{len(EDITS)} edits in {time.monotonic() - begin:.1f} s")
    save_photo(contact_sheet(tiles, columns=5, tile=320), sheet, overwrite, info=record)


def head_box(person: Person) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the aligned crop in the photo, whole pixels."""
    import numpy as np

    size = person.crop.size
    corners = person.crop.to_photo(np.array([[0, 0], [size, 0], [0, size], [size, size]], float))
    left, top = np.maximum(corners.min(0), 0).round().astype(int)
    right, bottom = np.minimum(corners.max(0), person.photo.size).round().astype(int)
    return int(left), int(top), int(right), int(bottom)
