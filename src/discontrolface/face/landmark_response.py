"""How far the landmark network follows a blendshape: the fit looks for that much of it in detected landmarks, not for all of it.

Where lids close, brows rise or lips are pushed forward, the detected mesh moves less than the skin does. Measured on edits of neutral London
photos, whose true movement is known, and confirmed on drawn heads or on real pairs of photos where these move (docs/decisions.md). Landmarks that
are the head model's own need none of this.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from discontrolface.face.landmark_basis import LandmarkBasis

RESPONSE: Final[dict[str, float]] = {
    "browDown": 0.60,
    "browInnerUp": 0.64,
    "browOuterUp": 0.64,
    "eyeBlink": 0.56,
    "jawOpen": 0.90,
    "mouthPucker": 0.55,
}


def response(name: str) -> float:
    """Of a blendshape, both sides alike: the share of its movement that detected landmarks show."""
    return RESPONSE.get(name.removesuffix("Left").removesuffix("Right"), 1.0)


def as_detected(basis: LandmarkBasis) -> LandmarkBasis:
    """The basis for landmarks that were detected in a picture. Heads without named blendshapes stay as they are."""
    if not basis.expression_names:
        return basis
    dirs = basis.dirs.copy()
    for row, name in enumerate(basis.expression_names, basis.shape_count):
        dirs[row] *= response(name)
    blinks = tuple(c._replace(parts=c.parts * response(basis.expression_names[c.row - basis.shape_count])) for c in basis.closings)
    return replace(basis, dirs=dirs, closings=blinks)
