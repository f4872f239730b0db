"""What an edit leaves on a plain wall away from the head, a torn-off end of hair, the double of an ear, is swept off: the wall stays the photo's."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, label

from discontrolface.common.pixels import channel_max
from discontrolface.render.matte import PlainWall
from discontrolface.render.raster import FloatArray
from discontrolface.render.smoothstep import smoothstep

HAZE = 12.0 / 255  # what differs by less from the wall is no more than a haze
LEAST = 0.03  # side of the smallest square that is no litter / side of the picture: a collar may part a head from its shoulders
NEAR, FAR = 0.004, 0.01  # so near what is no litter the edit stays whole, and so far from it nothing stays of it / side of the picture
GRID = 512  # pixels a side on which distances are measured, at most


def swept(edited: FloatArray, wall: PlainWall) -> FloatArray | None:
    """(S, S) in [0, 1]: how far the photo stays, whatever the edit says. None where nothing is swept.

    edited: (S, S, 3) in [0, 1]. wall: of the photo, of that size. Only bare wall is swept, where it lies away from every larger thing in the edited
    picture: hair that hangs together with the head stays, and so does all that stands where the photo has no wall.
    """
    if not len(wall.tone) or not wall.bare.any():
        return None
    size = len(edited)
    something = channel_max(np.abs(edited - wall.tone)) > HAZE
    pieces, _ = label(something, np.ones((3, 3), bool))
    large = np.bincount(pieces.ravel()) >= (LEAST * size) ** 2
    large[0] = False
    step = -(-size // GRID)
    rest = -size % step
    kept = np.pad(large[pieces], ((0, rest), (0, rest)))
    cells = kept.reshape(len(kept) // step, step, -1, step).any(axis=(1, 3))
    away = step * np.asarray(distance_transform_edt(~cells), np.float32)
    share = smoothstep((away / size - NEAR) / (FAR - NEAR)).astype(np.float32)
    out = share.repeat(step, 0).repeat(step, 1)[:size, :size] * wall.bare
    return out if out.any() else None
