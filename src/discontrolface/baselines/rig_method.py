"""DiffusionRig as a method of editing: noise, the source's code, the target's buffers; DDIM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.baselines.diffusionrig import sample_rig
from discontrolface.baselines.peer_weights import load_peer
from discontrolface.baselines.rig_buffers import rig_buffers
from discontrolface.common.errors import UserError
from discontrolface.editing.method import Method, MethodContext, finished
from discontrolface.editing.pipeline import PreparedEdit, stacked
from discontrolface.nets.diffusion_rig import DiffusionRig
from discontrolface.weights.diffusionrig import import_diffusionrig


@dataclass(frozen=True)
class RigMethod:
    """Makes a batch of edits; the noise of each follows from its seed."""

    network: DiffusionRig
    steps: int
    device: str = "cpu"

    @torch.no_grad()
    def __call__(self, edits: Sequence[PreparedEdit]) -> list[NDArray[np.uint8]]:
        size = self.network.image_size
        for edit in edits:
            if edit.size != size:
                raise UserError(f"this DiffusionRig makes pictures of {size}x{size}, not {edit.size}x{edit.size}")
        physical = [rig_buffers(edit.person.geometry, edit.target, size, self.network.spec) for edit in edits]
        source = stacked([edit.crop for edit in edits]).to(self.device)
        noise = [torch.randn((1, 3, size, size), generator=torch.Generator().manual_seed(edit.seed)) for edit in edits]
        pictures = sample_rig(self.network, source, stacked(physical).to(self.device), stacked(noise).to(self.device), self.steps)
        return finished(edits, pictures)


def rig_method(context: MethodContext) -> Method:
    """DiffusionRig: the official weights, or those of `train diffusionrig`. UserError if they cannot be read."""
    network = load_peer(context.weights["diffusionrig"], DiffusionRig, import_diffusionrig, context.editor.device)
    return RigMethod(network, context.sampling.steps, context.editor.device)
