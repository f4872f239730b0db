"""`discontrolface personalize`: adapt the networks to one person."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from discontrolface.cli.common import CacheOption, DeviceOption, PhotoArgument, QuietOption, grouped, plain_errors, progress_bar, say
from discontrolface.cli.source import Source

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
    quiet: QuietOption = False,
) -> None:
    """One-shot fine-tuning: adapt the networks to the person in the photo. Kept in the cache; later edits of the photo use it."""
    with plain_errors():
        folder = source.folder()
        reader = source.reader(device)
        person = source.read(reader, photo)
        editor = source.editor(folder, device, cache_dir, reader)
        begin = time.monotonic()
        run_personalize(editor, person, seed, quiet)
        say(f"personal weights in {editor.personal_path(person, seed=seed)} ({time.monotonic() - begin:.0f} s)")


def run_personalize(editor: Editor, person: Person, seed: int, quiet: bool) -> Person:
    """Personalize with a progress bar."""
    with progress_bar("personalizing", quiet) as update:
        return editor.personalize(person, seed=seed, progress=lambda done, total, loss: update(done, total))
