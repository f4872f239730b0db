"""One way to look at others' weights, whether they lie in a file or in a mapping, and to fill a network with them. Nothing in a file is executed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.weights.checkpoint import Checkpoint, open_checkpoint

Source = str | Path | Mapping[str, Any]  # a file, {key: tensor}, or {name: {key: tensor}} as such files hold it

WRAPPERS = re.compile(
    r"(?<![^.])(?:(?:module|_orig_mod)\.)+"
)  # what DataParallel and torch.compile put before a network's keys, in any order


def unwrapped(keys: Iterable[str], name: str) -> dict[str, str]:
    """{key without the wrappers' names: key in the file}. UserError where two keys become one."""
    found: dict[str, str] = {}
    for key in keys:
        plain = WRAPPERS.sub("", key)
        if plain in found:
            raise UserError(f"{name} has {found[plain]} and {key}, which are both {plain}; remove one of the two.")
        found[plain] = key
    return found


class Reader:
    """A checkpoint file or a mapping of tensors, by keys without the prefixes `module.` and `_orig_mod.` of wrappers.

    `numbers` holds what else it says in numbers, by dotted name ("para.featmap_size").
    """

    def __init__(self, source: Source) -> None:
        self.name = str(source) if isinstance(source, str | Path) else "the mapping"
        self.source: Checkpoint | Mapping[str, Tensor]
        if isinstance(source, str | Path):
            self.source = open_checkpoint(source)
            self.numbers = self.source.numbers
        else:
            entries = _flat(source, self.name)
            self.source = {key: value for key, value in entries.items() if isinstance(value, Tensor)}
            self.numbers = {key: value for key, value in entries.items() if not isinstance(value, Tensor)}
        self.keys = unwrapped(self.source, self.name)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """{key: shape}."""
        return {key: tuple(self.source[own].shape) for key, own in self.keys.items()}

    def read(self, key: str) -> Tensor:
        """The tensor as float32, BatchNorm's count of batches as it is; raises UserError if it holds a NaN or an infinity."""
        own = self.keys[key]
        tensor = self.source.read(own) if isinstance(self.source, Checkpoint) else self.source[own].detach().to("cpu")
        if key.endswith("num_batches_tracked") and tensor.dtype == torch.int64:
            return tensor
        if not tensor.is_floating_point():
            raise UserError(f"{key} of {self.name} holds {tensor.dtype}, not floating-point numbers; the file is damaged.")
        tensor = tensor.float()
        if not bool(tensor.isfinite().all()):
            raise UserError(f"{key} of {self.name} holds NaN or infinite numbers; the file is damaged.")
        return tensor


def _flat(source: Mapping[str, Any], name: str) -> dict[str, Tensor | float]:
    """Tensors and numbers by dotted name; optimizers' states and the like are left out. UserError for anything else at the top."""
    entries: dict[str, Tensor | float] = {}
    for key, value in source.items():
        if isinstance(value, Mapping):
            entries |= {f"{key}.{inner}": v for inner, v in value.items() if isinstance(v, Tensor) or type(v) in (int, float)}
        elif isinstance(value, Tensor) or type(value) in (int, float):
            entries[str(key)] = value
        else:
            raise UserError(f"{name} has a {type(value).__name__} for {key!r}; give a mapping of keys to tensors.")
    return entries


def fill(module: nn.Module, tensors: dict[str, Tensor], official: Callable[[str], str], unexpected_keys: list[str], name: str) -> None:
    """Fills `module` (on the meta device) with the tensors, by our keys; every missing, unexpected or misshapen official key is named."""
    state = module.state_dict()
    missing_keys = [official(key) for key in state if key not in tensors]
    unexpected_keys = unexpected_keys + [official(key) for key in tensors if key not in state]
    if missing_keys or unexpected_keys:
        raise UserError(f"{name} does not fit the network: missing {missing_keys or 'nothing'}, unexpected {unexpected_keys or 'nothing'}.")
    # official attention and MLPs may have 1x1 convolutions where ours have linear layers
    fits = {key: tensors[key].numel() == w.numel() and _squeezed(tensors[key].shape) == _squeezed(w.shape) for key, w in state.items()}
    wrong_shapes = [
        f"{official(key)} {list(tensors[key].shape)} instead of {list(state[key].shape)}" for key, fit in fits.items() if not fit
    ]
    if wrong_shapes:
        raise UserError(f"{name} has wrong shapes: {', '.join(wrong_shapes)}.")
    module.load_state_dict({key: tensors[key].reshape(w.shape) for key, w in state.items()}, assign=True)


def _squeezed(shape: Iterable[int]) -> list[int]:
    return [n for n in shape if n != 1]
