"""TensorBoard: curves, and at fixed seeds what the network makes of the same pictures (extra `train`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.diffusion.masking import apply_mask
from discontrolface.training.average import Averaged
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import Source, StepData
from discontrolface.training.objective import Objective

ROWS = 4  # examples
STEPS = 10  # of sampling
FIXED = 2**40  # the "step" whose draws choose the examples: no run gets there


class Board:
    """Writes curves, and pictures with the averaged weights. Touches no randomness of the training."""

    def __init__(
        self, folder: Path, config: TrainConfig, data: Source, objective: Objective, averaged: Averaged, device: torch.device, first: int
    ) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "pictures during training need TensorBoard: pip install 'discontrolface[train]', or leave --pictures out"
            ) from None
        from dataclasses import replace

        self.writer: Any = SummaryWriter(str(folder), purge_step=first)  # type: ignore[no-untyped-call]
        self.objective, self.averaged = objective, averaged
        self.batch = StepData(data, replace(config, batch=ROWS, accumulate=1, crop=0), space=objective.space)[FIXED][0].to(device)

    def curves(self, step: int, loss: float, norm: float, rate: float) -> None:
        """The numbers of a step."""
        for name, value in (("loss", loss), ("gradient norm", norm), ("learning rate", rate)):
            self.writer.add_scalar(name, value, step)

    def pictures(self, step: int) -> None:
        """What the averaged weights of now make, as a picture of this step."""
        self.averaged.swap(self.objective.trained)
        self.objective.eval()
        try:
            self.writer.add_image("pictures", self.panel(), step)
        finally:
            self.objective.train()
            self.averaged.swap(self.objective.trained)
        self.writer.flush()

    @torch.no_grad()
    def panel(self) -> Tensor:
        """(3, ROWS H, 5 W) in [0, 1]; columns: source, what the encoder sees of it, truth, one prediction from noise, sample from noise."""
        batch, source = self.batch, self.objective.seen(self.batch)

        def sampled(steps: int) -> Tensor:
            generator = torch.Generator().manual_seed(0)
            noise = torch.randn(batch.noise.shape, generator=generator).to(batch.noise.device)
            return self.objective.sampled(batch, noise, steps, generator)

        columns = [source, apply_mask(source, batch.mask), batch.target, sampled(1), sampled(STEPS)]
        rows = torch.cat(columns, 3)  # (ROWS,3,H,5W)
        return torch.cat(list(rows), 1).add(1).div(2).clamp(0, 1).cpu()
