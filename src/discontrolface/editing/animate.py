"""A photo that moves: one edit a frame, all with the same noise and masks, in the photo's own frame.

    draw (warp, snapshot, networks)  ->  steady (`editing/steady.py`)  ->  paste (back into the photo, kept)

A batch of frames is drawn, or pasted, by one thread; several batches at a time, so that every core has work of its own and none waits within a
batch for another. Where the networks are on a GPU, processes do what is left to the cores. The rule between frames goes through the batches in order.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from torch import Tensor

from discontrolface.common.parallel import cores
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.editor import Editor
from discontrolface.editing.frame_maker import BATCH, FrameMaker, Frames
from discontrolface.editing.frame_processes import FrameProcesses
from discontrolface.editing.kept import Frame, Kept
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import Networks, PreparedEdit, denoise
from discontrolface.editing.steady import Steady, Steadying
from discontrolface.face.parameters import FaceParameters
from discontrolface.render.covered import COVERED, lips_move

MANY: Final = 250  # frames from which it pays to start processes, which takes seconds
MOST: Final = 16  # processes, of 0.4 GB each
_log = logging.getLogger(__name__)
Drawn = tuple[list[PreparedEdit], Tensor]


def sampling_of_frames(sampling: Sampling) -> Sampling:
    """A preset's way of denoising, for frames: a prediction is not refined, which would double the time of the networks (docs/decisions.md)."""
    return replace(sampling, start="noise", steps=1, strength=Sampling.strength) if sampling.start == "predicted" else sampling


def processes_beside(editor: Editor, frames: int) -> int:
    """How many processes pay beside an editor's networks: a core each where these are not on the cores and there are many frames, else none."""
    return min(cores(), MOST) if editor.networks.device != "cpu" and frames >= MANY else 0


def kept_frames(output: Path, editor: Editor, person: Person, targets: Sequence[FaceParameters], sampling: Sampling) -> Kept:
    """Where the frames of this animation are kept; the name follows from everything that they follow from."""
    plan = hashlib.sha256(repr((person.photo.sha256, editor.identity(person), sampling)).encode())
    plan.update(np.round(person.crop.photo_to_crop, 4).tobytes())
    for target in targets:
        plan.update(target.to_json().encode())
    return Kept.named(output, plan.hexdigest())


def animate(
    editor: Editor,
    person: Person,
    targets: Sequence[FaceParameters],
    sampling: Sampling,
    kept: Kept | None = None,  # None: nothing is kept
    progress: Callable[[int, int], None] | None = None,  # told (frames done, of); it may raise `Cancelled`
    workers: int = 1,  # batches at a time; several pay where PyTorch computes on one thread each (`common/parallel.py`)
    processes: int = 0,  # that do all but the networks' part, for networks on a GPU (`frame_processes.py`); 0: the workers do it
) -> Iterator[Frame]:
    """The photo (H, W, 3) at each target. What is outside an edit's mask is the photo to the bit in every frame; inside, what does not move stays
    still (`editing/steady.py`).

    Batches are the same in every run, and the state between them is kept with the frames: a run that goes on gives the bits of one that was not
    stopped.
    """
    warn_of_covered_mouth(person, targets)
    source, total, done = person.photo.array, len(targets), 0

    def told(frame: Frame) -> Frame:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)
        return frame

    state = Steady()
    if kept is not None:
        kept.make()
        state = kept.state()
        while done < state.frames and (frame := kept.read(done, source)) is not None:
            yield told(frame)
        if done < state.frames:  # a kept frame is damaged: the state before it is made again
            state = Steady()
    networks = editor.networks_of(person)
    maker = FrameMaker(person, targets, sampling, networks.size, networks.maps, kept)
    others = FrameProcesses(maker, processes) if processes else nullcontext(maker)
    with others as beside, closing(Making(networks, maker, beside).frames(state, workers)) as frames:
        for number, frame in enumerate(frames, state.frames):
            if number >= done:
                yield told(frame)


def warn_of_covered_mouth(person: Person, targets: Sequence[FaceParameters]) -> None:
    """Once, if something is before the mouth and a target moves the lips."""
    if person.covered <= COVERED:
        return
    own, geometry = person.own_view, person.geometry
    if any(lips_move(own.vertices, geometry.view(target).vertices, geometry.rig) for target in targets):
        _log.warning("%s: something is before the mouth; it moves along with the lips", person.photo.path.name)


@dataclass(frozen=True)
class Making:
    """What frames are made of, and who does what the networks do not."""

    networks: Networks
    maker: FrameMaker
    beside: Frames

    def frames(self, state: Steady, workers: int) -> Generator[Frame]:
        """The frames that follow a state of the rule, in order."""
        rule, firsts, kept = Steadying(state), iter(range(state.frames, len(self.maker.targets), BATCH)), self.maker.kept
        drawn: deque[Future[Drawn]] = deque()
        pasted: deque[tuple[Steady, Future[list[Frame]]]] = deque()
        pool = ThreadPoolExecutor(workers)

        def draw_another() -> None:
            if (first := next(firsts, None)) is not None:
                drawn.append(pool.submit(self.drawn, first))

        try:
            for _ in range(workers + 1):
                draw_another()
            while drawn or pasted:
                if drawn and len(pasted) <= workers:
                    first = rule.state.frames
                    edits, pictures = drawn.popleft().result()
                    steadied = rule(edits, pictures)
                    pasted.append((rule.state, pool.submit(self.beside.pasted, first, edits, steadied)))
                    draw_another()
                    continue
                after, future = pasted.popleft()
                frames = future.result()
                if kept is not None:
                    kept.save_state(after)
                yield from frames
        finally:
            pool.shutdown(cancel_futures=True)

    def drawn(self, first: int) -> Drawn:
        """A batch from its first frame's number: edits, and the networks' pictures (B, 3, S, S)."""
        edits = self.beside.prepared(first)
        return edits, denoise(self.networks, edits, self.maker.sampling)
