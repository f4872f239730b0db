"""Several faces of one photo, edited one by one, in one picture.

Each face is edited from the photo as it was taken. Where the masks of two edits overlap (heads side by side, one before the other), a pixel p goes
to the edit whose face is nearer in sizes of its face, with a soft border:

    out = photo + sum_k w_k (edit_k - photo) / sum_k w_k,    w_k = m_k exp(-|p - c_k| / (s_k TAU))

c_k and s_k are centre and size of face k, m_k its mask. So the order of the edits does not matter, nothing jumps where a mask ends, and a pixel that
only one mask holds is that edit's to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.images import Photo, check_output
from discontrolface.common.writing import Lines
from discontrolface.editing.composite import Patch
from discontrolface.editing.composited import Composite, save_edited
from discontrolface.editing.person import Person
from discontrolface.face.parameters import FaceParameters

MANY: Final = 16  # faces; where more are edited, what an edit works out of a face is not kept with its person
TAU: Final = 0.06  # width of the border between two edits / size of a face


@dataclass(frozen=True)
class FaceEdit:
    """The edit of one face: whose, to what, and what it changes of the photo. Nothing else of it is kept: there may be hundreds.

    patch: in 8-bit sRGB. native: in the photo's own profile and depth, None for a photo of 8-bit sRGB. alpha: of the transparency, None if it has
    none. preview: the draft.
    """

    person: Person
    parameters: FaceParameters
    patch: Patch
    native: Patch | None
    alpha: Patch | None
    preview: Image.Image

    @classmethod
    def of(cls, person: Person, parameters: FaceParameters, composite: Composite, preview: Image.Image) -> FaceEdit:
        """From an edit of that face alone."""
        return cls(person, parameters, composite.patch, composite.native_patch(), composite.alpha, preview)


@dataclass(frozen=True)
class GroupResult:
    """An edited group photo. record: provenance. `save` writes the photo's own profile and depth, which `image` (8-bit sRGB) does not have."""

    edits: tuple[FaceEdit, ...]
    record: dict[str, Any]

    @property
    def photo(self) -> Photo:
        """The photo as it was."""
        return self.edits[0].person.photo

    @cached_property
    def image(self) -> Image.Image:
        """The whole photo, edited: RGB, with the alpha channel of a photo that has one."""
        alpha = self._alpha()
        return Image.fromarray(self._colours if alpha is None else np.dstack([self._colours, alpha]))

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W): where it is False `image` is the photo, to the bit."""
        mask = np.zeros(self.photo.array.shape[:2], bool)
        for edit in self.edits:
            for patch in filter(None, (edit.patch, edit.alpha)):
                mask[patch.place] |= patch.mask > 0
        return mask

    def save(self, path: str | Path, overwrite: bool = False, keep_profile: bool = True, background: str = "white") -> tuple[str, ...]:
        """As `EditResult.save`."""
        path = Path(path)
        check_output(path, overwrite, self.photo.size)
        return save_edited(self, path, overwrite, self.record, keep_profile, background)

    def lines(self) -> Lines:
        """To be written, 8-bit sRGB."""
        return _lines(self._colours, self._alpha(), None)

    def native_lines(self) -> Lines | None:
        """To be written in the photo's own profile and depth; None for a photo of 8-bit sRGB."""
        native = self.photo.native
        parts = [(edit.person, edit.native) for edit in self.edits if edit.native is not None]
        if native is None or len(parts) < len(self.edits):
            return None
        alpha = None if native.alpha is None else self._alpha(native.alpha)
        return _lines(join(native.values, parts), alpha, native.profile)

    @cached_property
    def _colours(self) -> NDArray[np.uint8]:
        return join(self.photo.array, [(edit.person, edit.patch) for edit in self.edits])

    def _alpha(self, base: NDArray[Any] | None = None) -> NDArray[Any] | None:
        """The transparency (H, W) with all edits, in the depth of `base` (None: the photo's 8 bits); None for an opaque photo."""
        own = self.photo.alpha
        if own is None:
            return None
        parts = [(edit.person, edit.alpha) for edit in self.edits if edit.alpha is not None]
        joined = join(own[..., None], parts)[..., 0]
        if base is None or base.dtype == joined.dtype:
            return joined
        return np.where(joined != own, joined * base.dtype.type(np.iinfo(base.dtype).max // 255), base).astype(base.dtype)


def _lines(pixels: NDArray[Any], alpha: NDArray[Any] | None, profile: bytes | None) -> Lines:
    """To be written, from whole arrays."""
    height, width = pixels.shape[:2]
    return Lines(width, height, lambda a, b: pixels[a:b], None if alpha is None else (lambda a, b: alpha[a:b]), profile)


def join(base: NDArray[Any], parts: Sequence[tuple[Person, Patch]]) -> NDArray[Any]:
    """A picture (H, W, C) of 8 or 16 bits with the patches of several faces."""
    out = base.copy()
    for index, (person, patch) in enumerate(parts):
        near = [part for other, part in enumerate(parts) if other != index and _meet(patch, part[1])]
        within = (patch.mask > 0)[..., None]
        if not near:
            out[patch.place] = np.where(within, patch.pixels, out[patch.place])
            continue
        total, change = _weighed(base, patch, person, patch)
        alone = np.ones(patch.mask.shape, bool)
        for somebody, other in near:
            more, changed = _weighed(base, patch, somebody, other)
            alone &= more == 0
            total, change = total + more, change + changed
        mixed = base[patch.place] + change / np.maximum(total, 1e-12)[..., None]
        levels = np.rint(np.clip(mixed, 0, np.iinfo(base.dtype).max)).astype(base.dtype)
        levels = np.where(alone[..., None], patch.pixels, levels)
        out[patch.place] = np.where(within, levels, out[patch.place])
    return out


def _weighed(base: NDArray[Any], within: Patch, person: Person, patch: Patch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(h, w) the weights of a patch in the rectangle of another one, and (h, w, C) its change by these weights."""
    rows, columns = within.place
    shape = within.mask.shape
    weight, change = np.zeros(shape), np.zeros((*shape, base.shape[2]))
    own_rows, own_columns = patch.place
    top, bottom = max(rows.start, own_rows.start), min(rows.stop, own_rows.stop)
    left, right = max(columns.start, own_columns.start), min(columns.stop, own_columns.stop)
    if bottom <= top or right <= left:
        return weight, change
    there = slice(top - rows.start, bottom - rows.start), slice(left - columns.start, right - columns.start)
    own = slice(top - own_rows.start, bottom - own_rows.start), slice(left - own_columns.start, right - own_columns.start)
    x0, y0, x1, y1 = person.landmarks.box
    ys, xs = np.mgrid[top:bottom, left:right] + 0.5
    far = np.hypot(xs - (x0 + x1) / 2, ys - (y0 + y1) / 2) / max(person.landmarks.face_size, 1)
    weight[there] = patch.mask[own] * np.exp(-np.minimum(far / TAU, 60))
    change[there] = weight[there][..., None] * (patch.pixels[own].astype(np.float64) - base[top:bottom, left:right])
    return weight, change


def _meet(a: Patch, b: Patch) -> bool:
    """Whether the rectangles of two patches have pixels in common."""
    return all(max(s.start, t.start) < min(s.stop, t.stop) for s, t in zip(a.place, b.place, strict=True))
