"""Draw what lies behind the openings of the skin, and lay it under the skin."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.render.eyes import BINS, angle_profile, draw_eyes
from discontrolface.render.mouth import draw_mouth, mouth_tones
from discontrolface.render.openings import bounds, lay_under, soft_mask
from discontrolface.render.raster import FloatArray, Raster
from discontrolface.render.rig import EYE, MOUTH, TONGUE, UPPER_TEETH
from discontrolface.render.source import PreviewSource


class Scene(NamedTuple):
    """Everything about one preview that the inside needs. Arrays as in `warp.render_preview`."""

    source: PreviewSource
    after: FloatArray  # (V, 3) ndc in the target
    raster: Raster  # of the target
    layer: np.ndarray  # (H, W) of the target
    flow: FloatArray  # (H, W, 2) the mesh's own motion
    skin_flow: FloatArray  # (H, W, 2) the final motion of the skin, continued over openings
    sighted: FloatArray  # (H, W) whether the photo shows the point
    light: FloatArray  # (H, W, 3) ratio of shadings
    shading: FloatArray  # (V, 3) in the target
    albedo: FloatArray  # (R, 3)
    matrix: np.ndarray  # (3, 3), (3,): the skull from target to photo, ndc
    shift: np.ndarray
    overall: FloatArray  # (3,) how many times brighter the target's light is on the whole face
    calm: bool  # the lips have not moved on the skull


def plane_affine(matrix: np.ndarray, shift: np.ndarray, depth: float, height: int, width: int) -> FloatArray:
    """(2, 3) from target pixel (column, row; centres at integers) to photo pixel, for points at this ndc depth that move by matrix, shift."""
    to_ndc = np.array([[2.0 / width, 0.0, 1.0 / width - 1.0], [0.0, -2.0 / height, 1.0 - 1.0 / height], [0.0, 0.0, depth]])
    moved = matrix @ to_ndc + np.array([[0.0, 0.0, 1.0]]) * shift[:, None]
    back = np.array([[0.5 * width, 0.0, 0.5 * width - 0.5], [0.0, -0.5 * height, 0.5 * height - 0.5]])
    return (back[:, :2] @ moved[:2] + back[:, 2:] * np.array([[0.0, 0.0, 1.0]])).astype(np.float32)


def draw_inside(scene: Scene, picture: FloatArray, visibility: FloatArray, change: FloatArray) -> None:
    """Draw mouth and eyes into `picture`, `visibility` and `change`, which change in place."""
    radius = max(1, round(len(scene.layer) / 256))
    lit = _lit(scene)
    for low, high, draw, cover in ((MOUTH, TONGUE, _mouth, scene.source.mouth), (EYE, EYE, _eyes, scene.source.eyes)):
        opening = (scene.layer >= low) & (scene.layer <= high)
        box = bounds(opening, 2 * radius + 1)
        if box is None:
            continue
        shape = (box.bottom - box.top, box.right - box.left)
        canvas = Canvas(
            box.top,
            box.left,
            np.zeros((*shape, 3), np.float32),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.bool_),
        )
        draw(scene, canvas, lit, cover, soft_mask(opening, 2 * radius))
        lay_under(picture, visibility, change, canvas.inside, canvas.seen, canvas.touched, canvas.drawn, box.top, box.left, radius)


class Canvas(NamedTuple):
    """What `draw_mouth` and `draw_eyes` draw on: a window from row top and column left on; colour (h, w, 3), visibility, change, and where."""

    top: int
    left: int
    inside: FloatArray
    seen: FloatArray
    touched: FloatArray
    drawn: np.ndarray


def _mouth(scene: Scene, canvas: Canvas, lit: FloatArray, cover: FloatArray, room: FloatArray) -> None:
    source, rig, raster = scene.source, scene.source.rig, scene.raster
    height, width = scene.layer.shape
    lips = rig.region == rig.region_names.index("lips")
    front_teeth = (rig.vertex_layer == UPPER_TEETH) & (np.abs(rig.teeth[:, 0]) < 15.0)
    skull = plane_affine(scene.matrix, scene.shift, float(scene.after[front_teeth, 2].mean()), height, width)
    tones = mouth_tones(scene.albedo, rig.region_names, lit)
    if source.teeth_colour is not None:
        tones[1] = source.teeth_colour * scene.overall
        tones[2] = 0.9 * tones[1]
    draw_mouth(
        source.image, scene.layer, raster.triangle, raster.barycentric, rig.faces, scene.flow, scene.skin_flow, scene.sighted, scene.light, skull,
        source.layer, cover, rig.teeth, raster.depth, float(scene.after[lips, 2].mean()), float(np.ptp(scene.after[lips, 0])), tones,
        source.upper_teeth, source.lower_teeth, max(2, round(0.022 * height)), room, scene.overall, scene.calm, *canvas,
    )  # fmt: skip


def _eyes(scene: Scene, canvas: Canvas, lit: FloatArray, cover: FloatArray, room: FloatArray) -> None:
    source, rig, raster = scene.source, scene.source.rig, scene.raster
    sclera = scene.albedo[rig.region_names.index("eyes")] if "eyes" in rig.region_names else np.full(3, 0.8, np.float32)
    profiles = np.zeros((3, BINS, 3), np.float32)
    for eye, sums in enumerate(source.iris, start=1):
        profiles[eye] = angle_profile(*sums, lit, np.ascontiguousarray(sclera, np.float32))
    draw_eyes(
        source.image, scene.layer, raster.triangle, raster.barycentric, rig.faces, scene.flow, scene.skin_flow, scene.sighted, scene.light, cover,
        room, *rig.eye_axes, profiles, source.layer, *canvas,
    )  # fmt: skip


def _lit(scene: Scene) -> FloatArray:
    """(3,) what a white surface facing the camera shows, in the photo's exposure and the target's light: from the face's skin."""
    rig = scene.source.rig
    skin = (rig.region == rig.region.min()) & (rig.template[:, 2] > 0.0)
    lit = np.median(scene.source.colours[skin] * scene.shading[skin], axis=0)
    return (0.5 * lit + 0.5 * lit.mean()).astype(np.float32)  # the tint is half the lamp's, half a guess at this skin that was off
