"""The command `train`: finds or makes what a run needs (data, a backbone), then trains."""

from __future__ import annotations

import contextlib
import dataclasses
import pkgutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from discontrolface.common.errors import UserError
from discontrolface.training.albedo import draw_folder
from discontrolface.training.config import TrainConfig, load_config
from discontrolface.training.dataset import PairDataset, Source, check_head
from discontrolface.training.objective import network_config
from discontrolface.training.pairs import make_pairs
from discontrolface.training.pool import Pool
from discontrolface.training.shards import ShardDataset
from discontrolface.training.stages import STAGES
from discontrolface.training.stream import Stream
from discontrolface.training.train import make_accelerator, make_folder, train

Say = Callable[[str], None]


@dataclass(frozen=True)
class Sitting:
    """How a run is carried on this time; none of it changes what is learned."""

    workers: int = 0  # processes that prepare pictures ahead, or, of an album, that make pairs (0: all cores but one)
    pictures: int = 0  # steps between pictures in TensorBoard; 0: no TensorBoard
    stop_after: float | None = None  # minutes from now
    on_device: bool = False  # a folder's pairs lie on the device, as bytes
    import_state: Path | None = None  # pieces of a state to go on from, where the output folder has none
    export_state: Path | None = None  # where each checkpoint goes as pieces too
    end_after: float | None = None  # minutes from now, when a run by the clock shall be complete


def open_data(
    config: TrainConfig,
    path: Path,  # a folder; or an album
    assets: Path | None = None,  # the folder of imported files; None: the user's
    device: torch.device | str = "cpu",
    sitting: Sitting = Sitting(),
    process: int = 0,  # which of those that train
) -> Source:
    """The stage's own data set, or the one that the config's `pairs` asks for."""
    if STAGES[config.stage].data:
        own: Source = pkgutil.resolve_name(STAGES[config.stage].data)(config, path, assets)
        return own
    if path.suffix == ".zip":
        if config.pairs != "synthetic":
            raise UserError(f"an album gives pairs of two true pictures, and the config says pairs: {config.pairs}; write pairs: synthetic")
        return Stream(path, config, picture_size(config), device, sitting.workers, process)
    if config.pairs == "synthetic":
        data = PairDataset(path)
        return Pool.of(data, config, device) if sitting.on_device else data
    if sitting.on_device:
        raise UserError(f"pairs: {config.pairs} are made from shards step by step; leave --on-device out")
    return ShardDataset(path, assets)


def picture_size(config: TrainConfig) -> int:
    """Pixels of the network's pictures."""
    return int(network_config(config).get("image_size", 256))


def run_training(
    stage: str,
    path: Path,  # of the config
    data: Path | None,
    output: Path | None,
    backbone: Path | None,
    start_from: Path | None,
    device: str | None,
    sitting: Sitting,
    say: Say,
    assets: Path | None = None,  # the folder of imported files, for pairs that are drawn with FLAME
) -> Path:
    """Train as the config says. Without data or backbone, those that the config allows to make are made in the output folder first."""
    config = stage_config(path, stage)
    if STAGES[stage].continues and start_from is None:
        raise UserError(f"stage {stage} goes on from trained weights; give their folder with --start-from")
    output = output or Path("runs") / path.stem
    make_folder(output)
    accelerator = make_accelerator(config, device)
    say = say if accelerator.is_main_process else silent
    with accelerator.main_process_first():
        folder = data or ensure_pairs(config, output / "pairs", say)
    with contextlib.ExitStack() as stack:
        source = open_data(config, folder, assets, accelerator.device, sitting, accelerator.process_index)
        if isinstance(source, Stream):
            stack.enter_context(source)
        check_head(source, config)
        seen = config.batch * config.accumulate * accelerator.num_processes
        length = f"{config.minutes:g} minutes" if config.minutes else f"{config.steps} steps"
        say(f"{describe(source, config)}, {length} of {seen} a step, on {accelerator.device}")
        if STAGES[config.stage].beside_backbone and backbone is None:
            backbone = ensure_backbone(config, source, output / "backbone", device, say)
        return train(
            config,
            source,
            output,
            backbone,
            device,
            reporter(config, say),
            None if sitting.stop_after is None else 60 * sitting.stop_after,
            sitting.workers,
            sitting.pictures,
            start_from,
            sitting.import_state,
            sitting.export_state,
            None if sitting.end_after is None else 60 * sitting.end_after,
            say,
        )


def describe(source: Source, config: TrainConfig) -> str:
    """What a run learns from."""
    if isinstance(source, Stream):
        return f"pairs made from {source.path} meanwhile"
    left_out: dict[str, str] = getattr(source, "left_out", {})
    without = "".join(f"; {name} is left out: {why}" for name, why in left_out.items())
    what = "pictures" if config.stage == "autoencoder" else "pairs" if config.pairs == "synthetic" else "photos"
    return f"{len(source)} {what}{without}"


def silent(text: str) -> None:
    """What all processes but the first say."""


def stage_config(path: Path, stage: str) -> TrainConfig:
    """The config, which must be of this stage."""
    config = load_config(path)
    if config.stage != stage:
        raise UserError(f"{path} is for stage {config.stage!r}, not {stage!r}")
    return config


def ensure_pairs(config: TrainConfig, folder: Path, say: Say) -> Path:
    """`make_pairs` synthetic pairs of the network's size; those that exist are kept."""
    if not config.make_pairs or config.pairs != "synthetic":
        raise UserError(
            "this config needs data; give --data, a folder of pairs (python -m discontrolface.training.pairs) or shards (discontrolface prepare)"
        )

    make_pairs(folder, 0, config.make_pairs, picture_size(config), say=say)
    if "albedo" in config.snapshot_maps:
        draw_folder(folder)
    return folder


def ensure_backbone(config: TrainConfig, source: Source, folder: Path, device: str | None, say: Say) -> Path:
    """A backbone trained for `backbone_steps` steps on the same data."""
    if not config.backbone_steps:
        raise UserError("training Exp-FaceNet needs a trained backbone; give its folder with --backbone")
    first = dataclasses.replace(config, stage="diffae", steps=config.backbone_steps, minutes=0.0, mask_share=0.5, loss_bar=0.0)
    say(f"no --backbone: training one first, {first.steps} steps")
    return train(first, source, folder, None, device, reporter(first, say))


def reporter(config: TrainConfig, say: Say) -> Callable[[int, float, float], None]:
    """A line every 50 steps."""
    losses: list[float] = []
    times: list[float] = []
    begin = time.monotonic()

    def report(step: int, loss: float, seconds: float) -> None:
        losses.append(loss)
        times.append(seconds)
        if (step + 1) % 50 == 0:
            mean, pace = (sum(values[-50:]) / len(values[-50:]) for values in (losses, times))
            word = f"loss {mean:.5f}  {pace:.3f} s a step"
            if config.minutes:
                say(f"step {step + 1}  {word}, after {(time.monotonic() - begin) / 60:.1f} minutes")
                return
            left = time.strftime("%H:%M:%S", time.gmtime((config.steps - step - 1) * pace)) if pace * config.steps < 86400 else "long"
            say(f"step {step + 1}/{config.steps}  {word}, {left} left")

    return report
