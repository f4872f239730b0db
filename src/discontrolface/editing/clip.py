"""A clip edited frame by frame: each frame is a photo, read by itself, and what is asked is added to its own parameters.

Source and target of a frame share what is misread, so the change stays steady where the reading trembles. A frame without a face stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.images import Photo
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.editor import Editor
from discontrolface.face.parameters import FaceParameters

Frame = NDArray[np.uint8]


def edit_clip(
    editor: Editor,
    frames: Iterable[Frame],
    name: str,
    change: Callable[[FaceParameters], FaceParameters],  # of one frame's face; UserError in it ends the clip
    sampling: Sampling,
    kept: Callable[[int], Frame | None] = lambda number: None,  # a frame that was made before
    progress: Callable[[int, bool], None] | None = None,  # told (frames done, whether this one had a face); it may raise `Cancelled`
) -> Iterator[Frame]:
    """Every frame, edited; all with the same noise and masks."""
    for number, frame in enumerate(frames):
        ready, seen = kept(number), True
        if ready is None:
            try:
                person = editor.read(Photo.of(frame, Path(f"{name}, frame {number}")))
            except UserError:  # no face, or one that cannot be read
                ready, seen = frame, False
            else:
                result = editor.edit(person, change(person.parameters), sampling=sampling)
                ready = np.asarray(result.image.convert("RGB"))
        if progress is not None:
            progress(number + 1, seen)
        yield ready
