"""Moving pictures as GIF files."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.provenance import metadata_options


def check_animation_output(path: Path, overwrite: bool = False) -> None:
    """Say before the long work whether a .gif can be written there."""
    if path.suffix.lower() != ".gif":
        raise UserError(f"{path} must end in .gif")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise UserError(f"the folder {path.parent} does not exist or is not writable; create it or choose another one")
    if path.is_dir() or (os.path.lexists(path) and not overwrite):
        raise UserError(f"{path} exists already; choose another name or allow overwriting with --overwrite")


def save_animation(frames: Sequence[Image.Image], path: Path, overwrite: bool = False, info: Mapping[str, Any] | None = None) -> None:
    """Frames of one size there and back, for ever, 100 ms each. info: the provenance record. Written whole or not at all; UserError."""
    check_animation_output(path, overwrite)
    write_atomically(path, encode_animation(frames, info), overwrite)


def encode_animation(frames: Sequence[Image.Image], info: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of the file that `save_animation` writes."""
    there_and_back = [*frames, *frames[-2:0:-1]]
    options = {} if info is None else metadata_options(info, "GIF")
    buffer = io.BytesIO()
    there_and_back[0].save(buffer, "GIF", save_all=True, append_images=there_and_back[1:], duration=100, loop=0, **options)
    return buffer.getvalue()
