"""`discontrolface prepare`: photos to training shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discontrolface.cli.common import QuietOption, plain_errors, progress_bar, say
from discontrolface.cli.source import AssetsOption


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
    head: Annotated[
        str, typer.Option(help="Head model that photos are read with: open, or flame (imported files, see `assets`).")
    ] = "open",
    detail: Annotated[bool, typer.Option("--detail/--no-detail", help="With FLAME: snapshots with wrinkles, or without.")] = True,
    assets_dir: AssetsOption = None,
    quiet: QuietOption = False,
) -> None:
    """Any folder of photos to training shards (WebDataset), with an index and a report. One bad file never stops it."""
    with plain_errors():
        from discontrolface.training.prepare import prepare as run
        from discontrolface.training.samples import SampleSettings

        assets = None if assets_dir is None else str(assets_dir.resolve())
        settings = SampleSettings(size, faces, crop_format, max_error, head, detail, assets)
        with progress_bar("preparing", quiet) as update:
            report = run(folder, output, settings, engine, processes, update, per_shard)
        left = ", ".join(f"{reason}: {count}" for reason, count in report["left_out"].items()) or "none"
        say(f"{report['samples']} samples of {report['photos']} files in {output}; left out: {left}; see {output / 'report.md'}")
