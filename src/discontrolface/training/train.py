"""The training loop of both networks. To resume, run the same command.

Every step draws its pictures, timesteps, noise and masks from a generator seeded with (seed, step), so that a run killed at any moment goes on
from its last checkpoint to exactly the losses and weights that it would have had.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from discontrolface.diffusion.loss import diffusion_loss
from discontrolface.diffusion.masking import random_patch_mask, random_ratios
from discontrolface.errors import UserError
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.presets import CONFIGS
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import Batch, PairDataset
from discontrolface.training.state import load_state, save_state


def step_generator(seed: int, step: int) -> torch.Generator:
    """The randomness of one step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) & 0x7FFF_FFFF_FFFF_FFFF)


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then a cosine from `lr` to `lr * final_lr`."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    done = min(1.0, step / config.steps)
    return config.lr * warm * (config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * done)))


class Averaged:
    """Exponential moving average of a network's parameters, warmed up (official Diff-AE: 0.9999)."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = [p.detach().clone() for p in network.parameters()]

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """After the optimizer's step number `step` (from 0)."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, [p.detach() for p in network.parameters()], weight)

    @torch.no_grad()
    def copy_to(self, network: nn.Module) -> None:
        """Put the averages into a network of the same shape."""
        for p, value in zip(network.parameters(), self.values, strict=True):
            p.copy_(value)


def encoder_mask(config: TrainConfig, batch: int, size: int, generator: torch.Generator) -> Tensor | None:
    """What is hidden from the semantic encoder: (B,1,H,W) bool, ratio ~ U(low, high) on `mask_share` of the pictures."""
    if config.mask_share == 0:
        return None
    ratios = random_ratios(batch, config.mask_low, config.mask_high, generator)
    hidden = torch.rand(batch, generator=generator) < config.mask_share
    return random_patch_mask(batch, size, config.mask_patch, ratios * hidden, generator)


def batch_loss(config: TrainConfig, model: DiffAE, control: ExpFaceNet | None, batch: Batch, generator: torch.Generator) -> Tensor:
    """The loss of one step: the backbone rebuilds the target; Exp-FaceNet makes the target from the masked source and the target's snapshot."""
    mask = encoder_mask(config, len(batch.source), batch.source.shape[-1], generator)
    if control is None:
        return diffusion_loss(model, batch.target, mask=mask, generator=generator).loss
    return diffusion_loss(
        model, batch.target, control, batch.snapshot, source=batch.source, mask=mask, generator=generator
    ).loss


def build(config: TrainConfig, backbone: Path | None) -> tuple[DiffAE, ExpFaceNet | None]:
    """The networks of a run. "expfacenet" needs a trained backbone (a folder written by `save_pretrained`)."""
    torch.manual_seed(config.seed)
    if config.network not in CONFIGS:
        raise UserError(f"network {config.network!r} is not known; choose one of {', '.join(CONFIGS)}")
    if config.stage == "diffae":
        return DiffAE(**CONFIGS[config.network]()), None
    if backbone is None:
        raise UserError("training Exp-FaceNet needs a trained backbone; give its folder with --backbone")
    model = DiffAE.from_pretrained(backbone)
    model.requires_grad_(False)
    return model, ExpFaceNet.from_backbone(model, snapshot_maps=config.snapshot_maps, preview_gate=config.preview_gate)


def train(
    config: TrainConfig,
    data: PairDataset,
    output: Path,
    backbone: Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
    progress: Callable[[int, float, float], None] | None = None,  # (step, loss, seconds per step)
    stop_after: float | None = None,  # seconds; then write a checkpoint and return
) -> Path:
    """Train and return the folder of the averaged weights (`output/weights`, `from_pretrained` reads it). Resumes from `output/state.pt`."""
    if threads:
        torch.set_num_threads(threads)
    output.mkdir(parents=True, exist_ok=True)
    model, control = build(config, backbone)
    trained: nn.Module = model if control is None else control
    for network in (model, control):
        if network is not None:
            network.to(device=device, memory_format=torch.channels_last)
            network.train()
    averaged = Averaged(trained, config.ema)
    optimizer = torch.optim.AdamW(trained.parameters(), lr=config.lr, weight_decay=0.0)
    state_path, log_path = output / "state.pt", output / "log.jsonl"
    state = load_state(state_path)
    first = 0
    if state is not None:
        if state["config"] != asdict(config):
            changed = [k for k, v in asdict(config).items() if state["config"].get(k) != v]
            raise UserError(f"{state_path} belongs to another run ({', '.join(changed)} differ); choose another --output")
        trained.load_state_dict(state["network"])
        averaged.values = [v.to(device) for v in state["average"]]
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
        lines = log_path.read_text().splitlines(keepends=True) if log_path.exists() else []
        log_path.write_text("".join(line for line in lines if json.loads(line)["step"] < first))

    def checkpoint(step: int) -> None:
        content: dict[str, Any] = {"config": asdict(config), "network": trained.state_dict(), "average": averaged.values}
        save_state({**content, "optimizer": optimizer.state_dict(), "step": step}, state_path)

    started = saved = time.monotonic()
    with log_path.open("a") as log:
        for step in range(first, config.steps):
            begin = time.monotonic()
            generator = step_generator(config.seed, step)
            batch = data.batch(config, generator).to(device)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step)
            loss = batch_loss(config, model, control, batch, generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained.parameters(), config.grad_clip)
            optimizer.step()
            averaged.update(trained, step)
            value = loss.item()
            if not math.isfinite(value):
                raise UserError(f"the loss is {value} at step {step}; lower lr ({config.lr}) and start from the last checkpoint")
            now = time.monotonic()
            log.write(json.dumps({"step": step, "loss": round(value, 6), "seconds": round(now - begin, 3)}) + "\n")
            log.flush()
            if progress is not None:
                progress(step, value, now - begin)
            if now - saved > config.checkpoint_minutes * 60:
                checkpoint(step + 1)
                saved = time.monotonic()
            if stop_after is not None and now - started > stop_after:
                checkpoint(step + 1)
                break
        else:
            checkpoint(config.steps)
    averaged.copy_to(trained)
    weights = output / "weights"
    trained.save_pretrained(weights)
    return weights
