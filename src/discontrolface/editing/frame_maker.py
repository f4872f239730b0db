"""What is done with a frame beside the networks: prepared before them, pasted into the photo after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from torch import Tensor

from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.kept import Frame, Kept
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import PreparedEdit, composite, prepare
from discontrolface.face.parameters import FaceParameters

BATCH: Final = 8  # frames that the networks draw at once


class Frames(Protocol):
    """Both steps for a batch, named by its first frame's number; called from several threads, `pasted` after `prepared`."""

    def prepared(self, first: int) -> list[PreparedEdit]:
        """What the networks, and the rule between frames, are given."""
        ...

    def pasted(self, first: int, edits: Sequence[PreparedEdit], pictures: Tensor) -> list[Frame]:
        """The networks' pictures (B, 3, S, S) of these edits back in the photo, each (H, W, 3); kept."""
        ...


@dataclass(frozen=True)
class FrameMaker:
    """`Frames` in the thread that asks."""

    person: Person
    targets: Sequence[FaceParameters]
    sampling: Sampling
    size: int  # pixels of the networks' crop
    maps: tuple[str, ...]  # of their snapshots
    kept: Kept | None

    def prepared(self, first: int) -> list[PreparedEdit]:
        """See `Frames`."""
        chosen, sampling = self.targets[first : first + BATCH], self.sampling
        return [prepare(self.person, target, self.size, self.maps, sampling.seed, sampling.fine_size) for target in chosen]

    def pasted(self, first: int, edits: Sequence[PreparedEdit], pictures: Tensor) -> list[Frame]:
        """See `Frames`."""
        frames = [composite(edit, picture[None]).image[..., :3] for edit, picture in zip(edits, pictures, strict=True)]
        if self.kept is not None:
            for number, frame in enumerate(frames, first):
                self.kept.write(number, frame, self.person.photo.array)
        return frames
