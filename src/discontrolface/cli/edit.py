"""`discontrolface edit`: a photo of the same person with another look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    say,
)
from discontrolface.cli.controls import Controls
from discontrolface.cli.edit_clip import edit_clip
from discontrolface.cli.edit_folder import edit_folder
from discontrolface.cli.edit_photo import EditOptions, named, run_edit, targets_of
from discontrolface.cli.faces import FaceEdits
from discontrolface.cli.personal import Personal
from discontrolface.cli.sampling import SamplingOptions
from discontrolface.cli.source import Source
from discontrolface.cli.trust import check_confidence
from discontrolface.cli.writing import Writing
from discontrolface.common.errors import UserError
from discontrolface.common.parallel import cores

if TYPE_CHECKING:
    from PIL import Image

    from discontrolface.editing.editor import EditResult
    from discontrolface.editing.group import GroupResult
    from discontrolface.editing.person import Person
    from discontrolface.face.parameters import FaceParameters


@grouped
def edit(
    photo: PhotoArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The edited photo: .png, .jpg or .webp.")],
    controls: Controls,
    source: Source,
    sampling: SamplingOptions,
    writing: Writing,
    faces: FaceEdits,
    personal: Personal,
    save_parameters: Annotated[Path | None, typer.Option(help="Write the edit's parameters to this JSON file.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Also write one picture with every stage of the edit.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a face whose reading is not to be trusted, instead of a warning.")
    ] = False,
    processes: Annotated[int | None, typer.Option(help="With a folder: processes. [default: one a core]")] = None,
    engine: Annotated[str, typer.Option(help="With a folder: local, or ray (a cluster: see docs/scale.md).")] = "local",
    device: DeviceOption = "cpu",
    cache_dir: CacheOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Edit a photo: the same person with another expression, pose, gaze, light or shape.

    Of a group photo --face chooses the face (`read --faces` lists them), or all; --edit gives single faces their own edits. Of a clip every frame
    is edited, and numbers are added to what each frame shows. Of a folder every photo is edited, into the folder -o.
    """
    with plain_errors():
        from discontrolface.common.video import is_clip

        options = EditOptions(controls, source, sampling, writing, faces, personal, strict, device, cache_dir, overwrite)
        single: dict[str, object] = {
            "--sheet": sheet,
            "--save-parameters": save_parameters,
            "--personal": personal.personal,
            "--personal-seed": personal.personal_seed,
            "--also": personal.also,
        }
        if is_clip(photo):
            still = {"--personalize": personal.personalize or "", "--edit": faces.edit, "--edits": faces.edits, "--strict": strict}
            many = {"--engine": "" if engine == "local" else engine, "--processes": processes}
            edit_clip(photo, output, controls, source, sampling, device, cache_dir, overwrite, quiet, single | still | many)
        elif photo.is_dir():
            edit_folder(photo, output, options, engine, cores() if processes is None else processes, quiet, single)
        else:
            edit_photo(photo, output, options, save_parameters, sheet, quiet)


def edit_photo(photo: Path, output: Path, o: EditOptions, save_parameters: Path | None, sheet: Path | None, quiet: bool) -> None:
    """One photo: everything that can be checked is checked before the work."""
    from discontrolface.common.images import save_photo
    from discontrolface.common.text_files import write_text

    o.personal.check()
    check_outputs(
        [output, sheet],
        [save_parameters],
        o.overwrite,
        [photo, o.personal.personal, *(o.personal.also or ()), o.faces.edits, *o.controls.files],
    )
    o.controls.checked_values()
    o.writing.check()
    o.faces.check(o.source)
    for option, given in (("--personal", o.personal.personal), ("--parameters", o.controls.parameters)):
        if given is not None and o.faces.several(o.source):
            raise UserError(f"{option} {given} is of one person, and several faces are edited; choose one with --face")
    folder = o.source.folder()
    reader = o.source.reader(o.device)
    people: Mapping[int | None, Person] = o.faces.read(o.source, reader, photo)
    others = o.controls.others(reader)
    check_confidence([*named(people, photo), *{o.controls.named[part]: other for part, other in others.items()}.items()], o.strict)
    targets = targets_of(people, o.controls, o.faces, others)
    editor = o.source.editor(folder, o.device, o.cache_dir, reader)
    people = o.personal.adapt(editor, people, quiet)
    result = run_edit(editor, people, targets, o.sampling, quiet)
    o.writing.save(result, output, o.overwrite)
    if save_parameters is not None:
        write_text(save_parameters, parameters_json(targets), o.overwrite)
    if sheet is not None:
        save_photo(sheet_of(people, result), sheet, o.overwrite, result.record)
    say(f"wrote {output}" if len(people) == 1 else f"wrote {output}: {len(people)} faces edited")


def sheet_of(people: Mapping[int | None, Person], result: EditResult | GroupResult) -> Image.Image:
    """Every stage of one edit; of several, each face before and after."""
    from discontrolface.editing.group import GroupResult
    from discontrolface.editing.sheet import edit_sheet, group_sheet

    if isinstance(result, GroupResult):
        return group_sheet(result, [str(number) for number in people])
    return edit_sheet(result.person, result)


def parameters_json(targets: Mapping[int | None, FaceParameters]) -> str:
    """A file that `--parameters` reads; of several faces an object of such by number."""
    if len(targets) == 1:
        return next(iter(targets.values())).to_json()
    return json.dumps({str(number): json.loads(target.to_json()) for number, target in targets.items()}, indent=1)
