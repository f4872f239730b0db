"""What a run costs, counted before it starts: parameters, memory, floating-point operations, a guess of the speed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import Batch
from discontrolface.training.objective import empty, network_config
from discontrolface.training.train import make_accelerator


@dataclass(frozen=True)
class Cost:
    """trained, frozen: parameters. forward, step: floating-point operations per picture, a multiply-add counted as two; `step` with the backward
    pass. weights, activations: bytes; `weights` with gradients, Adam's two moments and the averages, `activations` of one picture."""

    trained: int
    frozen: int
    forward: int
    step: int
    weights: int
    activations: int


def count(config: TrainConfig) -> Cost:
    """Count one picture's training step, without computing it: on tensors that have only a shape."""
    from torch.utils.flop_counter import FlopCounterMode

    objective = empty(config).train()
    size = objective.model.image_size
    seen = config.crop or size  # what the U-Nets see; the encoder sees the whole source

    def picture(channels: int, side: int = seen) -> torch.Tensor:
        return torch.empty(1, channels, side, side, device="meta")

    hidden = torch.empty(1, 1, size, size, dtype=torch.bool, device="meta")
    t = torch.empty(1, dtype=torch.long, device="meta")
    channels, side = objective.space
    noise = picture(channels, seen * side // size)
    batch = Batch(picture(3, size), picture(3), picture(config.spec.channels), picture(1), hidden, t, noise)
    saved: dict[int, int] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        if not isinstance(x, torch.nn.Parameter):
            saved[id(x.untyped_storage())] = x.numel() * x.element_size()
            held.append(x)
        return x

    held: list[torch.Tensor] = []  # so that no storage's id is used twice
    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            loss = sum(part.mean() for part in objective(batch))
        forward = counter.get_total_flops()
        loss.backward()
    trained = sum(p.numel() for p in objective.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in objective.parameters()) - trained
    scale = 1.0 if config.precision == "no" else 0.5
    return Cost(trained, frozen, forward, counter.get_total_flops(), 4 * (5 * trained + frozen), round(sum(saved.values()) * scale))


def machine_speed(config: TrainConfig, device: str | None, seconds: float = 0.3) -> float:
    """Floating-point operations per second of this machine in a 3x3 convolution and its gradients at the run's precision, as its networks make."""
    accelerator = make_accelerator(config, device)
    at = accelerator.device
    arguments = network_config(config)
    grid = arguments.get("image_size", 256) // arguments.get("patch", 1) // 2
    width = arguments.get("model_channels", 128)
    layer: Any = torch.nn.Conv2d(width, width, 3, padding=1)
    layer = layer.to(device=at, memory_format=torch.channels_last)
    x = torch.randn(1 if at.type == "cpu" else config.batch, width, grid, grid).to(at, memory_format=torch.channels_last).requires_grad_()
    operations = 3 * 2 * len(x) * (width * grid) ** 2 * 9
    rounds, begin = 0, 0.0
    while rounds < 2 or time.monotonic() - begin < seconds:
        with accelerator.autocast():
            y = layer(x).float().mean()
        y.backward()
        float(y.detach())  # waits for the device
        rounds += 1
        if rounds == 1:
            begin = time.monotonic()
    return operations * (rounds - 1) / (time.monotonic() - begin)


def describe(config: TrainConfig, device: str | None = "cpu") -> str:
    """What `--dry-run` prints."""
    cost = count(config)
    speed = machine_speed(config, device)
    guess = speed / cost.step
    memory = cost.weights + cost.activations * config.batch
    seen = config.batch * config.accumulate
    pictures = int(guess * 60 * config.minutes) if config.minutes else config.steps * seen
    length, most = (f"{config.minutes:g} minutes", "at most ") if config.minutes else (f"{config.steps:,} steps", "")
    return "\n".join(
        (
            f"stage {config.stage}, network {config.network!r}, pairs {config.pairs!r}, precision {config.precision!r}",
            f"parameters    {cost.trained:,} trained, {cost.frozen:,} frozen",
            f"one picture   {cost.forward / 1e9:,.1f} GFLOP forward, {cost.step / 1e9:,.1f} GFLOP a training step",
            f"memory        about {memory / 1e9:,.1f} GB: {cost.weights / 1e9:,.2f} for weights, gradients, AdamW and averages, "
            f"{cost.activations / 1e9:,.2f} for each of {config.batch} pictures",
            f"one process   {length} of {config.batch} x {config.accumulate} pictures, {most}{pictures:,} in all",
            f"speed         a guess: at most {guess:,.3g} pictures/s here (measured on one convolution: {speed / 1e9:,.0f} GFLOP/s), "
            f"{pictures / guess / 3600:,.3g} hours",
        )
    )
