"""`discontrolface personalize`: adapt the networks to one person."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discontrolface.cli.common import CacheOption, DeviceOption, PhotoArgument, QuietOption, grouped, plain_errors, progress_bar, say
from discontrolface.cli.controls import OtherFace
from discontrolface.cli.source import Source
from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.editing.editor import Editor
    from discontrolface.editing.person import Person


@grouped
def personalize(
    photo: PhotoArgument,
    source: Source,
    device: DeviceOption = "cpu",
    cache_dir: CacheOption = None,
    seed: Annotated[int, typer.Option(help="Of the fine-tuning's randomness.")] = 0,
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="PHOTO[#N]", help="Another photo of the person, for each one the option again. PHOTO#2 is its face 2."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Adapt the networks to the person in the photo (one-shot), or in several photos. Kept in the cache; later edits of the photo use it."""
    with plain_errors():
        folder = source.folder()
        reader = source.reader(device)
        person = source.read(reader, photo)
        editor = source.editor(folder, device, cache_dir, reader)
        begin = time.monotonic()
        others = same_person(editor, also)
        run_personalize(editor, person, seed, quiet, others)
        path, seconds = editor.personal_path(person, seed=seed, also=others), time.monotonic() - begin
        if path is None or not path.is_file():
            raise UserError(f"the personal weights could not be kept in {path} ({seconds:.0f} s); choose another --cache-dir")
        say(f"personal weights in {path} ({seconds:.0f} s)")


def run_personalize(editor: Editor, person: Person, seed: int, quiet: bool, also: Sequence[Person] = ()) -> Person:
    """Personalize with a progress bar. also: the person in other photos."""
    with progress_bar("personalizing", quiet) as update:
        return editor.personalize(person, seed=seed, progress=lambda done, total, loss: update(done, total), also=also)


def same_person(editor: Editor, also: Sequence[Path] | None) -> list[Person]:
    """The faces of other photos, each the largest there or the one that is named."""
    faces = [OtherFace.of(path, 0) for path in also or ()]
    return [editor.read(face.photo, face.number) for face in faces]
