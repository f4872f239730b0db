"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from discontrolface.common.errors import UserError


def write_atomic(path: Path, data: bytes, overwrite: bool = True) -> None:
    """Put data at `path` in one step: a reader, and a crash, sees the old file or the whole new one.

    It is written beside its place, flushed to the disk and renamed; nothing stays behind on failure. Permissions are those of any new file.
    overwrite=False fails when the name is taken, even by a file that appeared a moment ago. Raises OSError (FileExistsError for that).
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, path)
        else:
            _move_to_new_name(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _move_to_new_name(temporary: Path, path: Path) -> None:
    """Rename, but fail when the name is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        os.replace(temporary, path)


def write_atomically(path: Path, data: bytes, overwrite: bool) -> None:
    """Put data at path in one step: a reader sees the old file or the whole new one. Raises UserError."""
    try:
        write_atomic(path, data, overwrite)
    except FileExistsError as error:
        raise UserError(f"{path} exists already; choose another name or allow overwriting with --overwrite") from error
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
