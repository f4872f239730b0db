"""Initial weights and dropout from generators of their own: neither reads nor moves the state of the whole process, which other threads share."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class SeededWeights(TorchFunctionMode):
    """`with SeededWeights(seed): DiffAE(...)` gives the weights that `torch.manual_seed(seed)` would, for modules made on the CPU.

    Of this thread only. Reaches what `torch.nn.init` and in-place `uniform_` and `normal_` draw, which is how modules begin; not `torch.randn`.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        given = dict(kwargs or {})
        initialiser = getattr(func, "__module__", None) == "torch.nn.init" and "generator" in inspect.signature(func).parameters
        if (initialiser or getattr(func, "__name__", "") in ("uniform_", "normal_")) and given.get("generator") is None:
            given["generator"] = self.generator
        return func(*args, **given)


class Dropout(nn.Module):
    """Dropout whose mask follows from `seed` alone, so that a checkpointed block drops the same values when it is computed again.

    `seed_dropout` gives every layer of a network a seed of its own for a step; without one (None) it is PyTorch's dropout.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.seed: int | None = None

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def forward(self, x: Tensor) -> Tensor:
        """(B,...) -> (B,...)."""
        return self.drop(x) if self.training and self.p > 0 else x

    def drop(self, x: Tensor) -> Tensor:
        """Each value is 0 with probability p, else divided by 1 - p."""
        if self.seed is None:
            return F.dropout(x, self.p)
        generator = torch.Generator(x.device).manual_seed(self.seed)
        kept = torch.empty_like(x).bernoulli_(1 - self.p, generator=generator)
        return x * kept / (1 - self.p)


def seed_dropout(network: nn.Module, seed: int) -> None:
    """The dropout of the next forward: each layer's mask follows from this seed and the layer's place in the network."""
    layers = [module for module in network.modules() if isinstance(module, Dropout)]
    for place, layer in enumerate(layers):
        layer.seed = (seed * 1_000_003 + place) & 0x7FFF_FFFF_FFFF_FFFF
