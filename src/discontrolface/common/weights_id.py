"""A short name of weights, by what they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from torch import Tensor


def weights_id(*networks: Any) -> str:
    """16 hex digits that name these weights: the SHA-256 of all parameters' names and float32 bytes."""
    return tensors_id("", *(network.state_dict() for network in networks))


def tensors_id(beginning: str, *groups: Mapping[str, Tensor]) -> str:
    """16 hex digits: the SHA-256 of a text, then of each group's names and float32 bytes in the order of the names."""
    digest = hashlib.sha256(beginning.encode())
    for group in groups:
        for name, value in sorted(group.items()):
            digest.update(name.encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
