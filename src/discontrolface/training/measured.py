"""The numbers of a step (loss, gradient norm) without waiting for the device: they are copied while it computes, and read a step later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class StepNumbers:
    """What is known of a step as soon as the device has computed it."""

    step: int
    seconds: float  # from the step before to this one, on this side
    rate: float  # the learning rate
    host: Tensor  # (2,) loss and gradient norm, on their way to the CPU
    arrived: torch.Event | None  # None: they are here

    def values(self) -> tuple[float, float]:
        """Loss and gradient norm; waits for the device if it has not come so far."""
        if self.arrived is not None:
            self.arrived.synchronize()
        loss, norm = self.host.tolist()
        return loss, norm


@dataclass
class LateNumbers:
    """A queue of steps whose numbers are read at the latest `lag` steps later: the device never waits for the log, nor runs far ahead of it."""

    lag: int = 1
    waiting: list[StepNumbers] = field(default_factory=list)

    def put(self, step: int, seconds: float, rate: float, loss: Tensor, norm: Tensor) -> None:
        """Begin to copy. loss, norm: () on the device."""
        both = torch.stack([loss.detach().float(), norm.detach().float()])
        if both.device.type == "cpu":
            self.waiting.append(StepNumbers(step, seconds, rate, both, None))
            return
        host = torch.empty(2, pin_memory=True)
        host.copy_(both, non_blocking=True)
        arrived = torch.Event(both.device)
        arrived.record()
        self.waiting.append(StepNumbers(step, seconds, rate, host, arrived))

    def take(self, all_of_them: bool = False) -> Iterator[StepNumbers]:
        """The steps that are due, in order."""
        while len(self.waiting) > (0 if all_of_them else self.lag):
            yield self.waiting.pop(0)
