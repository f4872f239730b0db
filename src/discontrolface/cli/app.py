"""The command line. Thin: every command calls the rooms of the package and prints. Heavy imports happen inside the commands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discontrolface.cli.ablate import ablate
from discontrolface.cli.assets import assets_app
from discontrolface.cli.benchmark import benchmark
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
from discontrolface.cli.evaluate import evaluate
from discontrolface.cli.source import Source
from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.editing.editor import Editor
    from discontrolface.editing.person import Person

app = typer.Typer(
    name="discontrolface",
    help="Edit a face photo through explicit 3D parameters: expression, head pose, gaze, light, shape.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(assets_app, name="assets")
app.command()(ablate)
app.command()(benchmark)
app.command()(evaluate)


@app.command()
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


@app.command()
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
        typer.echo(f"personal weights in {editor.personal_path(person, seed=seed)} ({time.monotonic() - begin:.0f} s)")


def run_personalize(editor: Editor, person: Person, seed: int, quiet: bool) -> Person:
    """Personalize with a progress bar."""
    with progress_bar("personalizing", quiet) as update:
        return editor.personalize(person, seed=seed, progress=lambda done, total, loss: update(done, total))


@app.command()
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
        controls.wanted()
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


@app.command()
@grouped
def export(
    photo: PhotoArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The head: .glb, or .obj with .mtl and .png beside it.")],
    controls: Controls,
    source: Source,
    texture: Annotated[int, typer.Option(help="Side of the texture that the photo makes, texels; 0: none.", min=0, max=8192)] = 1024,
    posed: Annotated[bool, typer.Option("--posed/--at-rest", help="As in the picture, or with shape and expression only.")] = True,
    overwrite: OverwriteOption = False,
) -> None:
    """Write the head, as read or as these controls change it, as a 3D model with the photo as its texture."""
    with plain_errors():
        from discontrolface.editing.exporting import check_mesh_output, export_person

        check_mesh_output(output, overwrite)
        controls.wanted()
        reader = source.reader()
        person = source.read(reader, photo)
        export_person(person, controls.target(reader, person), output, texture, posed, overwrite)
        typer.echo(f"wrote {output}")


@app.command()
def prepare(
    folder: Annotated[Path, typer.Argument(help="A folder of photos, with all folders below it.", metavar="FOLDER")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The shards' folder. To go on after a stop, run the same command.")],
    engine: Annotated[str, typer.Option(help="local, or ray (a cluster: see docs/scale.md).")] = "local",
    processes: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
    per_shard: Annotated[int, typer.Option(help="Photos in a shard.")] = 128,
    size: Annotated[int, typer.Option(help="Pixels of the crops.")] = 256,
    faces: Annotated[str, typer.Option(help="Of photos with several: largest, one (leave such photos out) or all.")] = "largest",
    crop_format: Annotated[str, typer.Option(help="png, or jpg (quality 95).")] = "png",
    max_error: Annotated[float, typer.Option(help="Leave out readings with a larger landmark error, % of the face's width.")] = 3.0,
    quiet: QuietOption = False,
) -> None:
    """Any folder of photos to training shards (WebDataset), with an index and a report. One bad file never stops it."""
    with plain_errors():
        from discontrolface.training.prepare import prepare as run
        from discontrolface.training.samples import SampleSettings

        with progress_bar("preparing", quiet) as update:
            report = run(folder, output, SampleSettings(size, faces, crop_format, max_error), engine, processes, update, per_shard)
        left = ", ".join(f"{reason}: {count}" for reason, count in report["left_out"].items()) or "none"
        typer.echo(f"{report['samples']} samples of {report['photos']} files in {output}; left out: {left}; see {output / 'report.md'}")


@app.command()
def train(
    stage: Annotated[str, typer.Argument(help="diffae, expfacenet or oneshot.")],
    config: Annotated[Path, typer.Option(help="A YAML file, see configs/.")],
    data: Annotated[Path | None, typer.Option(help="A folder of pairs, or of shards (`prepare`).")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where all goes; to resume, run the same command. [default: runs/CONFIG]")
    ] = None,
    backbone: Annotated[Path | None, typer.Option(help="The trained backbone's folder, for expfacenet.")] = None,
    start_from: Annotated[Path | None, typer.Option(help="Weights of an earlier run of the same network to start with.")] = None,
    photo: Annotated[Path | None, typer.Option(help="The photo, for oneshot.")] = None,
    preset: Annotated[str, typer.Option(help="'open', 'paper', or a folder with other weights.")] = "open",
    device: Annotated[str | None, typer.Option(help="cpu, or a device by its PyTorch name. [default: what accelerate finds]")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that prepare pictures ahead.")] = 0,
    pictures: Annotated[int, typer.Option(help="Steps between pictures in TensorBoard; 0: no TensorBoard.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and stop.")] = False,
) -> None:
    """Train the backbone, Exp-FaceNet, or one person's weights. Many processes: `accelerate launch -m discontrolface train ...`."""
    with plain_errors():
        if stage == "oneshot":
            from discontrolface.training.oneshot import run_one_shot

            typer.echo(run_one_shot(config, photo, preset, output, device or "cpu", threads, dry_run, typer.echo))
        elif dry_run:
            from discontrolface.training.cost import describe
            from discontrolface.training.run import stage_config

            typer.echo(describe(stage_config(config, stage), device))
        else:
            from discontrolface.training.run import run_training

            weights = run_training(stage, config, data, output, backbone, start_from, device, threads, workers, pictures, typer.echo)
            typer.echo(f"weights in {weights}")


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
