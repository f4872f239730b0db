"""Frames that are done, kept in a folder beside the result until it is whole, each written whole or not at all: a run that was stopped goes on."""

from __future__ import annotations

import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.editing.steady import Steady

STATE = "state.npz"
UNEDITED = zlib.compress(b"", 1)
Frame = NDArray[np.uint8]  # (H, W, 3)


@dataclass(frozen=True)
class Kept:
    """The folder of the frames that are done; of one plan only.

    A frame is kept as its difference to the picture that it was made from, which is 0 outside the edit: deflated, that is a third of the work of a
    PNG, and less to store.
    """

    folder: Path

    @classmethod
    def named(cls, output: Path, plan: str) -> Kept:
        """Beside the result. plan: a digest of all that the frames follow from."""
        return cls(output.with_name(f".{output.name[:80]}.{plan[:16]}.frames"))

    def path(self, frame: int) -> Path:
        """Where a frame is kept."""
        return self.folder / f"{frame:06d}.z"

    def read(self, frame: int, source: Frame) -> Frame | None:
        """A frame made from `source`, None if it is not there or damaged."""
        try:
            data = zlib.decompress(self.path(frame).read_bytes())
        except (OSError, zlib.error):
            return None
        if not data:
            return source
        return source + np.frombuffer(data, np.uint8).reshape(source.shape) if len(data) == source.size else None

    def write(self, frame: int, picture: Frame, source: Frame) -> None:
        """Whole or not at all. UserError if it cannot be written."""
        write_atomically(self.path(frame), zlib.compress((picture - source).tobytes(), 1), what="a frame")

    def write_unedited(self, frame: int) -> None:
        """A frame that stays its source because there is nothing to edit in it."""
        write_atomically(self.path(frame), UNEDITED, what="a frame")

    def is_unedited(self, frame: int) -> bool:
        """Whether a frame that is there was written by `write_unedited`: another matter than an edit that changes nothing."""
        return self.path(frame).stat().st_size == len(UNEDITED)

    def state(self) -> Steady:
        """The temporal rule after the last whole batch that is kept."""
        return Steady.load(self.folder / STATE)

    def save_state(self, state: Steady) -> None:
        """After the frames that led to it: where it is there, they are."""
        state.save(self.folder / STATE)

    def make(self) -> None:
        """UserError if it cannot be."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make the folder {self.folder}: {error.strerror}; choose another --output") from error

    def remove(self) -> None:
        """When the result is whole."""
        shutil.rmtree(self.folder, ignore_errors=True)
