"""The command `train super-resolution`: the network that makes an edit as sharp as the photo (nets/super_resolution.py), on real pairs.

Everything random in a step follows from (seed, step), so that a run killed at any moment goes on from its last checkpoint to the weights that it
would have had. To resume, run the same command.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from discontrolface.common.configs import load_dataclass
from discontrolface.common.errors import UserError
from discontrolface.common.files import replace_folder
from discontrolface.nets.patch_discriminator import PatchDiscriminator
from discontrolface.nets.randomness import SeededWeights
from discontrolface.nets.super_resolution import MULTIPLE, SuperResolution
from discontrolface.training.average import Averaged
from discontrolface.training.log import cut_log
from discontrolface.training.state import load_state, save_state
from discontrolface.training.super_resolution_loss import adversary_terms, picture_loss
from discontrolface.training.super_resolution_set import Batch, Edits
from discontrolface.training.train import load_weights

Say = Callable[[str], None]


@dataclass(frozen=True)
class SuperResolutionTraining:
    """A run."""

    stage: str = "super-resolution"
    channels: tuple[int, ...] = (48, 64, 96)  # see nets/super_resolution.py
    blocks: tuple[int, ...] = (2, 2, 4)
    blocks_up: int = 2
    steps: int = 3000
    batch: int = 8
    crop: int = 128  # pixels of a training crop
    lr: float = 4e-4  # Adam
    warmup: int = 50  # steps
    final_lr: float = 0.02  # the rate at the last step as a share of `lr`; cosine in between
    ema: float = 0.999  # decay of the averaged weights
    photo_share: float = 0.3  # of a batch that is photos, softened (super_resolution_set.py); the others are edits
    enlarged_share: float = 0.25  # of the edits that are enlarged by 2: what 1024 pixels of a photo that has half as many look like
    flip: bool = True
    colour_jitter: float = 0.08  # standard deviation of a per-channel gain (log scale)
    hidden_weight: float = 3.0  # extra weight of pixels that the preview does not show
    pyramid_weight: float = 1.0  # of the absolute error of the finest bands
    structure_weight: float = 0.1  # of 1 - SSIM
    texture_weight: float = 0.25  # of the difference of these bands' local strength, wherever its pixels lie
    adversary_weight: float = 0.0  # of a patch discriminator's word; 0: none
    adversary_width: int = 24  # of its first layer
    adversary_lr: float = 2e-4
    adversary_from: int = 500  # the step from which it learns; its word comes in after it
    checkpoint_minutes: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.stage != "super-resolution":
            raise UserError(f"stage is {self.stage!r}, not 'super-resolution'")
        for name in ("steps", "batch", "adversary_width"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.crop < 64 or self.crop % MULTIPLE:
            raise UserError(f"crop {self.crop} must be a multiple of {MULTIPLE}, and at least 64")


class Run:
    """Network, discriminator, their optimizers, the averages; and the state on disk."""

    def __init__(self, config: SuperResolutionTraining, path: Path, device: str, start_from: Path | None = None) -> None:
        self.config, self.path, self.device = config, path, device
        with SeededWeights(config.seed):
            self.network = SuperResolution(config.channels, config.blocks, config.blocks_up)
            self.adversary = PatchDiscriminator(condition_channels=1, width=config.adversary_width)
        if start_from is not None:
            load_weights(self.network, start_from)
        for network in (self.network, self.adversary):
            network.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.averaged = Averaged(self.network, config.ema)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=config.lr, betas=(0.9, 0.99))
        self.adversary_optimizer = torch.optim.Adam(self.adversary.parameters(), lr=config.adversary_lr, betas=(0.5, 0.99))

    def restore(self) -> int:
        """Read the last checkpoint. Returns the step to go on from. UserError for another run's."""
        state = load_state(self.path)
        if state is None:
            return 0
        if state.get("config") != json.loads(json.dumps(asdict(self.config))):
            raise UserError(f"{self.path} belongs to a run of another config; choose another --output")
        self.network.load_state_dict(state["network"])
        self.adversary.load_state_dict(state["adversary"])
        self.averaged.values = [v.to(self.device) for v in state["average"]]
        self.optimizer.load_state_dict(state["optimizer"])
        self.adversary_optimizer.load_state_dict(state["adversary_optimizer"])
        return int(state["step"])

    def checkpoint(self, step: int) -> None:
        """Write the state after `step` steps, and the averaged weights as they are so far."""
        state: dict[str, Any] = {"config": json.loads(json.dumps(asdict(self.config))), "step": step, "average": self.averaged.values}
        state |= {"network": self.network.state_dict(), "adversary": self.adversary.state_dict()}
        state |= {"optimizer": self.optimizer.state_dict(), "adversary_optimizer": self.adversary_optimizer.state_dict()}
        save_state(state, self.path)
        self.averaged.swap(self.network)
        replace_folder(self.network.save_pretrained, self.path.parent / "weights", "the weights")
        self.averaged.swap(self.network)

    def rate(self, step: int) -> float:
        """The share of the learning rates at a step: linear warm-up, then a cosine."""
        config = self.config
        warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
        return warm * (config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * step / config.steps)))

    def step(self, step: int, batch: Batch) -> dict[str, float]:
        """One step of the network, then of the discriminator. Returns the terms of the loss."""
        config = self.config
        for optimizer, rate in ((self.optimizer, config.lr), (self.adversary_optimizer, config.adversary_lr)):
            for group in optimizer.param_groups:
                group["lr"] = rate * self.rate(step)
        picture = self.network(batch.carried, batch.preview, batch.visibility, batch.trusted)
        weight = batch.counts * (1 - batch.trusted) * (1 + config.hidden_weight * (1 - batch.visibility))
        terms = picture_loss(picture, batch.truth, weight)
        loss = terms.absolute + config.pyramid_weight * terms.bands
        loss = loss + config.structure_weight * terms.structure + config.texture_weight * terms.texture
        word = None
        if config.adversary_weight and step >= config.adversary_from:
            word = adversary_terms(self.adversary, picture, batch.truth, batch.carried, batch.trusted * batch.counts + 1 - batch.counts)
            ramp = min(1.0, (step - config.adversary_from) / 400)
            loss = loss + ramp * config.adversary_weight * word.asked
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.averaged.update(self.network, step)
        if word is not None:
            self.adversary_optimizer.zero_grad(set_to_none=True)
            word.learned.backward()  # type: ignore[no-untyped-call]
            self.adversary_optimizer.step()
        numbers = {"loss": loss, **terms._asdict(), **({} if word is None else word._asdict())}
        return {name: round(float(value.detach()), 6) for name, value in numbers.items()}


def run_super_resolution(
    path: Path,  # of the config
    data: Path | None,  # a folder of edits (super_resolution_data.py)
    output: Path | None,  # the weights go to OUTPUT/weights
    device: str,
    stop_after: float | None,  # minutes from now; then write a checkpoint and stop
    say: Say,
    start_from: Path | None = None,  # a folder of weights of an earlier run of the same network
) -> Path:
    """Train, or go on, and return the folder of the averaged weights, which a preset takes as its folder super_resolution/."""
    config = load_dataclass(path, SuperResolutionTraining())
    if data is None:
        raise UserError(
            "train super-resolution needs --data, a folder of edits (python -m discontrolface.training.super_resolution_data PHOTOS PEOPLE -o FOLDER)"
        )
    output = output or Path("runs") / path.stem
    output.mkdir(parents=True, exist_ok=True)
    return train_super_resolution(config, Edits(data), output, device, None if stop_after is None else 60 * stop_after, say, start_from)


def train_super_resolution(
    config: SuperResolutionTraining,
    edits: Edits,
    output: Path,
    device: str,
    stop_after: float | None,
    say: Say = lambda text: None,
    start_from: Path | None = None,
) -> Path:
    """The loop. stop_after: seconds from now."""
    run = Run(config, output / "state.pt", device, start_from)
    first, begin = run.restore(), time.monotonic()
    cut_log(output / "log.jsonl", first)
    say(f"{len(edits)} edits, {config.steps} steps of {config.batch}, from step {first}")
    saved = begin
    with (output / "log.jsonl").open("a") as log:
        for step in range(first, config.steps):
            numbers = run.step(step, edits.batch(config, step).to(device))
            if not math.isfinite(numbers["loss"]):
                raise UserError(f"the loss is {numbers['loss']} at step {step}; lower lr ({config.lr}) and start from the last checkpoint")
            log.write(json.dumps({"step": step, **numbers}) + "\n")
            now = time.monotonic()
            stop = stop_after is not None and now - begin > stop_after
            if stop or step + 1 == config.steps or now - saved >= 60 * config.checkpoint_minutes:
                log.flush()
                run.checkpoint(step + 1)
                saved = time.monotonic()
            if (step + 1) % 50 == 0:
                pace = (now - begin) / (step + 1 - first)
                say(
                    f"step {step + 1}/{config.steps}  {' '.join(f'{name} {value:.4f}' for name, value in numbers.items())}  {pace:.2f} s a step"
                )
            if stop:
                break
    return output / "weights"
