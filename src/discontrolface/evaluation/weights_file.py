"""Weights of feature networks that the user brings (Inception v3 for FID, AlexNet or VGG-16 for LPIPS): state dicts and nothing else.

A TorchScript file would be a program of somebody else's that runs here, so it is not taken: the networks are written down in this folder, and a file
gives numbers alone. PyTorch files (.pth, .pt) are read by `weights.checkpoint`, which executes nothing in them; .safetensors holds no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.weights.checkpoint import open_checkpoint


def read_state(path: Path) -> dict[str, Tensor]:
    """{key: tensor} of a .pth, .pt or .safetensors file. UserError if it is missing, damaged or holds code."""
    if not path.is_file():
        raise UserError(f"{path} does not exist; give the file of the feature network's weights")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} is not a safetensors file ({error})") from error

    checkpoint = open_checkpoint(path)
    return {key: checkpoint.read(key) for key in checkpoint}


def fill(network: nn.Module, state: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Give a network its weights; every one must be there in its shape, others in the file do not matter. Then frozen, in evaluation mode.

    UserError names the first that is missing or of another shape; `what` says which file was asked for.
    """
    expected = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    for key, value in expected.items():
        if key not in state:
            raise UserError(f"{path} is not {what}: it has no {key}")
        if state[key].shape != value.shape:
            raise UserError(f"{path} is not {what}: {key} is {list(state[key].shape)}, not {list(value.shape)}")
    network.load_state_dict({key: state[key].to(torch.float32) for key in expected}, strict=False)
    network.eval().requires_grad_(False)
