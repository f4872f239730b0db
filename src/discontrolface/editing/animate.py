"""A photo that moves: one edit a frame, all with the same noise and masks, in the photo's own frame.

Frames are kept in a folder beside the result until it is whole, each written whole or not at all: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.editor import BATCH, Editor
from discontrolface.editing.person import Person
from discontrolface.editing.steady import Steady, Steadying
from discontrolface.face.parameters import FaceParameters

STATE = "state.npz"


@dataclass(frozen=True)
class Kept:
    """The folder of the frames that are done; of one plan only."""

    folder: Path

    @classmethod
    def of(cls, output: Path, editor: Editor, person: Person, targets: Sequence[FaceParameters], sampling: Sampling) -> Kept:
        """Beside the result; the name follows from everything that the frames follow from."""
        plan = hashlib.sha256(repr((person.photo.sha256, editor.base_id, person.personal is not None, sampling)).encode())
        plan.update(np.round(person.crop.photo_to_crop, 4).tobytes())
        for target in targets:
            plan.update(target.to_json().encode())
        return cls.named(output, plan.hexdigest())

    @classmethod
    def named(cls, output: Path, plan: str) -> Kept:
        """Beside the result. plan: a digest of all that the frames follow from."""
        return cls(output.with_name(f".{output.name[:80]}.{plan[:16]}.frames"))

    def path(self, frame: int) -> Path:
        """Where a frame is kept."""
        return self.folder / f"{frame:06d}.png"

    def read(self, frame: int) -> NDArray[np.uint8] | None:
        """(H, W, 3), None if it is not there or damaged."""
        try:
            with Image.open(self.path(frame), formats=("PNG",)) as picture:
                return np.asarray(picture.convert("RGB"))
        except (OSError, ValueError, SyntaxError):
            return None

    def write(self, frame: int, picture: NDArray[np.uint8]) -> None:
        """Whole or not at all."""
        with replacing(self.path(frame), "a frame") as file:
            Image.fromarray(picture).save(file, format="PNG", compress_level=1)

    def state(self) -> Steady:
        """The temporal rule after the last whole batch that is kept."""
        return Steady.load(self.folder / STATE)

    def write_batch(self, first: int, pictures: Sequence[NDArray[np.uint8]], state: Steady) -> None:
        """Frames that follow one another, and then the state after them: where it is there, they are."""
        for number, picture in enumerate(pictures, first):
            self.write(number, picture)
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


def animate(
    editor: Editor,
    person: Person,
    targets: Sequence[FaceParameters],
    sampling: Sampling,
    kept: Kept | None = None,  # None: nothing is kept
    progress: Callable[[int, int], None] | None = None,  # told (frames done, of); it may raise `Cancelled`
) -> Iterator[NDArray[np.uint8]]:
    """The photo (H, W, 3) at each target. What is outside an edit's mask is the photo to the bit in every frame; inside, what does not move stays
    still (`editing/steady.py`).

    Batches are the same in every run, and the state between them is kept with the frames: a run that goes on gives the bits of one that was not
    stopped.
    """
    rule = Steadying(Steady() if kept is None else kept.state())
    if kept is not None:
        kept.make()

    def batch(first: int) -> list[NDArray[np.uint8]]:
        chosen = targets[first : first + BATCH]
        results = editor.edit_many(person, chosen, sampling=sampling, between=rule)
        pictures = [np.asarray(result.image.convert("RGB")) for result in results]
        if kept is not None:
            kept.write_batch(first, pictures, rule.state)
        return pictures

    for first in range(0, len(targets), BATCH):
        numbers = range(first, min(first + BATCH, len(targets)))
        ready = [] if kept is None or rule.state.frames < numbers.stop else [kept.read(k) for k in numbers]
        frames = [frame for frame in ready if frame is not None]
        if len(frames) < len(numbers):
            if rule.state.frames != first:  # a kept frame is damaged: the state before it is made again
                rule.state = Steady()
                for earlier in range(0, first, BATCH):
                    batch(earlier)
            frames = batch(first)
        for k, frame in zip(numbers, frames, strict=True):
            if progress is not None:
                progress(k + 1, len(targets))
            yield frame
