"""What a far turn uncovers: the side of the head, the ear, the neck, and the wall that the photo's cheek and ear had covered.

Up to 20 degrees the smooth continuation of the motion (`extend`) is convincing: the photo's own ear and hair move along. Further round it would
stretch the ear to a bat's, show the wall where the back of the head is, and cut the neck. So from there on, a hidden place of the head is painted in
the head's own shape: hair in the colour of the hair, ear and neck in that of the skin, in the light that falls on it; and beside the head, where
the continuation would show the photo's face or ear a second time, there is wall.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from discontrolface.geometry.similarity import Similarity
from discontrolface.render.compiled import inlined
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import PreviewRig
from discontrolface.render.smoothstep import smoothstep

TURNED = (0.36, 0.44)  # tangent of a turn (20 and 24 degrees): where painting begins, and where it does so fully
ASTRAY, LOST = 0.02, 0.05  # of the picture's height: as far from a hidden place lies what is fetched for it, where paint begins, and ends
GROWN, RIM = 0.06, 0.01  # the same: paint reaches as far where it is half begun; width of its border
EAR = (0.4, 0.6)  # of `turned`: over that share of the change an ear goes, so that it is seldom half there
SIDE = 0.55  # z of normals: scalp further round shows hair at the sides, not a parting or a bald crown
FEW = 20  # vertices: fewer say nothing


def turned(skull: Similarity) -> float:
    """0..1: how far a skull that moves like this (target to photo) turns out of the picture's plane. From 0 to 1 paint grows out from what the
    photo shows: nothing is half painted, for through a half-painted head the wall is seen."""
    matrix = skull.matrix
    tilt = np.sqrt(matrix[0, 2] ** 2 + matrix[1, 2] ** 2) / max(abs(matrix[2, 2]), 1e-3)
    return float(smoothstep(np.asarray((tilt - TURNED[0]) / (TURNED[1] - TURNED[0]))))


def without_ear(far: float) -> float:
    """0..1: how far the photo's own ear is gone at a turn of `turned`."""
    return float(smoothstep(np.asarray((far - EAR[0]) / (EAR[1] - EAR[0]))))


def hair_colour(value: FloatArray, shown: FloatArray, normals: FloatArray, rig: PreviewRig) -> FloatArray | None:
    """(3,) a colour for the scalp that the photo does not show: the median of the scalp at the sides, or, if darker, of its half that is less like
    the skin (a receding hair line, a bald crown). None where the photo shows too little of scalp or skin.

    value: (V, 3) colours of the vertices; shown: (V,) 0..1 how well the photo shows them; normals: (V, 3) in the photo.
    """
    seen = scalp(rig) & (shown > 0.3)
    skin = (rig.region == rig.region.min()) & (shown > 0.5)
    if seen.sum() <= FEW or skin.sum() <= FEW:
        return None
    side = seen & (normals[:, 2] < SIDE)
    colours = value[side if side.sum() > FEW else seen]
    apart = np.abs(np.log(np.maximum(colours, 0.02)) - np.log(np.maximum(np.median(value[skin], axis=0), 0.02))).sum(1)
    candidates = np.median(colours, axis=0), np.median(colours[apart >= np.median(apart)], axis=0)
    return np.asarray(min(candidates, key=lambda colour: float(colour.sum())), np.float32)


def scalp(rig: PreviewRig) -> np.ndarray:
    """(V,) bool: the vertices of the scalp; none in head models without regions."""
    return np.isin(rig.region, [rig.region_names.index(name) for name in ("scalp",) if name in rig.region_names])


def to_wall(matte: FloatArray, triangle: np.ndarray, rig: PreviewRig) -> tuple[FloatArray, FloatArray]:
    """For cells of the photo, (G, G, 2): the offset in ndc (y down) to the nearest that shows no head, 0 where there is none; and (G, G) 0..1:
    how far a cell shows face, ears or neck of the mesh.

    matte: (G, G), see `matte.head_matte`. triangle: (H, W) of the photo's mesh, -1 for none.
    """
    grid = len(matte)
    rows, columns = ((np.arange(grid) * 2 + 1) * side // (2 * grid) for side in triangle.shape)
    shown = triangle[rows][:, columns]
    flesh = gaussian_filter(np.where(shown >= 0, ~rig.scalp_faces[shown], False).astype(np.float32), 0.7)
    offset = np.zeros((grid, grid, 2), np.float32)
    free = (matte < 0.05) & (shown < 0)
    if free.any():
        nearest = distance_transform_edt(~free, return_distances=False, return_indices=True)
        offset[..., 0] = (nearest[1] - np.arange(grid)[None]) * (2.0 / grid)
        offset[..., 1] = (nearest[0] - np.arange(grid)[:, None]) * (2.0 / grid)
    return offset, np.asarray(flesh, np.float32)


def depth_inside(shown: np.ndarray) -> FloatArray:
    """(h, w) pixels inside the outline of the mesh, softened. shown: (h, w) bool, the mesh; below the picture it goes on."""
    return np.asarray(
        gaussian_filter(distance_transform_edt(np.pad(shown, ((1, 0), (1, 1))))[1:, 1:-1].astype(np.float32), 0.8), np.float32
    )


@inlined
def lost_share(off_x, off_y, height, belongs, inner, turned):  # type: ignore[no-untyped-def]
    """0..1: how far a hidden place of the head has to be painted. off_x, off_y: pixels from it to what is fetched for it. belongs: 0..1, how far
    that is part of the head. inner: pixels of the coarse mask to the head's outline. turned: > 0."""
    one, zero = np.float32(1.0), np.float32(0.0)
    away = np.sqrt(off_x * off_x + off_y * off_y) / np.float32(height)
    astray = (away - np.float32(ASTRAY)) / np.float32(LOST - ASTRAY)
    hole = np.float32(6.0) * (one - belongs)
    edge = min(max(np.float32(0.8) * inner - np.float32(0.3), zero), one)
    reached = one
    if turned < one:  # what is fetched lies the further off, the further a place is from what the photo shows
        reached = min(max((np.float32(GROWN) * turned / (one - turned) - away) / np.float32(RIM), zero), one)
    return min(max(astray, hole, zero), one) * edge * reached
