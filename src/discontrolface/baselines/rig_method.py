"""The DiffusionRig baseline as a method of editing: noise, the source's code, the target's buffers; DDIM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.baselines.diffusionrig import DiffusionRigBaseline, sample_rig
from discontrolface.common.errors import UserError
from discontrolface.editing.method import Method, MethodContext, finished
from discontrolface.editing.pipeline import PreparedEdit, stacked


@dataclass(frozen=True)
class RigMethod:
    """Makes a batch of edits; the noise of each follows from its seed."""

    network: DiffusionRigBaseline
    steps: int
    device: str = "cpu"

    @torch.no_grad()
    def __call__(self, edits: Sequence[PreparedEdit]) -> list[NDArray[np.uint8]]:
        size = int(self.network.config["image_size"])
        for edit in edits:
            if edit.size != size:
                raise UserError(f"the DiffusionRig baseline makes pictures of {size}x{size}, not {edit.size}x{edit.size}")
        snapshots = [edit.person.geometry.snapshot(edit.target, size, self.network.spec.maps) for edit in edits]
        for snapshot in snapshots:
            self.network.spec.check(snapshot.spec, "the DiffusionRig baseline", "train it on that head model, or leave this method out")
        buffers = [snapshot.image for snapshot in snapshots]
        source = stacked([edit.crop for edit in edits]).to(self.device)
        noise = stacked([torch.randn((1, 3, size, size), generator=torch.Generator().manual_seed(edit.seed)) for edit in edits]).to(
            self.device
        )
        return finished(edits, sample_rig(self.network, source, stacked(buffers).to(self.device), noise, self.steps))


def rig_method(context: MethodContext) -> Method:
    """DiffusionRig's design, trained by `train diffusionrig`. UserError without weights."""
    if "diffusionrig" not in context.weights:
        raise UserError("method 'diffusionrig' needs weights; give their folder with --weights diffusionrig=FOLDER, see docs/evaluation.md")
    return load_rig(context.weights["diffusionrig"], context.sampling.steps, context.editor.device)


def load_rig(folder: Path, steps: int, device: str = "cpu") -> RigMethod:
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
    return RigMethod(network, steps, device)
