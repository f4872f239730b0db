"""Where a mouth that opens has gaps between its upper teeth, for teeth that somebody else draws: a network's are one pale band.

Gaps run along the skull's own down, from the gums on over all of the opening, for a drawn tooth may be longer than the head model's.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from discontrolface.geometry.similarity import Similarity
from discontrolface.render.compose import Colours
from discontrolface.render.inside import Scene
from discontrolface.render.mouth import UPPER_GAPS
from discontrolface.render.openings import bounds, soft_mask
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import MOUTH, TONGUE, UPPER_TEETH, PreviewRig

GUM: Final = 2.0  # millimetres from the gum line from which a vertex is a tooth's
WIDE: Final = 0.28  # millimetres: sigma of a gap's shadow,
LEAST: Final = 0.55  # and pixels that it has at least; a wider one is as much paler
ADVANCE: Final = 5e-5  # metres by which the arch goes on sideways from a millimetre to the next, at least: else it is seen from its end


def tooth_gaps(scene: Scene, colours: Colours) -> FloatArray:
    """(H, W, 2) in [0, 1]: how far a pixel lies in the mouth where the photo showed nothing, and how deep in the shadow between two upper teeth.

    Zeros for a closed mouth, and for a head without teeth.
    """
    layer, rig = scene.mesh.layer, scene.source.rig
    out = np.zeros((*layer.shape, 2), np.float32)
    opening = (layer >= MOUTH) & (layer <= TONGUE)
    radius = max(1, round(len(layer) / 256))
    box = bounds(opening, 2 * radius + 1)
    arch = None if box is None else _arch(scene.after, rig)
    if box is None or arch is None:
        return out
    skull, sideways, along = arch
    height, width = layer.shape
    rows, columns = np.mgrid[box.top : box.bottom, box.left : box.right].astype(np.float32) + 0.5
    ndc = np.stack([2 * columns / width - 1, 1 - 2 * rows / height], -1) - skull.shift[:2]
    plane = np.linalg.inv(skull.matrix[:2, :2])
    place = (ndc @ plane.T)[..., 0]  # metres along the skull's own right, as far as the picture's plane shows it
    millimetres = np.interp(place, sideways, along).astype(np.float32)
    inside = (place > sideways[0]) & (place < sideways[-1])
    slope = np.interp(place, sideways, np.gradient(along, sideways)) / 1000.0  # millimetres of the arch for one of the plane
    seen = 0.5 * width * skull.scale / 1000.0 / np.maximum(slope, 1.0)  # pixels that a millimetre of the arch has there
    wide = np.maximum(WIDE, LEAST / np.maximum(seen, 1e-3))
    gap = np.abs(np.abs(millimetres)[..., None] - UPPER_GAPS).min(-1)
    shadow = np.exp(-0.5 * (gap / wide) ** 2) * (WIDE / wide) / np.maximum(slope, 1.0)
    window = np.s_[box.top : box.bottom, box.left : box.right]
    out[window][..., 0] = soft_mask(opening[window], radius) * np.clip(1 - colours.visibility[window], 0, 1)
    out[window][..., 1] = inside * shadow
    return out


def _arch(after: FloatArray, rig: PreviewRig) -> tuple[Similarity, NDArray[np.float64], NDArray[np.float64]] | None:
    """The skull in the target (template to ndc); and of the upper teeth that are not hidden by those before them, millimetre by millimetre: metres
    along the skull's own right as the picture's plane shows them, ascending, and millimetres along the arch. None for a head without teeth."""
    teeth = np.flatnonzero((rig.vertex_layer == UPPER_TEETH) & (rig.teeth[:, 1] > GUM))
    if len(teeth) < 8:
        return None
    skull = Similarity.between(rig.template[rig.skull], after[rig.skull])
    place = ((after[teeth, :2] - skull.shift[:2]) @ np.linalg.inv(skull.matrix[:2, :2]).T)[:, 0]
    along = np.rint(rig.teeth[teeth, 0]).astype(int)
    first = int(along.min())
    count = np.bincount(along - first)
    known = np.flatnonzero(count)
    sideways, millimetres = np.bincount(along - first, place)[known] / count[known], (known + first).astype(np.float64)
    middle = int(np.abs(millimetres).argmin())
    steps = np.diff(sideways) > ADVANCE
    right, left = steps[middle:], steps[:middle][::-1]
    last = middle + (len(right) if right.all() else int(right.argmin()))
    begin = middle - (len(left) if left.all() else int(left.argmin()))
    if last - begin < 2:
        return None
    return skull, sideways[begin : last + 1], millimetres[begin : last + 1]
