"""How the DiffusionRig baseline is trained: by the loop, the loss and the pairs of our own networks."""

from __future__ import annotations

import torch
from torch import Tensor

from discontrolface.baselines.diffusionrig import DiffusionRigBaseline, Posed, sample_rig
from discontrolface.diffusion.loss import diffusion_loss
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import Batch
from discontrolface.training.objective import Losses, Objective, network_config


class RigObjective(Objective):
    """The baseline's loss: the target from the code of the whole source and the target's buffers. Encoder and U-Net learn; nothing is masked.

    The official code takes source and target from one photo (it has no pairs); ours are a pair, as for Exp-FaceNet.
    """

    def forward(self, batch: Batch) -> Losses:
        """The loss of each picture."""
        posed = Posed(self.model, batch.snapshot)
        loss = diffusion_loss(posed, batch.target, source=batch.source, t=batch.t, noise=batch.noise, weight=batch.weight)
        return Losses.alone(loss.per_sample)

    def seen(self, batch: Batch) -> Tensor:
        """(B,3,H,W) the whole source."""
        return batch.source

    def sampled(self, batch: Batch, noise: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        """(B,3,H,W) the targets, from noise; nothing is drawn from the generator."""
        return sample_rig(self.model, batch.source, batch.snapshot, noise, steps)


def new_rig(config: TrainConfig, backbone: None) -> Objective:
    """Stage "diffusionrig": the baseline with new weights, in the size of the run's network."""
    return RigObjective(DiffusionRigBaseline.sized_as(network_config(config), config.spec))
