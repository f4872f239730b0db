"""An edit in its photo: in sRGB for looking at it, in the photo's own profile and depth for keeping it, with its transparency moved along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.colour import from_srgb
from discontrolface.common.encoding import Rows
from discontrolface.common.pixels import filled, to_float, to_uint8
from discontrolface.common.writing import Lines, write_lines
from discontrolface.editing.composite import Motion, Patch, paste_back
from discontrolface.editing.person import Person
from discontrolface.face.crop import Crop, cut_square
from discontrolface.geometry.affine import invert_affine, sample_affine
from discontrolface.render.flow import moved_by
from discontrolface.render.raster import rasterize

if TYPE_CHECKING:
    from discontrolface.render.source import View
    from discontrolface.render.warp import Preview


@dataclass(frozen=True)
class Composite:
    """An edit in its photo. Whole pictures are made when they are asked for: a photo may have hundreds of megapixels.

    edited: (S, S, 3) the fine crop, edited. changed: (S, S) what may change of it. motion: of it. patch: what changes of the photo; alpha: what
    changes of its transparency, None if it has none.
    """

    person: Person
    edited: NDArray[np.float32]
    changed: NDArray[np.float32]
    motion: Motion
    patch: Patch
    alpha: Patch | None

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) sRGB, (H, W, 4) of a transparent photo. Where the mask is 0 it is the photo, to the bit."""
        photo = self.person.photo
        colours = self.patch.on(photo.array)
        return colours if photo.alpha is None or self.alpha is None else np.dstack([colours, self.alpha.on(photo.alpha[..., None])])

    @cached_property
    def mask(self) -> NDArray[np.float32]:
        """(H, W) in [0, 1]."""
        return self.patch.mask_on(self.person.photo.array)

    def crop(self, person: Person, size: int) -> NDArray[np.uint8]:
        """The person's aligned square of the finished picture, (size, size, 3)."""
        scaled = person.crop.photo_to_crop * (size / person.crop.size)
        return cut_square(self.image[..., :3], scaled, size).image

    def lines(self) -> Lines:
        """To be written, 8-bit sRGB."""
        photo = self.person.photo
        alpha = None if photo.alpha is None or self.alpha is None else _alpha_rows(photo.alpha, self.alpha)
        height, width = photo.array.shape[:2]
        return Lines(width, height, _rows(photo.array, self.patch), alpha)

    def native_patch(self) -> Patch | None:
        """What changes of the photo in its own profile and depth; None for a photo of 8-bit sRGB. The photo's own pixels are carried along in their
        own encoding, so colours beyond sRGB move with them; what the edit adds is turned into it."""
        native = self.person.photo.native
        if native is None or native.values.shape[:2] != self.person.photo.array.shape[:2]:
            return None
        crop, channels = self.person.crop.resize(len(self.edited)), native.values.shape[2]
        source = to_uint8(from_srgb(to_float(crop.image), native.profile, channels))
        edited = from_srgb(self.edited, native.profile, channels)
        values = native.values if native.alpha is None else filled(native.values, native.alpha)
        motion = replace(self.motion, carried=None)  # that is of sRGB
        patch = paste_back(values, edited, Crop(source, crop.photo_to_crop, values), self.changed, motion)
        return patch if native.alpha is None else patch.over(native.values)

    def native_lines(self) -> Lines | None:
        """To be written in the photo's own profile and depth; None for a photo of 8-bit sRGB. Pixels outside the mask are the photo's, to the bit."""
        native, patch = self.person.photo.native, self.native_patch()
        if native is None or patch is None:
            return None
        alpha = None if native.alpha is None or self.alpha is None else _alpha_rows(native.alpha, self.alpha)
        height, width = native.values.shape[:2]
        return Lines(width, height, _rows(native.values, patch), alpha, native.profile)


class Writable(Protocol):
    """An edited photo that can be written: `Composite`, or a group of edits."""

    def lines(self) -> Lines: ...

    def native_lines(self) -> Lines | None: ...


def save_edited(
    edited: Writable, path: Path, overwrite: bool, record: Mapping[str, Any], keep_profile: bool, background: str
) -> tuple[str, ...]:
    """Write an edited photo with its record, see `EditResult.save`."""
    native = edited.native_lines() if keep_profile else None
    if native is None or (path.suffix.lower() == ".webp" and native.grey):  # WebP is always in colours
        native = edited.lines()
    return write_lines(native, path, overwrite, record, background)


def moved_alpha(person: Person, view: View, fine: Preview, crop: Crop) -> Patch | None:
    """What an edit changes of a photo's transparency: it moves with the head. What of the head the photo did not show is as opaque as the face.

    view: the target's head. crop: the photo's, of the size of `fine`. None for an opaque photo.
    """
    alpha, rig = person.photo.alpha, person.geometry.rig
    if alpha is None:
        return None
    size = crop.size
    cut = sample_affine(alpha, invert_affine(crop.photo_to_crop), (size, size), fine=True)[..., None]  # (S, S, 1)
    moved = np.clip(moved_by(to_float(cut), fine.flow), 0, 1)
    triangle = rasterize(np.ascontiguousarray(view.vertices, np.float32), rig.faces, size, size).triangle
    head = (triangle >= 0) & rig.head_faces[triangle]
    inner = slice(round(0.35 * size), round(0.65 * size))
    unseen = ((1 - np.clip(fine.visibility, 0, 1)) * head).astype(np.float32)
    opaque = np.float32(np.median(cut[inner, inner]) / 255)
    edited = moved + unseen[..., None] * np.maximum(opaque - moved, 0)
    whole = alpha[..., None]
    return paste_back(whole, edited, Crop(cut, crop.photo_to_crop, whole), fine.mask, Motion(fine.flow, 1 - unseen), seamless=False)


def _rows(base: NDArray[Any], patch: Patch) -> Rows:
    """Rows of a photo with its patch."""

    def rows(first: int, last: int) -> NDArray[Any]:
        height, width = patch.mask.shape
        top, bottom = max(first, patch.top), min(last, patch.top + height)
        if top >= bottom:
            return base[first:last]
        strip = base[first:last].copy()
        strip[top - first : bottom - first, patch.left : patch.left + width] = patch.pixels[top - patch.top : bottom - patch.top]
        return strip

    return rows


def _alpha_rows(base: NDArray[Any], patch: Patch) -> Rows:
    """Rows of a transparency (H, W) of 8 or 16 bits, with what changes of it, which has 8."""
    step = np.iinfo(base.dtype).max // 255
    own = base[patch.place]
    pixels = np.where(patch.mask > 0, patch.pixels[..., 0] * base.dtype.type(step), own).astype(base.dtype)
    return _rows(base, Patch(patch.left, patch.top, pixels, patch.mask))
