"""No halo beside a head: where the photo has a smooth wall, what the networks draw beyond it, away from the head's own colours, is the wall.

A network that is not sure where a head ends draws the mean of head and wall, and beside it, to make up for that, a rim that is brighter than a bright
wall, or darker than a dark one. The soft side of such an outline is a guess that may be right; the rim is nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.pixels import channel_mean, channel_sum
from discontrolface.render.blur import gaussian
from discontrolface.render.smooth_wall import SmoothWall
from discontrolface.render.smoothstep import smoothstep

FloatArray = NDArray[np.float32]

# Lengths are shares of the picture's side; the rest are differences of colours in [0, 1].
SOFT: Final = 0.004  # sigma of the Gaussian through which a picture is looked at
HALO, OTHER = 0.1, 0.18  # difference to the wall up to which something may be a halo, from which it is something else
WALLS, HEADS = 0.15, 0.35  # shares of wall's distance in wall's and head's, squared: up to which it may be a halo, from which not
TOWARDS: Final = 0.3  # cosine by which a difference that points to the head's colours is no halo
CHANGED: Final = 0.04  # difference to the preview from which something is the networks'


def without_halo(picture: FloatArray, preview: FloatArray, wall: SmoothWall, face: FloatArray) -> FloatArray:
    """A network's picture (S, S, 3) with the wall in place of halos. face: (S, S) in [0, 1], where there is none.

    What is as in the preview (S, S, 3) stays, so that a picture that equals it comes back to the bit.
    """
    soft = SOFT * len(picture)
    beyond = picture - wall.tone
    seen = gaussian(channel_mean(np.abs(gaussian(beyond, soft))), soft)
    to_wall, to_head = channel_sum(beyond**2), channel_sum((picture - wall.head) ** 2)
    share = gaussian(to_wall / (to_wall + to_head + 1e-4), soft)
    away = wall.tone - wall.head
    cosine = channel_sum(beyond * away) / ((np.sqrt(channel_sum(away**2)) + 1e-3) * (np.sqrt(to_wall) + 0.01))
    changed = gaussian(channel_mean(np.abs(picture - preview)), soft)
    weight = wall.smooth * np.clip(1 - 3 * face, 0, 1) * smoothstep(changed / CHANGED) * smoothstep((OTHER - seen) / (OTHER - HALO))
    weight = weight * smoothstep((HEADS - share) / (HEADS - WALLS)) * smoothstep((cosine + TOWARDS) / TOWARDS)
    return np.asarray(picture - weight[..., None] * beyond, np.float32)
