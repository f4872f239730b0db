"""A run's state on disk: written atomically, read without executing code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import torch

from discontrolface.common.errors import UserError


@contextlib.contextmanager
def replacing(path: Path, what: str) -> Iterator[IO[bytes]]:
    """Write to a neighbour file, flush it to the disk, and rename: whatever happens, `path` is the old file or the new one.

    UserError when the disk is full or the folder cannot be written; `what` names the file for the message.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # PyTorch's writer turns a failed write into a RuntimeError
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        if cause is None and "failed writing" not in str(error) and "unexpected pos" not in str(error):
            raise
        reason = cause.strerror or str(cause) if isinstance(cause, OSError) else "the disk does not take it"
        raise UserError(
            f"cannot write {what} {path}: {reason}; the last good one is kept, make room and run the same command again"
        ) from error


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    with replacing(path, "the checkpoint") as f:
        torch.save(state, f)


def save_folder(save: Callable[[Path], Any], folder: Path) -> None:
    """Let `save` fill a new folder and put it in the place of `folder`."""
    import shutil

    new, old = (folder.with_name(f"{folder.name}.{word}") for word in ("new", "old"))
    try:
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        save(new)
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"cannot write the weights to {folder}: {error.strerror or error}; make room and run the same command again"
        ) from error


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
