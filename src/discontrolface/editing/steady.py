"""What does not move stays still: the temporal rule of moving pictures, on the networks' pictures, before these go back into the photo.

    d = blur(local maximum(|P - R|))     a = smoothstep from STILL to MOVED     O += a (N - O)     R += a (P - R)

Of every frame P is the preview with its visibility, N the networks' picture. O is the picture so far and R what the preview was where O was last
refreshed (conditional replenishment, as in early video coding). Where the preview shows nothing new, O stays to the bit, whatever the networks
say; where it does, the new picture comes in whole. R is not the frame before: a slow drift adds up against it, and arrives.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.common.files import write_atomically
from discontrolface.common.pixels import channel_max
from discontrolface.editing.pipeline import PreparedEdit
from discontrolface.render.blur import gaussian
from discontrolface.render.smoothstep import smoothstep

STILL, MOVED = 1.5 / 255, 8 / 255  # difference of previews up to which a pixel stays, from which it is new
REACH: Final = 0.012  # of the local maximum / side of the crop
SOFT: Final = 0.006  # standard deviation of the blur / side of the crop
ARRAYS: Final = ("picture", "reference")


@dataclass(frozen=True)
class Steady:
    """The rule after so many frames. picture: O (S, S, 3), as the networks' in about [-1, 1]. reference: R (S, S, 4) in [0, 1]."""

    frames: int = 0
    picture: NDArray[np.float32] | None = None
    reference: NDArray[np.float32] | None = None

    def after(self, preview: NDArray[np.float32], picture: NDArray[np.float32]) -> Steady:
        """With one more frame: preview (S, S, 4), colours and visibility; picture (S, S, 3), the networks'."""
        if self.picture is None or self.reference is None:
            return Steady(self.frames + 1, picture.copy(), preview.copy())
        share = newness(preview, self.reference)[..., None]
        return Steady(
            self.frames + 1,
            (1 - share) * self.picture + share * picture,  # exact at 0 and at 1
            (1 - share) * self.reference + share * preview,
        )

    def save(self, path: Path) -> None:
        """Whole or not at all. ValueError before the first frame."""
        if self.picture is None or self.reference is None:
            raise ValueError("nothing to save: no frame has passed yet")
        buffer = io.BytesIO()
        np.savez(buffer, frames=np.int64(self.frames), picture=self.picture, reference=self.reference)
        write_atomically(path, buffer.getvalue(), what="the state of the frames")

    @classmethod
    def load(cls, path: Path) -> Steady:
        """What `save` wrote; the beginning where it is not there, or damaged."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                state = cls(int(kept["frames"]), *(np.asarray(kept[name], np.float32) for name in ARRAYS))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return cls()
        whole = state.picture is not None and state.reference is not None and state.picture.shape[:2] == state.reference.shape[:2]
        return state if whole and state.frames > 0 else cls()


def newness(preview: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, S) in [0, 1]: how far a preview (S, S, C) shows something else than the reference."""
    from scipy.ndimage import maximum_filter

    size = len(preview)
    near = 2 * max(1, round(REACH * size)) + 1
    difference = gaussian(maximum_filter(channel_max(np.abs(preview - reference)), near), SOFT * size)
    return smoothstep((difference - STILL) / (MOVED - STILL)).astype(np.float32)


@dataclass
class Steadying:
    """`Steady` over batches: called with each in order, it holds the state after the last."""

    state: Steady = field(default_factory=Steady)

    def __call__(self, edits: Sequence[PreparedEdit], pictures: Tensor) -> Tensor:
        """The networks' pictures (B, 3, S, S) of frames that follow one another, with what does not move kept still."""
        out = []
        for edit, picture in zip(edits, pictures, strict=True):
            preview = np.concatenate([edit.preview.image, edit.preview.visibility[..., None]], axis=-1).astype(np.float32)
            drawn = picture.permute(1, 2, 0).cpu().numpy().astype(np.float32)
            self.state = self.state.after(preview, drawn)
            assert self.state.picture is not None
            out.append(torch.from_numpy(self.state.picture).permute(2, 0, 1))
        return torch.stack(out).to(pictures)
