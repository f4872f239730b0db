"""The outline of a turning head: on one side the cheek slides over what lies beside it; hair and wall do not move along with the cheek.

What lies beyond the outline is further back than the cheek. So there is a second motion there, that of the head's middle depth (hair on a surface
round the skull stays about where it is while the face turns). It is taken where it fetches something that the photo shows beyond its own
outline. On the other side of a turn it would fetch the photo's cheek once more; there the smooth continuation of `extend` stays in force.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from discontrolface.render.raster import FloatArray, IntArray
from discontrolface.render.rig import PreviewRig
from discontrolface.render.uncovered import depth_inside, without_ear

MARGIN = 0.014  # the fitted outline may miss the real one by this much / side of the picture: that strip goes with the head
EDGE = 0.008  # width of the change from one motion to the other / side
SOFT_BORDER = 0.025  # between bare and hairy parts of the outline / side
BLEND = 0.05  # the same where the continuation takes over on the side that is uncovered / side


class Outline(NamedTuple):
    """On a grid of every second or fourth pixel, in pixels of the full picture.

    away: from the head in the target. clear: from the head in the photo. bare: 0..1, the outline nearby is skin: where it is scalp, the hair on
    both sides of it is one, and no edge may show; it is pressed together. motion: that beyond the outline, (G, G, 2) offsets in ndc, y down.
    depth: inside the mesh's outline in the target; turned, earless: 0..1, see `uncovered`. margin, edge, blend: MARGIN, EDGE and BLEND in pixels.
    """

    away: FloatArray
    clear: FloatArray
    bare: FloatArray
    motion: FloatArray
    depth: FloatArray
    turned: np.float32
    earless: np.float32
    margin: np.float32
    edge: np.float32
    blend: np.float32


def head_distance(shown: IntArray, head_faces: np.ndarray) -> FloatArray:
    """Pixels from the head of a picture, on every second or fourth pixel. shown: (H, W) triangles, -1 for none. head_faces: (F,) bool, part of
    the head (not of the bust)."""
    step = _step(len(shown))
    small = shown[::step, ::step]
    clear = step * distance_transform_edt(~np.where(small >= 0, head_faces[small], False))
    return np.asarray(gaussian_filter(clear.astype(np.float32), 0.7))


def head_outline(clear: FloatArray, after: IntArray, rig: PreviewRig, motion: FloatArray, turned: float) -> Outline:
    """clear: `head_distance` of the photo. after: (H, W) triangles shown in the target, -1 for none. motion: `extend.motion_beyond`."""
    step = _step(len(after))
    shown = after[::step, ::step]
    away, nearest = distance_transform_edt(~np.where(shown >= 0, rig.head_faces[shown], False), return_indices=True)
    depth = step * depth_inside(shown >= 0) if turned > 0 else np.zeros((2, 2), np.float32)
    bare = (~rig.scalp_faces[shown[nearest[0], nearest[1]]]).astype(np.float32)
    return _outline(
        len(after),
        away=gaussian_filter(step * away.astype(np.float32), 0.7),
        clear=clear,
        bare=gaussian_filter(bare, SOFT_BORDER * len(bare)),
        motion=motion,
        depth=depth,
        turned=turned,
    )


def no_outline(height: int, grid: int) -> Outline:
    """For a head that does not turn: nothing is covered or uncovered. height: of the picture; grid: cells a side."""
    nowhere = np.zeros((2, 2), np.float32)
    return _outline(
        height, away=nowhere, clear=nowhere, bare=nowhere, motion=np.zeros((grid, grid, 2), np.float32), depth=nowhere, turned=0.0
    )


def _outline(
    height: int, away: FloatArray, clear: FloatArray, bare: FloatArray, motion: FloatArray, depth: FloatArray, turned: float
) -> Outline:
    margin, edge, blend = (np.float32(share * height) for share in (MARGIN, EDGE, BLEND))
    return Outline(
        away=away,
        clear=clear,
        bare=bare,
        motion=motion,
        depth=depth,
        turned=np.float32(turned),
        earless=np.float32(without_ear(turned)),
        margin=margin,
        edge=edge,
        blend=blend,
    )


def _step(height: int) -> int:
    return 2 if height < 384 else 4
