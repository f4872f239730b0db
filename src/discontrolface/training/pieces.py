"""A run's state in files of less than 15.5 MB, a quarter of a checkpoint's size: what goes to a rented machine and comes back.

    state.json                         everything that is not a tensor, and where each tensor lies
    weights-1of2.safetensors ...       what is trained: float32 rounded to 16 bits of mantissa, 3 bytes
    average-1of1.safetensors           averaged weights: float16
    moments-1of2.safetensors ...       Adam's mean as float8 with a scale for each tensor, its mean square as bfloat16

A run that goes on from here is the same run up to rounding, not to the bit; state.pt is. Without the moments' files (they need not travel) Adam
begins anew. Reading executes nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.files import replace_folder

KIND, VERSION = "discontrolface-state", 1
LIMIT = 15_500_000  # bytes of a file
SMALL = 16  # numbers: tensors up to this size are in state.json, exactly
FLOAT8_MAX = 448.0
PARTS = {"weights": 3, "average": 2, "mean": 1, "square": 2}  # bytes of a number
FILES = {"weights": ("weights",), "average": ("average",), "moments": ("mean", "square")}


def part_of(path: tuple[Any, ...]) -> str:
    """Which of PARTS a tensor of a checkpoint belongs to, by its place there."""
    if path[0] == "average":
        return "average"
    return {"exp_avg": "mean", "exp_avg_sq": "square"}.get(path[-1], "weights")


class _Writer:
    """Takes a state apart: `plain` values for JSON, and the large tensors of each part one behind the other."""

    def __init__(self) -> None:
        self.numbers: dict[str, list[Tensor]] = {part: [] for part in PARTS}
        self.filled = dict.fromkeys(PARTS, 0)

    def plain(self, value: Any, path: tuple[Any, ...] = ()) -> Any:
        """A value as JSON holds it; dicts as pairs, since their keys may be numbers."""
        if isinstance(value, dict):
            return {"dict": [[key, self.plain(item, (*path, key))] for key, item in value.items()]}
        if isinstance(value, list | tuple):
            return {type(value).__name__: [self.plain(item, (*path, k)) for k, item in enumerate(value)]}
        return self.tensor(value.detach().cpu(), path) if isinstance(value, Tensor) else value

    def tensor(self, value: Tensor, path: tuple[Any, ...]) -> dict[str, Any]:
        """Where a tensor is put."""
        about: dict[str, Any] = {"shape": list(value.shape), "dtype": str(value.dtype).removeprefix("torch.")}
        if value.numel() <= SMALL or value.dtype != torch.float32:
            return {"small": value.reshape(-1).tolist(), **about}
        part, flat = part_of(path), value.reshape(-1)
        if part == "mean":
            scale = max(float(flat.abs().max()), 1e-30) / FLOAT8_MAX
            flat, about["scale"] = flat / scale, scale
        self.numbers[part].append(flat)
        self.filled[part] += len(flat)
        return {"part": part, "first": self.filled[part] - len(flat), **about}


def _packed(part: str, numbers: Tensor) -> dict[str, Tensor]:
    """float32 as the part's files hold it."""
    if part == "weights":
        bits = numbers.view(torch.int32) + 0x80  # rounded at the 16th bit of the mantissa
        return {"weights high": (bits >> 16).to(torch.int16), "weights low": ((bits >> 8) & 0xFF).to(torch.uint8)}
    dtype = {"average": torch.float16, "mean": torch.float8_e4m3fn, "square": torch.bfloat16}[part]
    return {part: numbers.to(dtype)}


def _unpacked(part: str, held: dict[str, Tensor]) -> Tensor:
    if part == "weights":
        return ((held["weights high"].int() << 16) | (held["weights low"].int() << 8)).view(torch.float32)
    return held[part].float()


def write_pieces(state: dict[str, Any], folder: Path) -> None:
    """Write a checkpoint (state.py) as pieces, whole or not at all, over the pieces that are there. UserError where a number does not fit."""
    writer = _Writer()
    plain = writer.plain(state)
    numbers = {part: torch.cat(values) if values else torch.empty(0) for part, values in writer.numbers.items()}
    packed = {part: _packed(part, values) for part, values in numbers.items()}
    if not torch.isfinite(packed["average"]["average"]).all():
        raise UserError(f"the averaged weights hold numbers that float16 has not; {folder} is not written, state.pt has them")

    def write(new: Path) -> None:
        about: dict[str, Any] = {"kind": KIND, "version": VERSION, "files": {}, "state": plain}
        for name, parts in FILES.items():
            length = max(len(numbers[part]) for part in parts)
            count = max(1, math.ceil(length * sum(PARTS[part] for part in parts) / (LIMIT - 10_000)))
            about["files"][name] = [f"{name}-{k + 1}of{count}.safetensors" for k in range(count)]
            for k, file in enumerate(about["files"][name]):
                held = {key: cut(v, k, count) for part in parts for key, v in packed[part].items()}
                (new / file).write_bytes(save(held))
        (new / "state.json").write_text(json.dumps(about, separators=(",", ":")))

    replace_folder(write, folder, "the state")


def cut(values: Tensor, k: int, count: int) -> Tensor:
    """The k-th of `count` pieces, almost equally long."""
    return values[len(values) * k // count : len(values) * (k + 1) // count].clone()


def read_pieces(folder: Path, say: Callable[[str], None] | None = None) -> dict[str, Any]:
    """The checkpoint that was written there; without the moments' files "optimizer" is None. UserError when it cannot be read."""
    path = folder / "state.json"
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if (about["kind"], about["version"]) != (KIND, VERSION):
            raise ValueError(f"{about['kind']} of version {about['version']}")
        numbers: dict[str, Tensor] = {}
        for name, parts in FILES.items():
            files = [folder / Path(str(file)).name for file in about["files"][name]]
            if name == "moments" and not all(file.is_file() for file in files):
                if say is not None:
                    say(f"{folder} holds no {name}: the optimizer begins anew")
                continue
            pieces = [load_file(file) for file in files]
            whole = {key: torch.cat([piece[key] for piece in pieces]) for key in pieces[0]}
            numbers |= {part: _unpacked(part, whole) for part in parts}
        state: dict[str, Any] = _restored(about["state"], numbers, ())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"{folder} does not hold the pieces of a run's state ({error}); give the folder that --export-state wrote"
        ) from error
    return state


def _restored(plain: Any, numbers: dict[str, Tensor], path: tuple[Any, ...]) -> Any:
    """What `_Writer.plain` took apart; the optimizer's state is None where its numbers are not there."""
    if not isinstance(plain, dict):
        return plain
    if "dict" in plain:
        if path == ("optimizer",) and "mean" not in numbers:
            return None
        return {key: _restored(item, numbers, (*path, key)) for key, item in plain["dict"]}
    for kind in (list, tuple):
        if kind.__name__ in plain:
            return kind(_restored(item, numbers, (*path, k)) for k, item in enumerate(plain[kind.__name__]))
    shape, dtype = [int(n) for n in plain["shape"]], getattr(torch, str(plain["dtype"]))
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"a tensor of {plain['dtype']}")
    if "small" in plain:
        return torch.tensor(plain["small"], dtype=dtype).reshape(shape)
    first, count = int(plain["first"]), math.prod(shape)
    values = numbers[plain["part"]][first : first + count].clone()
    return (values * plain["scale"] if "scale" in plain else values).reshape(shape)
