"""What becomes of a network's picture: the photo shows through it wherever both show the same.

In this order: halos beside the head become wall, and a mist of both one of them (halo.py, outline.py); the preview is laid on the picture
(laid.py); closed lids, the finest band of everything and all of hair, ears and outlines come from it (detail.py), and what is finer than the
picture at all; a mouth that is wide open is the preview's, and teeth that the networks drew are parted (open_mouth.py, teeth.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.pixels import to_float
from discontrolface.editing.composite import Motion
from discontrolface.editing.detail import agreement, down, fuse_detail, restored, sharpened, shown_again, with_lids
from discontrolface.editing.halo import without_halo
from discontrolface.editing.laid import laid_on
from discontrolface.editing.open_mouth import with_open_mouth
from discontrolface.editing.outline import slack_of, with_outline
from discontrolface.editing.teeth import with_gaps
from discontrolface.face.regions import face_hull
from discontrolface.render.blur import gaussian
from discontrolface.render.flow import moved_by

if TYPE_CHECKING:
    from discontrolface.editing.pipeline import PreparedEdit

FloatArray = NDArray[np.float32]

FACE_BORDER: Final = 0.016  # sigma of the border of what is face and not hair, ear or wall / side


def carried(edit: PreparedEdit, picture: FloatArray) -> tuple[FloatArray, Motion]:
    """A network's picture (s, s, 3) at the size of the fine crop, with what the photo shows of it; and where that is.

    One that is larger than the fine crop keeps its own structure.
    """
    fine, crop = edit.fine, to_float(edit.fine_crop.image)
    small, coarse = min(len(picture), len(fine.image)), len(picture) <= len(fine.image)
    points, photo = edit.person.geometry.landmarks(edit.target, small), edit.person.preview_source(small)
    face = face_of(points, small)
    if coarse and (wall := photo.smooth_wall) is not None:
        low = down(fine.image, small)
        picture = without_halo(picture, low, wall, face)
        slack = slack_of(edit.person.parameters.head_rotation, edit.target.head_rotation, points, small)
        if slack is not None:
            picture = with_outline(picture, low, wall, face, slack)
    fine, moved, fit = laid_on(picture, fine, crop, moved_by(crop, fine.flow))
    shown = fit * shown_again(fine.image, moved)
    seen, low = np.maximum(np.maximum(fine.visibility, shown), fine.lids), down(fine.image, small)
    if coarse:
        there, lids = np.moveaxis(down(np.stack([seen, fine.lids], -1), small), -1, 0)
        picture = with_lids(picture, low, lids) if lids.any() else picture
        picture = restored(sharpened(picture, low, there), low, there * (1 - face))
    edited = with_open_mouth(fuse_detail(picture, fine.image, seen), fine, photo.teeth_colour is not None)
    edited = with_gaps(edited, fine)
    return edited, Motion(fine.flow, shown * agreement(down(picture, small), low, len(edited)), moved)


def face_of(points: NDArray[np.floating], size: int) -> FloatArray:
    """(size, size) in [0, 1]: the face with these landmarks (N, 2+), in pixels, with a soft border."""
    return gaussian(face_hull(points[:, :2], size).astype(np.float32), FACE_BORDER * size)
