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
)
from discontrolface.cli.controls import Controls
from discontrolface.cli.personalize import run_personalize
from discontrolface.cli.source import Source


@grouped
def edit(
    photo: PhotoArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The edited photo: .png, .jpg or .webp.")],
    controls: Controls,
    source: Source,
    save_parameters: Annotated[Path | None, typer.Option(help="Write the edit's parameters to this JSON file.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Also write one picture with every stage of the edit.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps. [default: the preset's]")] = None,
    start: Annotated[
        str | None,
        typer.Option(help="noise (the paper), draft, or inverted (the open preset's networks invert badly). [default: the preset's]"),
    ] = None,
    strength: Annotated[float | None, typer.Option(help="With --start draft: how much noise the draft gets, up to 1.")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="With --start noise: 1 is the paper's, less is closer to the mean. [default: the preset's]")
    ] = None,
    masking: Annotated[str, typer.Option(help="Masking schedule: A to F, linear, linear-up.")] = "linear",
    solver: Annotated[str, typer.Option(help="ddim or dpm++.")] = "ddim",
    seed: Annotated[int, typer.Option(help="Same seed, same picture.")] = 0,
    personal: Annotated[
        bool, typer.Option("--personal/--no-personal", help="Adapt the networks to the person first (minutes, once).")
    ] = True,
    device: DeviceOption = "cpu",
    cache_dir: CacheOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Edit a photo: the same person with another expression, pose, gaze, light or shape."""
    with plain_errors():
        from discontrolface.common.images import save_photo
        from discontrolface.common.text_files import write_text

        check_outputs(pictures=[output, sheet], texts=[save_parameters], overwrite=overwrite)
        controls.checked_values()
        folder = source.folder()
        reader = source.reader(device)
        person = source.read(reader, photo)
        target = controls.target(reader, person)
        editor = source.editor(folder, device, cache_dir, reader)
        person = run_personalize(editor, person, 0, quiet) if personal else person
        with progress_bar("editing", quiet) as update:
            result = editor.edit(
                person,
                target,
                steps,
                masking,
                seed,
                start,
                strength,
                solver,
                callback=lambda step: update(step.index + 1, step.count),
                temperature=temperature,
            )
        save_photo(result.image, output, overwrite, result.record)
        if save_parameters is not None:
            write_text(save_parameters, target.to_json(), overwrite)
        if sheet is not None:
            from discontrolface.editing.sheet import edit_sheet

            save_photo(edit_sheet(person, result), sheet, overwrite, result.record)
        typer.echo(f"wrote {output}")
