"""The synthetic weights of tests/goldens, made from each tensor's name (see tests/goldens/README_networks.md)."""

import zlib

import numpy as np
import torch
from torch import Tensor


def recipe_tensor(key: str, shape: tuple[int, ...], seed: int = 1) -> Tensor:
    """The tensor that the recipe gives for this state-dict key and shape, float32."""
    state = np.random.RandomState((zlib.crc32(key.encode()) + seed) % 2**32)
    u = 2 * state.random_sample(int(np.prod(shape))) - 1
    if key.endswith("running_var"):
        u = 1 + 0.3 * u
    elif len(shape) >= 2:
        u = u * np.sqrt(3 / np.prod(shape[1:]))
    elif key.endswith("weight"):
        u = 1 + 0.1 * u
    else:
        u = 0.1 * u
    return torch.from_numpy(u.reshape(shape).astype(np.float16).astype(np.float32))


def recipe_state_dict(shapes: dict[str, list[int]], prefix: str = "") -> dict[str, Tensor]:
    """Recipe tensors for every key that starts with `prefix`, by the key without it; the recipe sees the key without the prefix too."""
    return {key[len(prefix) :]: recipe_tensor(key[len(prefix) :], tuple(shape)) for key, shape in shapes.items() if key.startswith(prefix)}
