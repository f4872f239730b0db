"""Something before the mouth: a mask, a microphone, a spoon. A warp takes it for lips and moves it with them, so an edit of the mouth has to say so.

Found by colour: lips, of any skin, are about as red as the skin around the eyes, or redder; cloth, metal and plastic seldom are. On 96 portraits
with nothing before the mouth at most 30 % of the lips had such colours (teeth and shine). A hand, or anything else in the colour of skin, is not
found, nor is anything in a black-and-white photo.
"""

from __future__ import annotations

import numpy as np

from discontrolface.geometry.similarity import Similarity
from discontrolface.render.lids import moving_lips
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import PreviewRig
from discontrolface.render.sampling import shrink

COVERED = 0.45  # share of the lips in colours that lips do not have, from which something is before them
GREENER, BLUER = 1.12, 1.2  # green over red, and blue over red, against the skin's: lips have at most one of both
COLOURLESS = 0.9  # green over red of skin: above, the photo has no colours
ABOVE, BELOW = 0.05, 0.018  # metres from the eyes' height: skin there is free of masks


def covered_share(image: FloatArray, vertices: FloatArray, rig: PreviewRig) -> float:
    """0..1: how much of the lips has a colour that lips do not have. image: (H, W, 3) in [0, 1]; vertices: (V, 3) in it, ndc.

    0 where it cannot be said: no lips in the head model, nor colours in the photo.
    """
    small = shrink(image, max(1, image.shape[0] // 128))
    lips = np.flatnonzero(rig.lips)
    height = rig.template[:, 1] - rig.eye_centres[:, 1].mean()
    open_skin = (rig.region == rig.region.min()) & (rig.template[:, 2] > BELOW) & (height > -BELOW) & (height < ABOVE) & (rig.lids == 0)
    if not len(lips) or not open_skin.any():
        return 0.0
    skin = np.median(_colours(small, vertices[open_skin]), axis=0)
    if skin[1] > COLOURLESS * skin[0]:
        return 0.0
    seen = _colours(small, vertices[lips])
    green, blue = (seen[:, k] / seen[:, 0] * skin[0] / skin[k] for k in (1, 2))
    return float(((green > GREENER) & (blue > BLUER)).mean())


def lips_move(before: FloatArray, after: FloatArray, rig: PreviewRig) -> bool:
    """Whether the lips move on the skull between two posed heads (V, 3), ndc."""
    return bool(moving_lips(before, after, Similarity.between(after[rig.skull], before[rig.skull]), rig).any())


def _colours(image: FloatArray, points: FloatArray) -> FloatArray:
    """(N, 3) of the picture's pixels at points (N, 3), ndc; at least 0.02."""
    height, width = image.shape[:2]
    column = np.clip(((points[:, 0] + 1.0) * 0.5 * width).astype(int), 0, width - 1)
    row = np.clip(((1.0 - points[:, 1]) * 0.5 * height).astype(int), 0, height - 1)
    return np.maximum(image[row, column], np.float32(0.02))
