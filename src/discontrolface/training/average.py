"""The averaged weights (EMA), which are what a run is for."""

from __future__ import annotations

import torch
from torch import nn


class Averaged:
    """Exponential moving average of what a network learns, warmed up (official Diff-AE: 0.9999). Frozen parameters (an autoencoder) stay out."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = [p.detach().clone() for p in learned(network)]

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """After the optimizer's step number `step` (from 0)."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, [p.detach() for p in learned(network)], weight)

    @torch.no_grad()
    def swap(self, network: nn.Module) -> None:
        """Exchange the averages with a network's parameters; twice: as before."""
        for p, value in zip(learned(network), self.values, strict=True):
            held = p.detach().clone()
            p.copy_(value)
            value.copy_(held)


def learned(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [p for p in network.parameters() if p.requires_grad]
