"""`discontrolface train`: the backbone, Exp-FaceNet, or one person's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discontrolface.baselines import register_stages
from discontrolface.cli.common import plain_errors, say
from discontrolface.cli.source import AssetsOption
from discontrolface.training.stages import STAGES

register_stages()


def train(
    stage: Annotated[str, typer.Argument(help=f"{', '.join(STAGES)}, super-resolution, latent or oneshot.")],
    config: Annotated[Path, typer.Option(help="A YAML file, or one of the package's by name (a wrong name lists them).")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder of pairs, or of shards (`prepare`), or ALBUM.zip; for latent also of aligned crops; for super-resolution of edits."
        ),
    ] = None,
    assets_dir: AssetsOption = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where all goes; to resume, run the same command. [default: runs/CONFIG]")
    ] = None,
    backbone: Annotated[
        Path | None, typer.Option(help="For expfacenet and latent: the trained backbone's folder, or a preset's name: open, latent.")
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="Weights of an earlier run of the same network to start with, or a preset's name: open, latent.")
    ] = None,
    photo: Annotated[Path | None, typer.Option(help="The photo, for oneshot.")] = None,
    preset: Annotated[str, typer.Option(help="'open', 'paper', 'latent', or a folder with other weights.")] = "open",
    device: Annotated[str | None, typer.Option(help="cpu, or a device by its PyTorch name. [default: what accelerate finds]")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that prepare pictures ahead; of an album those that make pairs, 0: all cores but one.")
    ] = 0,
    on_device: Annotated[
        bool, typer.Option("--on-device", help="Load a folder of pairs onto the device whole; nothing is prepared then.")
    ] = False,
    stop_after: Annotated[
        float | None, typer.Option(help="Minutes from now; then write a checkpoint and the weights, and stop. 0: the checkpoint's weights.")
    ] = None,
    end_after: Annotated[
        float | None,
        typer.Option(help="Minutes from now when a run by the clock (minutes in the config) shall be complete; its schedule ends then."),
    ] = None,
    import_state: Annotated[
        Path | None, typer.Option(help="Go on from pieces (--export-state) where the output folder has no checkpoint.")
    ] = None,
    export_state: Annotated[
        Path | None, typer.Option(help="Write each checkpoint to this folder too, in files of less than 15.5 MB.")
    ] = None,
    pictures: Annotated[int, typer.Option(help="Steps between pictures in TensorBoard; 0: no TensorBoard.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and stop.")] = False,
) -> None:
    """Train the backbone, Exp-FaceNet, the super-resolution network, the latent DPM, or one person's weights.

    Many processes: `accelerate launch -m discontrolface train ...`."""
    with plain_errors():
        if threads:
            import torch

            torch.set_num_threads(threads)
        backbone = network_folder(backbone, "diffae", assets_dir)
        own = {"diffae": "diffae", "super-resolution": "super_resolution"}.get(stage, "exp_facenet")
        start_from = network_folder(start_from, own, assets_dir)
        if stage == "oneshot":
            from discontrolface.training.oneshot import run_one_shot

            say(run_one_shot(config, photo, preset, output, device or "cpu", dry_run, say))
        elif stage == "super-resolution":
            from discontrolface.training.super_resolution import run_super_resolution

            say(f"weights in {run_super_resolution(config, data, output, device or 'cpu', stop_after, say, start_from)}")
        elif stage == "latent":
            from discontrolface.training.latent import run_latent

            say(f"weights in {run_latent(config, data, output, backbone, preset, device or 'cpu', say)}")
        elif dry_run:
            from discontrolface.training.cost import describe
            from discontrolface.training.run import stage_config

            say(describe(stage_config(config, stage), device))
        else:
            from discontrolface.training.run import Sitting, run_training

            sitting = Sitting(workers, pictures, stop_after, on_device, import_state, export_state, end_after)
            weights = run_training(stage, config, data, output, backbone, start_from, device, sitting, say, assets_dir)
            say(f"weights in {weights}")


def network_folder(given: Path | None, part: str, assets: Path | None) -> Path | None:
    """A folder of weights as it was given, or a preset's by the preset's name."""
    if given is None or given.exists() or str(given) not in ("open", "paper", "latent"):
        return given
    from discontrolface.weights.manifest import preset_folder

    return preset_folder(str(given), assets) / part
