"""Writing files whole or not at all: the one place of the program that puts a file, or a folder of files, on the disk."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from discontrolface.common.errors import UserError


@contextlib.contextmanager
def replacing(path: Path, what: str = "", overwrite: bool = True) -> Iterator[IO[bytes]]:
    """A stream whose content is at `path`, in one step, once the block ends: a reader, and a crash, sees the old file or the whole new one.

    It is written beside its place, flushed to the disk and renamed; nothing stays behind on failure. Permissions are those of any new file.
    what: names the file for messages ("the checkpoint"). overwrite=False fails when the name is taken, even by a file that appeared a moment
    ago. Raises UserError; other errors of the block pass through.
    """
    temporary = _beside(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, path)
        else:
            _move_to_new_name(temporary, path)
    except FileExistsError as error:
        raise UserError(f"{path} exists already; choose another name or allow overwriting with --overwrite") from error
    except (OSError, RuntimeError) as error:
        _refuse(path, what, error)
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_atomically(path: Path, data: bytes, overwrite: bool = True, what: str = "") -> None:
    """Put data at `path`, see `replacing`."""
    with replacing(path, what, overwrite) as file:
        file.write(data)


def replace_folder(write: Callable[[Path], Any], folder: Path, what: str = "") -> None:
    """Let `write` fill a new folder and put it in the place of `folder`. Raises UserError, and then the old one is still there.

    Two folders cannot be exchanged in one step on every system: for a moment there is none, with the old one beside its place.
    """
    new, old = _beside(folder), _beside(folder)
    try:
        new.mkdir()
        write(new)
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
    except (OSError, RuntimeError) as error:
        _refuse(folder, what, error)
        raise
    finally:
        if old.exists() and not folder.exists():
            os.replace(old, folder)
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _beside(path: Path) -> Path:
    """A new hidden name in the same folder."""
    return path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")


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


def _refuse(path: Path, what: str, error: BaseException) -> None:
    """Raises the sentence for a failed write; returns where it was none.

    PyTorch's writer turns what the disk says into a RuntimeError, with or without the OSError as its cause.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if cause is None and "failed writing" not in str(error) and "unexpected pos" not in str(error):
        return
    reason = cause.strerror or str(cause) if isinstance(cause, OSError) else "the disk does not take it"
    name = f"{what} {path}" if what else f"{path}"
    raise UserError(
        f"{name} cannot be written: {reason}; what was there is kept, make room or choose another place and try again"
    ) from error
