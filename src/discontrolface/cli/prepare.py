"""`discontrolface prepare`: photos to training shards, or photos of people to pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discontrolface.cli.common import QuietOption, plain_errors, progress_bar, say
from discontrolface.cli.source import AssetsOption


def prepare(
    folder: Annotated[Path, typer.Argument(help="A folder of photos, with all folders below it; or an album.", metavar="FOLDER")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The shards' folder; with --people that of the pairs, or ALBUM.zip. To go on after a stop, run the same command.",
        ),
    ],
    engine: Annotated[str, typer.Option(help="local, or ray (a cluster: see docs/scale.md).")] = "local",
    processes: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
    per_shard: Annotated[int, typer.Option(help="Photos in a shard.")] = 128,
    size: Annotated[int, typer.Option(help="Pixels of the crops.")] = 256,
    faces: Annotated[str, typer.Option(help="Of photos with several: largest, one (leave such photos out) or all.")] = "largest",
    crop_format: Annotated[str, typer.Option(help="png, or jpg (quality 95).")] = "png",
    max_error: Annotated[
        float | None,
        typer.Option(help="Leave out readings with a larger landmark error, % of the face's width. [default: 3, with --people 2.1]"),
    ] = None,
    head: Annotated[
        str, typer.Option(help="Head model that photos are read with: open, or flame (imported files, see `assets`).")
    ] = "open",
    detail: Annotated[bool, typer.Option("--detail/--no-detail", help="With FLAME: snapshots with wrinkles, or without.")] = True,
    assets_dir: AssetsOption = None,
    people: Annotated[
        str | None,
        typer.Option(help="Make pairs of people's photos instead: a CSV with the columns file and person, or 'folders', one a person."),
    ] = None,
    leave_out: Annotated[
        Path | None, typer.Option(help="With --people or an album: a text file of people who are kept back, a name a line.")
    ] = None,
    backgrounds: Annotated[
        float, typer.Option(help="With --people: share of the pairs that get another place behind the head, where the wall is plain.")
    ] = 0.6,
    returns: Annotated[int, typer.Option(help="With --people: return pairs of each photo of a person who has only one.")] = 1,
    quiet: QuietOption = False,
) -> None:
    """Any folder of photos to training shards (WebDataset), with an index and a report. One bad file never stops it.

    With --people to blocks of pairs: the same person in two photos, moved into one frame, is an edit with its true answer. Or, where the
    output ends in .zip, to an album: what was read, in one small file, which `prepare ALBUM.zip -o PAIRS` and `train --data ALBUM.zip` take.
    """
    with plain_errors():
        if people is not None or folder.suffix == ".zip":
            prepare_pairs(folder, people, output, size, max_error, backgrounds, returns, processes, engine, head, leave_out, quiet)
            return
        from discontrolface.training.prepare import prepare as run
        from discontrolface.training.samples import SampleSettings

        assets = None if assets_dir is None else str(assets_dir.resolve())
        settings = SampleSettings(
            size, faces, crop_format, SampleSettings.max_error if max_error is None else max_error, head, detail, assets
        )
        with progress_bar("preparing", quiet) as update:
            report = run(folder, output, settings, engine, processes, update, per_shard)
        left = ", ".join(f"{reason}: {count}" for reason, count in report["left_out"].items()) or "none"
        say(f"{report['samples']} samples of {report['photos']} files in {output}; left out: {left}; see {output / 'report.md'}")


def prepare_pairs(
    folder: Path,
    people: str | None,
    output: Path,
    size: int,
    max_error: float | None,
    backgrounds: float,
    returns: int,
    processes: int,
    engine: str,
    head: str,
    leave_out: Path | None,
    quiet: bool,
) -> None:
    """The way of `--people`, and of an album."""
    from discontrolface.common.errors import UserError
    from discontrolface.synthetic.anatomy import HEAD
    from discontrolface.training.people import prepare_album, prepare_people
    from discontrolface.training.real_pairs import PairSettings

    if head != HEAD:
        raise UserError(f"pairs of people are read with the {HEAD} head only, not {head!r}; leave --head out")
    if folder.suffix == ".zip" and people is not None:
        raise UserError(f"{folder} is an album, which says who is in it; leave --people out")
    error = PairSettings.max_error if max_error is None else max_error
    settings = PairSettings(size, error, backgrounds=backgrounds, returns=returns)
    with progress_bar("preparing", quiet) as update:
        if output.suffix == ".zip":
            if people is None:
                raise UserError(f"{folder} is an album already; give a folder for its pairs: -o PAIRS")
            made = prepare_album(folder, people, output, settings, processes, update, leave_out, engine)
        else:
            made = prepare_people(folder, people, output, settings, processes, update, leave_out, engine)
    if output.suffix == ".zip":
        say(
            f"{made['photos']} photos of {made['people']} people in {output}, {made['bytes'] / 1e6:.1f} MB; {len(made['left_out'])} left out"
        )
        for name, why in made["left_out"].items():
            say(f"  {name}: {why}")
        return
    say(
        f"{made['real']} real and {made['return']} return pairs of {made['people']} people in {output}; "
        f"{len(made['left_out'])} of {made['photos']} photos left out, see {output / 'report.json'}"
    )
