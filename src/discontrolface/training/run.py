"""The command `train`: finds or makes what a run needs (data, a backbone), then trains."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

from discontrolface.common.errors import UserError
from discontrolface.training.albedo import draw_folder
from discontrolface.training.config import TrainConfig, load_config
from discontrolface.training.dataset import PairDataset, Source, check_head
from discontrolface.training.objective import network_config
from discontrolface.training.pairs import make_pairs
from discontrolface.training.shards import ShardDataset
from discontrolface.training.stages import STAGES
from discontrolface.training.train import make_accelerator, make_folder, train

Say = Callable[[str], None]


def open_data(config: TrainConfig, folder: Path, assets: Path | None = None) -> Source:
    """The data set that the config's `pairs` asks for, in `folder`. assets: the folder of imported files; None: the user's."""
    if config.pairs == "synthetic":
        return PairDataset(folder)

    return ShardDataset(folder, assets)


def run_training(
    stage: str,
    path: Path,  # of the config
    data: Path | None,
    output: Path | None,
    backbone: Path | None,
    start_from: Path | None,
    device: str | None,
    workers: int,
    pictures: int,
    say: Say,
    assets: Path | None = None,  # the folder of imported files, for pairs that are drawn with FLAME
) -> Path:
    """Train as the config says. Without data or backbone, those that the config allows to make are made in the output folder first."""
    config = stage_config(path, stage)
    output = output or Path("runs") / path.stem
    make_folder(output)
    accelerator = make_accelerator(config, device)
    say = say if accelerator.is_main_process else silent
    with accelerator.main_process_first():
        folder = data or ensure_pairs(config, output / "pairs", say)
    source = open_data(config, folder, assets)
    check_head(source, config)
    if accelerator.is_main_process:
        seen = config.batch * config.accumulate * accelerator.num_processes
        say(
            f"{len(source)} {'pairs' if config.pairs == 'synthetic' else 'photos'}, {config.steps} steps of {seen}, on {accelerator.device}"
        )
    if STAGES[config.stage].beside_backbone and backbone is None:
        backbone = ensure_backbone(config, source, output / "backbone", device, say)
    return train(config, source, output, backbone, device, reporter(config, say), None, workers, pictures, start_from)


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

    size = int(network_config(config).get("image_size", 256))
    make_pairs(folder, 0, config.make_pairs, size, say=say)
    if "albedo" in config.snapshot_maps:
        draw_folder(folder)
    return folder


def ensure_backbone(config: TrainConfig, source: Source, folder: Path, device: str | None, say: Say) -> Path:
    """A backbone trained for `backbone_steps` steps on the same data."""
    if not config.backbone_steps:
        raise UserError("training Exp-FaceNet needs a trained backbone; give its folder with --backbone")
    first = dataclasses.replace(config, stage="diffae", steps=config.backbone_steps, mask_share=0.5, loss_bar=0.0)
    say(f"no --backbone: training one first, {first.steps} steps")
    return train(first, source, folder, None, device, reporter(first, say))


def reporter(config: TrainConfig, say: Say) -> Callable[[int, float, float], None]:
    """A line every 50 steps."""
    losses: list[float] = []
    times: list[float] = []

    def report(step: int, loss: float, seconds: float) -> None:
        losses.append(loss)
        times.append(seconds)
        if (step + 1) % 50 == 0:
            mean, pace = (sum(values[-50:]) / len(values[-50:]) for values in (losses, times))
            left = time.strftime("%H:%M:%S", time.gmtime((config.steps - step - 1) * pace)) if pace * config.steps < 86400 else "long"
            say(f"step {step + 1}/{config.steps}  loss {mean:.5f}  {pace:.3f} s a step, {left} left")

    return report
