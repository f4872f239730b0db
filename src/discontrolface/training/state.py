"""A run's state on disk: written atomically, read without executing code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    with replacing(path, "the checkpoint") as f:
        torch.save(state, f)


def load_state(path: Path) -> dict[str, Any] | None:
    """The state at `path`, None if there is none. UserError if it cannot be read."""
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"cannot read the checkpoint {path} ({type(error).__name__}); remove it to start again") from error
    if not isinstance(state, dict):
        raise UserError(f"{path} is not a training checkpoint")
    return state
