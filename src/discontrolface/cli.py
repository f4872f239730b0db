"""The command line. Thin: every command calls the rooms of the package and prints. Heavy imports happen inside the commands."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from discontrolface.errors import UserError

if TYPE_CHECKING:
    from discontrolface.editing.editor import Editor
    from discontrolface.editing.person import Person
    from discontrolface.editing.reading import Reader
    from discontrolface.face.parameters import FaceParameters

app = typer.Typer(
    name="discontrolface",
    help="Edit a face photo through explicit 3D parameters: expression, head pose, gaze, light, shape.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@contextmanager
def plain_errors() -> Iterator[None]:
    """One clear sentence for what a user can mend, exit code 2; Ctrl-C ends with 130."""
    try:
        yield
    except UserError as error:
        fail(str(error))
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        raise typer.Exit(130) from None


def fail(sentence: str) -> NoReturn:
    """Print to stderr and exit with 2."""
    typer.echo(f"error: {sentence}", err=True)
    raise typer.Exit(2)


def parse_pairs(text: str, what: str) -> dict[str, float]:
    """`a=0.6,b=1` as a dict. UserError if it is not of that form."""
    pairs: dict[str, float] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = part.partition("=")
        try:
            pairs[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise UserError(f"{what} {part!r} is not of the form name=value, for instance {what} jawOpen=0.6,mouthSmileLeft=0.5")
    return pairs


def parse_numbers(text: str | None, what: str, count: int) -> tuple[float, ...] | None:
    """`a,b,...` as exactly `count` numbers."""
    if text is None:
        return None
    try:
        numbers = tuple(float(x) for x in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise UserError(f"{what} {text!r} must be {count} numbers with commas between them")
    return numbers


PhotoArgument = Annotated[Path, typer.Argument(help="The photo.", metavar="PHOTO")]
PresetOption = Annotated[str, typer.Option("--preset", help="'open', or a folder with other weights.")]
DeviceOption = Annotated[str, typer.Option(help="Where the networks run, as PyTorch names it.")]
CacheOption = Annotated[
    Path | None, typer.Option("--cache-dir", help="Where personal weights are kept. [default: the user's cache folder]")
]
FaceOption = Annotated[int | None, typer.Option("--face", help="Which face: 0 is the largest.")]
BoxOption = Annotated[str | None, typer.Option("--face-box", help="The face's box in pixels: left,top,right,bottom.", metavar="L,T,R,B")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]


def check_outputs(pictures: list[Path | None], texts: list[Path | None], overwrite: bool) -> None:
    """Before the long work: can everything be written that was asked for?"""
    from discontrolface.editing.files import check_text_output
    from discontrolface.editing.images import check_output

    for picture in filter(None, pictures):
        check_output(picture, overwrite)
    for text in filter(None, texts):
        check_text_output(text, overwrite)


def read_person(reader: Reader, photo: Path, face: int | None, face_box: str | None) -> Person:
    """Read a photo with the command line's choice of the face."""
    box = parse_numbers(face_box, "--face-box", 4)
    return reader.read(photo, face, None if box is None else (box[0], box[1], box[2], box[3]))


@contextmanager
def progress_bar(title: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar with the time left; yields update(done, total)."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@app.command()
def read(
    photo: PhotoArgument,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write the parameters to this JSON file.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write one picture: photo, crop, mesh, snapshot.")] = None,
    face: FaceOption = None,
    face_box: BoxOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Read the face parameters of a photo and print them."""
    with plain_errors():
        from discontrolface.editing.files import write_text
        from discontrolface.editing.reading import Reader

        check_outputs(pictures=[sheet], texts=[output], overwrite=overwrite)
        person = read_person(Reader.open(), photo, face, face_box)
        if output is not None:
            write_text(output, person.parameters.to_json(), overwrite)
        if sheet is not None:
            from discontrolface.editing.images import save_photo
            from discontrolface.editing.sheet import reading_sheet

            save_photo(reading_sheet(person), sheet, overwrite)
        print_reading(person)


def print_reading(person: Person) -> None:
    """The parameters as a table on stdout."""
    from rich.console import Console
    from rich.table import Table

    values = person.parameters.readable()
    table = Table(title=f"{person.photo.path.name}  {person.photo.size[0]}x{person.photo.size[1]}", show_header=False)
    for key in ("yaw", "pitch", "roll"):
        table.add_row(key, f"{values[key]:.1f}°")
    table.add_row("gaze (yaw, pitch)", ", ".join(f"{v:.1f}°" for v in values["gaze"]))
    strong = sorted(person.parameters.expression_dict(0.05).items(), key=lambda item: -item[1])
    table.add_row("expression", ", ".join(f"{name} {value:.2f}" for name, value in strong) or "neutral")
    table.add_row("landmark error", f"{person.fit.mean_pixels:.2f} px, {person.fit.mean_percent:.2f} % of the face's width")
    Console().print(table)


@app.command()
def personalize(
    photo: PhotoArgument,
    preset: PresetOption = "open",
    device: DeviceOption = "cpu",
    cache_dir: CacheOption = None,
    face: FaceOption = None,
    face_box: BoxOption = None,
    seed: Annotated[int, typer.Option(help="Of the fine-tuning's randomness.")] = 0,
    quiet: QuietOption = False,
) -> None:
    """One-shot fine-tuning: adapt the networks to the person in the photo. Kept in the cache; later edits of the photo use it."""
    with plain_errors():
        from discontrolface.editing.editor import Editor
        from discontrolface.editing.personalize import OPEN_ONE_SHOT

        editor = Editor.load(preset, device, cache_dir)
        person = read_person(editor.reader, photo, face, face_box)
        begin = time.monotonic()
        run_personalize(editor, person, seed, quiet)
        typer.echo(f"personal weights in {editor.personal_path(person, OPEN_ONE_SHOT, seed)} ({time.monotonic() - begin:.0f} s)")


def run_personalize(editor: Editor, person: Person, seed: int, quiet: bool) -> Person:
    """Personalize with a progress bar."""
    with progress_bar("personalizing", quiet) as update:
        return editor.personalize(person, seed=seed, progress=lambda done, total, loss: update(done, total))


@app.command()
def edit(
    photo: PhotoArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The edited photo: .png, .jpg or .webp.")],
    expression: Annotated[
        str, typer.Option(help="Actions or short names, 0 to 1.5: jawOpen=0.6,smile=0.8.", metavar="NAME=VALUE,...")
    ] = "",
    yaw: Annotated[float | None, typer.Option(help="Where the face turns, degrees; positive: to the image's right.")] = None,
    pitch: Annotated[float | None, typer.Option(help="Degrees; positive: looks up.")] = None,
    roll: Annotated[float | None, typer.Option(help="Degrees; positive: tilts clockwise.")] = None,
    turn: Annotated[str | None, typer.Option(help="Turn by these degrees instead.", metavar="YAW,PITCH,ROLL")] = None,
    jaw: Annotated[float | None, typer.Option(help="Jaw joint, degrees open, 0 to 30.")] = None,
    gaze: Annotated[str | None, typer.Option(help="Gaze relative to the head, degrees.", metavar="YAW,PITCH")] = None,
    light: Annotated[str | None, typer.Option(help="A light by name: left, right, top, bottom, front, rim, even, ...")] = None,
    light_rotation: Annotated[float | None, typer.Option(help="Turn the light about the vertical axis, degrees.")] = None,
    shape: Annotated[str, typer.Option(help="Shape coefficients, standard deviations: 0=1.5,3=-1.", metavar="N=VALUE,...")] = "",
    neutral: Annotated[bool, typer.Option("--neutral", help="First relax every expression.")] = False,
    expression_from: Annotated[Path | None, typer.Option(help="Take the expression of another photo.")] = None,
    pose_from: Annotated[Path | None, typer.Option(help="Take the head's pose of another photo.")] = None,
    light_from: Annotated[Path | None, typer.Option(help="Take the light of another photo.")] = None,
    shape_from: Annotated[Path | None, typer.Option(help="Take the shape of the face of another photo.")] = None,
    parameters: Annotated[Path | None, typer.Option(help="Start from parameters in this JSON file (see `read -o`).")] = None,
    save_parameters: Annotated[Path | None, typer.Option(help="Write the edit's parameters to this JSON file.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Also write one picture with every stage of the edit.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps. [default: the preset's]")] = None,
    start: Annotated[str | None, typer.Option(help="noise (the paper), draft or inverted. [default: the preset's]")] = None,
    strength: Annotated[float | None, typer.Option(help="With --start draft: how much noise the draft gets, up to 1.")] = None,
    masking: Annotated[str, typer.Option(help="Masking schedule: A to F, linear, linear-up.")] = "linear",
    scheduler: Annotated[str, typer.Option(help="ddim or dpm++.")] = "ddim",
    seed: Annotated[int, typer.Option(help="Same seed, same picture.")] = 0,
    personal: Annotated[
        bool, typer.Option("--personal/--no-personal", help="Adapt the networks to the person first (minutes, once).")
    ] = True,
    preset: PresetOption = "open",
    device: DeviceOption = "cpu",
    cache_dir: CacheOption = None,
    face: FaceOption = None,
    face_box: BoxOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Edit a photo: the same person with another expression, pose, gaze, light or shape."""
    with plain_errors():
        from discontrolface.editing.files import write_text
        from discontrolface.editing.images import save_photo

        check_outputs(pictures=[output, sheet], texts=[save_parameters], overwrite=overwrite)
        wanted: dict[str, Any] = {
            "expression": parse_pairs(expression, "--expression"),
            "yaw": yaw,
            "pitch": pitch,
            "roll": roll,
            "turn": parse_numbers(turn, "--turn", 3),
            "gaze": parse_numbers(gaze, "--gaze", 2),
            "jaw": jaw,
            "light": light,
            "light_rotation": light_rotation,
            "shape": parse_pairs(shape, "--shape"),
            "neutral": neutral,
        }
        from discontrolface.editing.reading import Reader

        reader = Reader.open()
        person = read_person(reader, photo, face, face_box)
        others = {"expression": expression_from, "pose": pose_from, "light": light_from, "shape": shape_from}
        target = target_parameters(reader, person, wanted, others, parameters)
        from discontrolface.editing.editor import Editor

        editor = Editor.load(preset, device, cache_dir, reader=reader)
        person = run_personalize(editor, person, 0, quiet) if personal else person
        with progress_bar("editing", quiet) as update:
            result = editor.edit(
                person, target, steps, masking, seed, start, strength, scheduler, lambda step: update(step.index + 1, step.count)
            )
        save_photo(result.image, output, overwrite, result.record)
        if save_parameters is not None:
            write_text(save_parameters, target.to_json(), overwrite)
        if sheet is not None:
            from discontrolface.editing.sheet import edit_sheet

            save_photo(edit_sheet(person, result), sheet, overwrite, result.record)
        typer.echo(f"wrote {output}")


def target_parameters(
    reader: Reader, person: Person, wanted: dict[str, Any], others: dict[str, Path | None], file: Path | None
) -> FaceParameters:
    """The photo's parameters, then the file's, then parts of other photos, then the named values."""
    from discontrolface.editing.files import read_text
    from discontrolface.face.parameters import FaceParameters

    target = person.parameters
    if file is not None:
        given = FaceParameters.from_json(read_text(file), base=target, source=str(file))
        target = given.with_(camera=target.camera)  # where the head is in this crop is this photo's own
    for part, path in others.items():
        if path is not None:
            target = target.take_from(reader.read(path).parameters, part)
    return target.edit(**wanted)


@app.command()
def prepare(
    folder: Annotated[Path, typer.Argument(help="A folder of photos, with all folders below it.", metavar="FOLDER")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The shards' folder. To go on after a stop, run the same command.")],
    engine: Annotated[str, typer.Option(help="local, or ray (a cluster: see docs/scale.md).")] = "local",
    processes: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
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
            report = run(folder, output, SampleSettings(size, faces, crop_format, max_error), engine, processes, update)
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
    photo: Annotated[Path | None, typer.Option(help="The photo, for oneshot.")] = None,
    preset: PresetOption = "open",
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

            typer.echo(f"weights in {run_training(stage, config, data, output, backbone, device, threads, workers, pictures, typer.echo)}")


@app.command()
def assets() -> None:
    """What the presets are made of: files, licences, what is missing."""
    with plain_errors():
        from discontrolface.weights.preset import open_folder

        manifest = open_folder() / "preset.json"
        if not manifest.is_file():
            raise UserError(f"the open preset's weights are missing in {open_folder()}; reinstall the package")
        typer.echo(f"open preset: {open_folder()}")
        typer.echo(json.dumps(json.loads(manifest.read_text()), indent=2))


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
