"""What all portraits share: the open head, masks on its surface, where its lid margins are. Coordinates are those of the template, metres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.face.heads.base import HeadModel
from discontrolface.render.raster import rasterize

Array = NDArray[np.float32]

SKIN, EYE, TEETH, MOUTH, TONGUE, SOCKET = range(6)  # materials of triangles
HEAD = "open"  # the head model that people are drawn with
EYE_CENTRE = 0.0308  # |x| of the eyeballs' centres; their y and z are 0
_MATERIAL = {"eyes": EYE, "upper_teeth": TEETH, "lower_teeth": TEETH, "mouth_inside": MOUTH, "tongue": TONGUE, "eye_socket": SOCKET}


@dataclass(frozen=True)
class Anatomy:
    """The open head and what never changes on it.

    material: (F,) uint8 per triangle. face: (F,) bool, triangles of the face (no ears, neck, scalp). azimuth: (V,) radians about the head's
    vertical axis, 0 in front. hairline: (V,) metres above (+) or below (-) an ordinary hairline.
    lids: per eye (left, right) and lid (upper, lower): triangles (N,) and barycentrics (N, 3) along its margin, from the nose outwards.
    """

    head: HeadModel
    template: Array
    faces: NDArray[np.int32]
    material: NDArray[np.uint8]
    face: NDArray[np.bool_]
    azimuth: Array
    hairline: Array
    lips: Array  # (V,) 0..1, softened
    front: Array  # (V,) 0..1: face skin, fading out towards ears, scalp and neck
    lids: tuple[tuple[tuple[NDArray[np.int64], Array], ...], ...]


def hairline_height(azimuth: NDArray[np.floating]) -> NDArray[np.floating]:
    """Height (y, metres) of an ordinary hairline at |azimuth| in degrees about (0, -0.07): forehead, temple, sideburn, behind the ear, nape."""
    return (
        np.interp(np.abs(azimuth), [0, 22, 36, 48, 60, 72, 80, 92, 104, 120, 150, 180], [76, 77, 68, 48, 34, 12, -14, -8, 4, -30, -52, -56])
        / 1000
    )


@lru_cache(maxsize=1)
def anatomy() -> Anatomy:
    """Computed once for each process (half a second)."""
    head = HeadModel.open()
    template = head.template.numpy().copy()
    faces = head.faces
    material = np.full(len(template), SKIN, np.uint8)
    for name, value in _MATERIAL.items():
        material[head.region_mask(name)] = value
    corner = material[faces]
    triangle = np.where((corner == corner[:, :1]).all(1), corner[:, 0], SKIN).astype(np.uint8)
    mixed = ~(corner == corner[:, :1]).all(1)
    triangle[mixed & (corner == MOUTH).any(1)] = MOUTH
    triangle[mixed & (corner == SOCKET).any(1)] = SOCKET
    azimuth = np.arctan2(template[:, 0], template[:, 2] + 0.07)
    hairline = template[:, 1] - hairline_height(np.degrees(azimuth))
    hairline[~head.region_mask("skin", "scalp", "neck", "brows")] = -1
    on_face = head.region_mask(
        "skin", "lips", "brows", "eyelids", "eyes", "eye_socket", "mouth_inside", "upper_teeth", "lower_teeth", "tongue"
    )
    face = np.asarray(on_face[faces].all(1))
    front = _smooth(faces, head.region_mask("skin", "lips", "brows", "eyelids").astype(np.float32), 4)
    lips = _smooth(faces, head.region_mask("lips").astype(np.float32), 1)
    return Anatomy(
        head,
        template,
        faces,
        triangle,
        face,
        azimuth.astype(np.float32),
        hairline.astype(np.float32),
        lips,
        front,
        _lid_margins(template, faces, triangle),
    )


def _smooth(faces: NDArray[np.int32], values: Array, rounds: int) -> Array:
    """Average over neighbouring vertices, `rounds` times."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    count = np.bincount(edges.ravel(), minlength=len(values)) + 1e-9
    for _ in range(rounds):
        total = np.bincount(edges[:, 0], values[edges[:, 1]], len(values)) + np.bincount(edges[:, 1], values[edges[:, 0]], len(values))
        values = (0.5 * values + 0.5 * total / count).astype(np.float32)
    return values


def _lid_margins(
    template: Array, faces: NDArray[np.int32], material: NDArray[np.uint8]
) -> tuple[tuple[tuple[NDArray[np.int64], Array], ...], ...]:
    """Draw each open eye from the front; the first skin pixel above and below the opening in each column is the lid's margin."""
    eyes = []
    for centre in (EYE_CENTRE, -EYE_CENTRE):
        close = (template - np.array([centre, 0, 0], np.float32)) / np.float32(0.02)
        raster = rasterize(close, faces, 400, 400)
        opening = (raster.triangle >= 0) & np.isin(material[raster.triangle], (EYE, SOCKET)) & (raster.triangle >= 0)
        columns = np.flatnonzero(opening.sum(0) > 6)
        if centre < 0:
            columns = columns[::-1]  # from the nose outwards
        rows = opening[:, columns]
        margins = []
        for row in (rows.argmax(0) - 2, len(rows) + 1 - rows[::-1].argmax(0)):
            margins.append((raster.triangle[row, columns].astype(np.int64), raster.barycentric[row, columns]))
        eyes.append(tuple(margins))
    return tuple(eyes)


def posed(shape: Array, expression: Array, pose: Array) -> tuple[Array, Array, Array, Array]:
    """Vertices (V, 3), rest joints (5, 3), posed joints (5, 3), joint rotations (5, 3, 3) of the open head, in view space."""
    head = anatomy().head
    with torch.no_grad():
        s, e, p = (torch.tensor(np.asarray(a, np.float32))[None] for a in (shape, expression, pose))
        out = head(s, e, p)
        rest = head.joint_regressor @ head.neutral(s, e)[0]
    return out.vertices[0].numpy(), rest.numpy(), out.joints[0].numpy(), out.rotations[0].numpy()
