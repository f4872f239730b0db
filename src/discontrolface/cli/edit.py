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
from discontrolface.cli.edit_folder import EditOptions, edit_folder
from discontrolface.cli.edit_photo import named, run_edit, targets_of
from discontrolface.cli.faces import FaceEdits
from discontrolface.cli.personalize import run_personalize
from discontrolface.cli.sampling import SamplingOptions
from discontrolface.cli.source import Source
from discontrolface.cli.trust import check_confidence
from discontrolface.cli.writing import Writing
from discontrolface.common.errors import UserError
from discontrolface.common.parallel import cores

if TYPE_CHECKING:
    from PIL import Image

    from discontrolface.editing.editor import Editor, EditResult
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
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a face whose reading is not to be trusted, instead of a warning.")
    ] = False,
    processes: Annotated[int | None, typer.Option(help="With a folder: processes. [default: one a core]")] = None,
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

        if is_clip(photo):
            unused: dict[str, object] = {
                "--sheet": sheet,
                "--save-parameters": save_parameters,
                "--personal": personal,
                "--personalize": personalize or "",
                "--personal-seed": personal_seed,
                "--edit": faces.edit,
                "--edits": faces.edits,
                "--strict": strict,
            }
            edit_clip(photo, output, controls, source, sampling, device, cache_dir, overwrite, quiet, unused)
            return
        if photo.is_dir():
            unused = {"--sheet": sheet, "--save-parameters": save_parameters, "--personal": personal, "--personal-seed": personal_seed}
            same = EditOptions(controls, source, sampling, writing, faces, personalize, strict, device, cache_dir, overwrite)
            edit_folder(photo, output, same, cores() if processes is None else processes, quiet, unused)
            return
        from discontrolface.common.images import save_photo
        from discontrolface.common.text_files import write_text

        check_personal(personal, personalize, personal_seed)
        check_outputs([output, sheet], [save_parameters], overwrite, [photo, personal, faces.edits, *controls.files])
        controls.checked_values()
        writing.check()
        faces.check(source)
        for option, given in (("--personal", personal), ("--parameters", controls.parameters)):
            if given is not None and faces.several(source):
                raise UserError(f"{option} {given} is of one person, and several faces are edited; choose one with --face")
        folder = source.folder()
        reader = source.reader(device)
        people = faces.read(source, reader, photo)
        others = controls.others(reader)
        check_confidence([*named(people, photo), *{controls.named[part]: other for part, other in others.items()}.items()], strict)
        targets = targets_of(people, controls, faces, others)
        editor = source.editor(folder, device, cache_dir, reader)
        if personal is not None or personalize or personal_seed is not None or (editor.preset.personalize and personalize is None):
            people = {number: adapted(editor, person, personal, personal_seed or 0, quiet) for number, person in people.items()}
        result = run_edit(editor, people, targets, sampling, quiet)
        writing.save(result, output, overwrite)
        if save_parameters is not None:
            write_text(save_parameters, parameters_json(targets), overwrite)
        if sheet is not None:
            save_photo(sheet_of(people, result), sheet, overwrite, result.record)
        say(f"wrote {output}" if len(people) == 1 else f"wrote {output}: {len(people)} faces edited")


def check_personal(personal: Path | None, personalize: bool | None, seed: int | None) -> None:
    """UserError for options about personal weights that exclude each other."""
    if personal is not None and personalize is not None:
        other = "--personalize" if personalize else "--no-personal"
        raise UserError(f"--personal {personal} and {other} were both given; give one of them")
    if seed is not None and personalize is False:
        raise UserError(f"--personal-seed {seed} and --no-personal were both given; give one of them")


def adapted(editor: Editor, person: Person, personal: Path | None, seed: int, quiet: bool) -> Person:
    """With the personal weights of a file, or of a fine-tuning."""
    if personal is None:
        return run_personalize(editor, person, seed, quiet)
    from discontrolface.editing.personal import PersonalWeights

    return person.with_personal(PersonalWeights.load(personal))


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
