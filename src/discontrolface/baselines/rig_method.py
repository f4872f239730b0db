"""The DiffusionRig baseline as a method that is measured beside ours: noise, the source's code, the target's buffers; DDIM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.baselines.diffusionrig import DiffusionRigBaseline, sample_rig
from discontrolface.common.errors import UserError
from discontrolface.evaluation.heldout import Task, to_batch, to_pictures
from discontrolface.face.geometry import Geometry

Array = NDArray[np.float32]


@dataclass(frozen=True)
class RigMethod:
    """Makes a batch of edits: (H, W, 3) in [0, 1] each. The noise follows from the first task's seed."""

    network: DiffusionRigBaseline
    geometry: Geometry  # draws the buffers
    steps: int
    device: str = "cpu"

    @torch.no_grad()
    def __call__(self, tasks: Sequence[Task]) -> list[Array]:
        size = int(self.network.config["image_size"])
        for task in tasks:
            if task.source.shape != (size, size, 3):
                raise UserError(
                    f"the DiffusionRig baseline makes pictures of {size}x{size}, not {task.source.shape[1]}x{task.source.shape[0]}"
                )
        drawn = [self.geometry.snapshot(task.target, size, self.network.buffer_maps).image for task in tasks]
        source = to_batch([task.source for task in tasks], self.device)
        noise = torch.randn(source.shape, generator=torch.Generator().manual_seed(tasks[0].seed)).to(self.device)
        x = sample_rig(self.network, source, torch.cat(drawn).to(self.device), noise, self.steps)
        return to_pictures(x)


def load_rig(folder: Path, geometry: Geometry, steps: int, device: str = "cpu") -> RigMethod:
    """The method with weights that `train diffusionrig` wrote. UserError if they are missing or of another network."""
    if not (folder / "config.json").is_file():
        raise UserError(
            f"no config.json in {folder}: the DiffusionRig baseline has no weights there; train them with "
            "discontrolface train diffusionrig --config configs/baseline_diffusionrig.yaml, or leave this method out"
        )
    try:
        network = DiffusionRigBaseline.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"the weights of the DiffusionRig baseline in {folder} cannot be read: {str(error).splitlines()[0]}") from error
    network = network.eval().requires_grad_(False).to(device)
    return RigMethod(network, geometry, steps, device)
