"""A run's state on disk: written atomically, read without executing code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from discontrolface.errors import UserError


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write to a neighbour file, flush it to the disk, and rename: whatever happens, `path` is the old state or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as f:
            torch.save(state, f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write the checkpoint {path}: {error.strerror or error}; the last good one is kept") from error


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
