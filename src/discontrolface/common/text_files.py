"""Small text files: checked before the work, written atomically, read with a limit."""

from __future__ import annotations

import os
from pathlib import Path

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically

MAX_TEXT_BYTES = 20_000_000


def check_text_output(path: Path, overwrite: bool = False, ending: str = ".json") -> None:
    """Say before the long work whether a text file can be written there."""
    if path.suffix.lower() != ending:
        raise UserError(f"{path} must end in {ending}")
    if path.is_dir():
        raise UserError(f"{path} is a folder; give a file name")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; give another name or --overwrite")
    if not path.parent.is_dir():
        raise UserError(f"the folder {path.parent} does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"the folder {path.parent} is not writable; choose another one")


def write_text(path: Path, text: str, overwrite: bool = False, ending: str = ".json") -> None:
    """Write all of it or nothing."""
    check_text_output(path, overwrite, ending)
    write_atomically(path, text.encode("utf-8"), overwrite)


def read_text(path: Path) -> str:
    """The file's text; UserError if it is missing, too large or not text."""
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise UserError(f"{path} is larger than {MAX_TEXT_BYTES / 1e6:g} MB; that is not a parameter file")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text") from error
