"""How DiffusionRig is trained: by the loop, the loss and the data of our own networks. Stage 1 (anybody) and stage 2 (one person's album)."""

from __future__ import annotations

import torch
from torch import Tensor

from discontrolface.baselines.diffusionrig import Posed, sample_rig
from discontrolface.common.errors import UserError
from discontrolface.diffusion.loss import diffusion_loss
from discontrolface.nets.diffusion_rig import MAPS, DiffusionRig, physical_buffers
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import Batch
from discontrolface.training.objective import Losses, Objective, network_config


class RigObjective(Objective):
    """The loss: the target from the code of the whole source and the target's buffers; nothing is masked.

    Officially source and target are one photo (`pairs: self`); the small network of the open preset learns from pairs.
    p2: each timestep counts as 1 / (1 + signal-to-noise ratio) (Choi et al. 2022, gamma 1, k 1), as the official command asks (`--p2_weight True`).
    """

    def __init__(self, model: DiffusionRig, p2: bool) -> None:
        super().__init__(model)
        self.p2 = p2

    def physical(self, batch: Batch) -> Tensor:
        """(B,9,H,W) the target's buffers."""
        return physical_buffers(batch.snapshot)

    def forward(self, batch: Batch) -> Losses:
        """The loss of each picture."""
        posed = Posed(self.model, self.physical(batch))
        loss = diffusion_loss(posed, batch.target, source=batch.source, t=batch.t, noise=batch.noise, weight=batch.weight).per_sample
        if self.p2:
            loss = loss * self.model.noise_process.at("noise", batch.t, loss).square()  # 1 / (1 + a / (1 - a)) = 1 - a
        return Losses.alone(loss)

    def seen(self, batch: Batch) -> Tensor:
        """(B,3,H,W) the whole source."""
        return batch.source

    def sampled(self, batch: Batch, noise: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        """(B,3,H,W) the targets, from noise; nothing is drawn from the generator."""
        return sample_rig(self.model, batch.source, self.physical(batch), noise, steps)


class PersonalObjective(RigObjective):
    """Of an album, whose buffers are as the network takes them (rig_album.py)."""

    def physical(self, batch: Batch) -> Tensor:
        """(B,9,H,W) the target's buffers."""
        return batch.snapshot


def network(config: TrainConfig) -> DiffusionRig:
    """The run's network with new weights: the official one, or one in the size of a backbone. UserError for other maps."""
    if config.snapshot_maps != MAPS:
        raise UserError(
            f"DiffusionRig sees {', '.join(MAPS)}, and the config says snapshot_maps: {', '.join(config.snapshot_maps)}; write those"
        )
    arguments = network_config(config)
    if arguments.get("_class_name") == DiffusionRig.__name__:
        return DiffusionRig(**{**{k: v for k, v in arguments.items() if k != "_class_name"}, "head": config.head})
    return DiffusionRig.sized_as(arguments, config.head)


def new_rig(config: TrainConfig, backbone: None) -> Objective:
    """Stage "diffusionrig": encoder and U-Net learn together."""
    return RigObjective(network(config), config.p2)


def personal_rig(config: TrainConfig, backbone: None) -> Objective:
    """Stage "diffusionrig-person" (official --stage 2): the encoder's weights stay, the U-Net learns one person.

    The encoder's BatchNorm goes on averaging over the person's photos, as officially, where the whole network stays in training mode.
    """
    rig = network(config)
    rig.encoder.requires_grad_(False)
    return PersonalObjective(rig, config.p2)
