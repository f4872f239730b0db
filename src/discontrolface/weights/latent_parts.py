"""The trained parts of the latent preset: all that training changed in the preset that is made from the open one, in one small file.

The trunk stays the open preset's, so that a preset of twice its size costs the package a megabyte. The parts fit the weights that they were trained
beside and no others: the file names them.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.tensor_file import tensor_file

NETWORKS = ("diffae", "exp_facenet")  # as a preset's folder calls them; a tensor's name is NETWORK/NAME


def shipped_parts() -> Path:
    """The file in the package."""
    return Path(str(files("discontrolface") / "assets" / "latent" / "parts.safetensors"))


def changed(before: tuple[Any, Any], after: tuple[Any, Any]) -> dict[str, Tensor]:
    """What differs between two presets' backbones and control networks, of the second as halves: {NETWORK/NAME: tensor}."""
    out: dict[str, Tensor] = {}
    for name, old, new in zip(NETWORKS, before, after, strict=True):
        then = old.state_dict()
        for key, value in new.state_dict().items():
            if key not in then or then[key].shape != value.shape:
                raise UserError(f"{name}/{key} is not in the preset that `assets latent` makes; parts are of networks of the same shape")
            if not torch.equal(then[key].half(), value.half()):
                out[f"{name}/{key}"] = value.detach().half().contiguous()
    return out


def write_parts(path: Path, base: str, tensors: dict[str, Tensor]) -> None:
    """base: `weights_id` of the preset on pixels beside which they were trained."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, tensor_file(tensors, {"base": base}), what="the trained parts")


def apply_parts(networks: tuple[Any, Any], base: str, path: Path) -> None:
    """Put the trained parts into a made backbone and control network, in place. UserError where they belong to other weights or are damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"the trained parts in {path} cannot be read ({error}); install the package again, or give --untrained") from error
    if about.get("base") != base:
        raise UserError(
            f"the trained parts in {path} belong to the weights {about.get('base')}, and the preset's are {base}; give --untrained to make the "
            "latent preset without them, or train it (docs/latent.md)"
        )
    states = dict(zip(NETWORKS, (network.state_dict() for network in networks), strict=True))
    for name, value in tensors.items():
        network, _, key = name.partition("/")
        there = states.get(network, {}).get(key)
        if there is None or there.shape != value.shape or not bool(torch.isfinite(value).all()):
            raise UserError(f"the trained parts in {path} do not fit at {name!r}; install the package again, or give --untrained")
        with torch.no_grad():
            there.copy_(value)
