"""Teeth that the networks drew in a mouth that opens: one pale band at their size, parted where the head has its gaps (render/tooth_gaps.py)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.pixels import channel_mean
from discontrolface.render.blur import gaussian
from discontrolface.render.smoothstep import smoothstep
from discontrolface.render.warp import Preview

DEEP: Final = 0.32  # share of its light that the middle of a gap lacks
FEWEST: Final = 30  # pixels of an opening in which teeth are told from what is behind them
BRIGHT, DIM = 92, 5  # percentiles of an opening's brightness: its teeth, and what is dark in it
FLAT, CLEAR = 0.08, 0.18  # difference of the two up to which there is nothing to be told, and from which there is
NO_TOOTH, TOOTH = 0.35, 0.65  # brightness between the two up to which a pixel is no tooth, from which it may be one
LIPS, PALE = 1.1, 1.25  # blue over red, in that of what lies around, up to which a bright pixel is gum or tongue, from which a tooth
AROUND: Final = 0.012  # sigma of the Gaussian that says what lies around / side
SOFT: Final = 0.002  # sigma of the Gaussian through which a picture is looked at / side
CHANGED: Final = 0.04  # difference to the preview from which something is the networks'


def with_gaps(edited: NDArray[np.float32], preview: Preview) -> NDArray[np.float32]:
    """An edit (S, S, 3) in [0, 1] with the shadows between upper teeth where it has drawn some; the preview: of that size, laid on it.

    A tooth is what is bright in the opening, and bluer than the lips around. Of a photo without colours nothing is one. An edit that equals the
    preview, which has its own teeth, is returned as it is.
    """
    opening, gap = preview.mouth[..., 0], preview.mouth[..., 1]
    inside = opening > 0.5
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if inside.sum() < FEWEST:
        return edited
    side = len(edited)
    pad = round(4 * AROUND * side)
    box = np.s_[max(rows[0] - pad, 0) : rows[-1] + pad, max(columns[0] - pad, 0) : columns[-1] + pad]
    picture, opening, gap, inside = edited[box], opening[box], gap[box], inside[box]
    light = channel_mean(picture)
    bright, dim = np.percentile(light[inside], (BRIGHT, DIM))
    blue = picture[..., 2] / np.maximum(picture[..., 0], 0.05)
    lips = gaussian(opening, AROUND * side) * (opening < 0.05)
    around = float((blue * lips).sum() / max(float(lips.sum()), 1e-6))
    tooth = smoothstep(((light - dim) / max(bright - dim, 1e-3) - NO_TOOTH) / (TOOTH - NO_TOOTH))
    tooth = tooth * smoothstep((blue / max(around, 0.05) - LIPS) / (PALE - LIPS)) * smoothstep((bright - dim - FLAT) / (CLEAR - FLAT))
    changed = gaussian(channel_mean(np.abs(picture - preview.image[box])), SOFT * side)
    weight = gaussian(np.asarray(tooth, np.float32), SOFT * side) * opening * smoothstep(changed / CHANGED)
    out = edited.copy()
    out[box] = picture * (1 - DEEP * weight * gap)[..., None]
    return out
