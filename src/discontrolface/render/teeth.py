"""Where the upper teeth hang when the lips part: a relaxed upper lip of a person who opens the mouth shows a little of them.

The head model keeps them a millimetre behind the lips' line at rest, so an opening mouth without a smile would have no upper teeth at all.
"""

from __future__ import annotations

import numpy as np

from discontrolface.geometry.similarity import Similarity
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import UPPER_TEETH, PreviewRig

MIDDLE = 0.008  # metres from the middle of the mouth: the lips' opening is measured there
PARTED = 0.004  # metres between the lips from which teeth begin to show,
SHOWN = 0.16  # metres of teeth for every further metre,
MOST = 0.0026  # and at most so many


def lowered_teeth(after: FloatArray, rig: PreviewRig) -> FloatArray:
    """The vertices (V, 3) of the target with the upper teeth moved down, in the skull's frame, until their edge shows below the upper lip.

    `after` itself where the mouth is closed, where they show that much anyway, and for heads without teeth or lips.
    """
    teeth = np.flatnonzero(rig.vertex_layer == UPPER_TEETH)
    rim = rig.mouth_rim[np.abs(rig.template[rig.mouth_rim, 0]) < MIDDLE]
    if not len(teeth) or len(rim) < 4:
        return after
    skull = Similarity.between(rig.template[rig.skull], after[rig.skull])
    back = np.linalg.inv(skull.matrix)
    height = ((after[rim] - skull.shift) @ back.T)[:, 1]
    gap = float(np.ptp(height))
    if gap <= PARTED:
        return after
    lip = float(height[height > height.min() + 0.5 * gap].min())
    front = teeth[np.abs(rig.teeth[teeth, 0]) < 15.0]
    edge = float(((after[front] - skull.shift) @ back.T)[:, 1].min())
    drop = edge - (lip - min(SHOWN * (gap - PARTED), MOST))
    if drop <= 0:
        return after
    out = after.copy()
    out[teeth] -= (drop * skull.matrix[:, 1]).astype(np.float32)
    return out
