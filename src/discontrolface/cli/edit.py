"""`discontrolface edit`: a photo of the same person with another look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discontrolface.cli.common import (
    CacheOption,
    DeviceOption,
    OverwriteOption,
    PhotoArgument,
    QuietOption,
    check_outputs,
    grouped,
    plain_errors,
    progress_bar,
    say,
)
from discontrolface.cli.controls import Controls
from discontrolface.cli.personalize import run_personalize
from discontrolface.cli.sampling import SamplingOptions
from discontrolface.cli.source import Source
from discontrolface.cli.writing import Writing
from discontrolface.common.errors import UserError


@grouped
def edit(
    photo: PhotoArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The edited photo: .png, .jpg or .webp.")],
    controls: Controls,
    source: Source,
    sampling: SamplingOptions,
    writing: Writing,
    save_parameters: Annotated[Path | None, typer.Option(help="Write the edit's parameters to this JSON file.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Also write one picture with every stage of the edit.")] = None,
    personal: Annotated[Path | None, typer.Option(help="Personal weights in this file (`train oneshot`, or a file of the cache).")] = None,
    personalize: Annotated[
        bool | None,
        typer.Option(
            "--personalize/--no-personal", help="Adapt the networks to the person first, or not. [default: the preset's; open: not]"
        ),
    ] = None,
    personal_seed: Annotated[
        int | None, typer.Option(help="Of the fine-tuning, as `personalize --seed`; personalizes. [default: 0]")
    ] = None,
    device: DeviceOption = "cpu",
    cache_dir: CacheOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Edit a photo: the same person with another expression, pose, gaze, light or shape."""
    with plain_errors():
        from discontrolface.common.images import save_photo
        from discontrolface.common.text_files import write_text

        if personal is not None and personalize is not None:
            other = "--personalize" if personalize else "--no-personal"
            raise UserError(f"--personal {personal} and {other} were both given; give one of them")
        if personal_seed is not None and personalize is False:
            raise UserError(f"--personal-seed {personal_seed} and --no-personal were both given; give one of them")
        check_outputs([output, sheet], [save_parameters], overwrite, [photo, personal, *controls.files])
        controls.checked_values()
        writing.check()
        folder = source.folder()
        reader = source.reader(device)
        person = source.read(reader, photo)
        target = controls.target(reader, person)
        editor = source.editor(folder, device, cache_dir, reader)
        if personal is not None:
            from discontrolface.editing.personal import PersonalWeights

            person = person.with_personal(PersonalWeights.load(personal))
        elif personalize or personal_seed is not None or (editor.preset.personalize and personalize is None):
            person = run_personalize(editor, person, personal_seed or 0, quiet)
        with progress_bar("editing", quiet) as update:
            result = editor.edit(person, target, lambda step: update(step.index + 1, step.count), **sampling.choices())
        writing.save(result, output, overwrite)
        if save_parameters is not None:
            write_text(save_parameters, target.to_json(), overwrite)
        if sheet is not None:
            from discontrolface.editing.sheet import edit_sheet

            save_photo(edit_sheet(person, result), sheet, overwrite, result.record)
        say(f"wrote {output}")
