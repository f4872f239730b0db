"""A clip edited frame by frame: each frame is a photo, read by itself, and what is asked is added to its own parameters.

Source and target of a frame share what is misread, so the change stays steady where the reading trembles. A frame without a face stays as it is.

Crops differ from frame to frame, so what must not shimmer is the change that the edit makes of the clip, in the clip's own pixels:

    d = blur(local maximum(|C - O|))     a = smoothstep from STILL to MOVED     O += a (C - O)     frame + O is written

C is a frame's change (0 outside its mask, where O is 0 too), O the change that is shown. What differs by less than the networks flicker stays; what
moves comes in whole, and a slow drift once it adds up. The clip's own grain and movement are untouched. O is whole levels, so that it can be read
off the last frame that is kept: a run that goes on needs nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.images import Photo
from discontrolface.common.parallel import map_ordered
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.editor import Editor
from discontrolface.editing.kept import Frame, Kept
from discontrolface.face.parameters import FaceParameters
from discontrolface.render.blur import gaussian
from discontrolface.render.smoothstep import smoothstep

STILL, MOVED = 4.0, 12.0  # levels of 255 by which a change may differ and stays, from which it is new
NEAR: Final = 3  # pixels, a side of the local maximum
SOFT: Final = 1.5  # pixels, standard deviation of the blur
Change = NDArray[np.int16]  # (H, W, 3) levels


def kept_frames(output: Path, editor: Editor, clip: Path, change: object, sampling: Sampling) -> Kept:
    """Where the frames of this edit are kept; the name follows from everything that they follow from. change: what is asked, by its `repr`."""
    file = clip.stat()
    plan = repr((str(clip.resolve()), file.st_size, file.st_mtime_ns, change, editor.identity(), sampling))
    return Kept.named(output, hashlib.sha256(plan.encode()).hexdigest())


def edit_clip(
    editor: Editor,
    frames: Iterable[Frame],
    name: str,
    change: Callable[[FaceParameters], FaceParameters],  # of one frame's face; UserError in it ends the clip
    sampling: Sampling,
    kept: Kept | None = None,  # None: nothing is kept
    progress: Callable[[int, bool], None] | None = None,  # told (frames done, whether this one had a face); it may raise `Cancelled`
    workers: int = 1,  # frames at a time; several pay where PyTorch computes on one thread each (`common/parallel.py`)
) -> Iterator[Frame]:
    """Every frame, edited; all with the same noise and masks."""
    rest, done, shown = iter(frames), 0, None
    if kept is not None:
        kept.make()
        for frame in rest:
            if (ready := kept.read(done, frame)) is None:
                rest = chain([frame], rest)
                break
            shown = changed(frame, ready)
            if progress is not None:
                progress(done + 1, not kept.is_unedited(done))
            done += 1
            yield ready

    def edited(job: tuple[int, Frame]) -> tuple[Frame, Change | None, NDArray[np.bool_] | None]:
        """A frame, what the edit changes of it, and its mask; None where there is no face, or one that cannot be read."""
        number, frame = job
        try:
            person = editor.read(Photo.of(frame, Path(f"{name}, frame {number}")), of_clip=True)
        except UserError:
            return frame, None, None
        result = editor.edit(person, change(person.parameters), sampling=sampling)
        return frame, changed(frame, np.asarray(result.image.convert("RGB"))), result.mask

    for frame, new, mask in map_ordered(edited, enumerate(rest, done), workers):
        shown = np.zeros(frame.shape, np.int16) if new is None or mask is None else steadied(shown, new, mask)
        picture = np.clip(frame + shown, 0, 255).astype(np.uint8)
        shown = changed(frame, picture)
        if kept is not None:
            if new is None:
                kept.write_unedited(done)
            else:
                kept.write(done, picture, frame)
        done += 1
        if progress is not None:
            progress(done, new is not None)
        yield picture


def changed(frame: Frame, picture: Frame) -> Change:
    """Levels from one to the other."""
    return picture.astype(np.int16) - frame


def steadied(shown: Change | None, new: Change, mask: NDArray[np.bool_]) -> Change:
    """The change to show: of the one that was shown (None: none before), and a frame's own, which is 0 outside its mask (H, W)."""
    if shown is None or shown.shape != new.shape:
        return new
    from scipy.ndimage import maximum_filter

    difference = (new - shown).astype(np.float32)
    size = gaussian(maximum_filter(np.abs(difference).max(axis=-1), NEAR), SOFT)
    share = smoothstep((size - STILL) / (MOVED - STILL))[..., None]
    return np.asarray(np.rint(shown + share * difference) * mask[..., None], np.int16)
