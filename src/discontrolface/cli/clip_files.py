"""Clips that commands write: free names, and a mark in the metadata that they are edited."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.common.video import Frame


def write_marked(output: Path, frames: Iterable[Frame], rate: Fraction, sound_of: Path | None, overwrite: bool, weights: str) -> None:
    """A moving picture that says that it is one of ours. sound_of: a clip whose sound goes in."""
    from discontrolface.common.provenance import STATEMENT
    from discontrolface.common.video import write_clip

    about = {"title": "DisControlFace", "comment": f"{STATEMENT} Weights: {weights}."}
    write_clip(output, frames, rate, about, sound_of, overwrite)


def check_free(output: Path, drive: Path, overwrite: bool) -> None:
    """UserError, before the work, for a name that is taken, and for the clip itself."""
    if output.resolve() == drive.resolve():
        raise UserError(f"{output} is the clip that is read; choose another --output")
    if output.exists() and not overwrite:
        raise UserError(f"{output} exists; choose another name or give --overwrite")
    if not output.parent.is_dir():
        raise UserError(f"the folder {output.parent} does not exist; make it first")


def counted(frames: int) -> str:
    """`1 frame`, `2 frames`."""
    return f"{frames} frame{'' if frames == 1 else 's'}"
