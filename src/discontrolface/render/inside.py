"""Draw what lies behind the openings of the skin, and lay it under the skin."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.geometry.similarity import Similarity
from discontrolface.render.compose import Colours
from discontrolface.render.eyes import BINS, Eyeballs, angle_profile, draw_eyes
from discontrolface.render.join import Moved
from discontrolface.render.motion import MeshMotion
from discontrolface.render.mouth import Teeth, draw_mouth, mouth_tones
from discontrolface.render.openings import Canvas, Opening, bounds, lay_under, soft_mask
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import EYE, MOUTH, TONGUE, UPPER_TEETH
from discontrolface.render.source import PreviewSource
from discontrolface.render.surface import Surface

INWARDS = np.array(
    [0.0, 0.42, 0.91], np.float32
)  # towards the light that falls into a mouth, in view space: from before it, a little from above
AROUND = 0.35  # share of that light that comes from all sides

PARTING = 0.02  # squared widths of the mouth: lips that were closed show what lies behind them when the opening has grown by this much


class Scene(NamedTuple):
    """Everything about one preview that the inside needs.

    after, normals: (V, 3) ndc and unit normals in the target. surface, mesh, moved: of the target. shading: (V, 3), albedo: (R, 3) in the target.
    skull: in ndc, from the target to the photo. overall: (3,) how many times brighter the target's light is on the whole face. calm: the lips
    have not moved on the skull.
    """

    source: PreviewSource
    after: FloatArray
    normals: FloatArray
    surface: Surface
    mesh: MeshMotion
    moved: Moved
    shading: FloatArray
    albedo: FloatArray
    skull: Similarity
    overall: FloatArray
    calm: bool


def plane_affine(skull: Similarity, depth: float, height: int, width: int) -> FloatArray:
    """(2, 3) from target pixel (column, row; centres at integers) to photo pixel, for points at this ndc depth that move with the skull."""
    to_ndc = np.array([[2.0 / width, 0.0, 1.0 / width - 1.0], [0.0, -2.0 / height, 1.0 - 1.0 / height], [0.0, 0.0, depth]])
    moved = skull.matrix @ to_ndc + np.array([[0.0, 0.0, 1.0]]) * skull.shift[:, None]
    back = np.array([[0.5 * width, 0.0, 0.5 * width - 0.5], [0.0, -0.5 * height, 0.5 * height - 0.5]])
    return (back[:, :2] @ moved[:2] + back[:, 2:] * np.array([[0.0, 0.0, 1.0]])).astype(np.float32)


def draw_inside(scene: Scene, colours: Colours) -> None:
    """Draw mouth and eyes into `colours`, in place."""
    layer, source = scene.mesh.layer, scene.source
    radius = max(1, round(len(layer) / 256))
    lit = _lit(scene)
    for low, high, draw, cover in ((MOUTH, TONGUE, _mouth, source.mouth), (EYE, EYE, _eyes, source.eyes)):
        shown = (layer >= low) & (layer <= high)
        box = bounds(shown, 2 * radius + 1)
        if box is None:
            continue
        opening = Opening(
            image=source.image,
            photo_layer=source.layer,
            cover=cover,
            surface=scene.surface,
            mesh=scene.mesh,
            moved=scene.moved,
            room=soft_mask(shown, 2 * radius),
        )
        canvas = Canvas.blank(box)
        draw(scene, opening, canvas, lit)
        lay_under(colours, canvas, radius)


def _mouth(scene: Scene, opening: Opening, canvas: Canvas, lit: FloatArray) -> None:
    source, rig = scene.source, scene.source.rig
    height, width = opening.room.shape
    lips = rig.region == rig.region_names.index("lips")
    front_teeth = (rig.vertex_layer == UPPER_TEETH) & (np.abs(rig.teeth[:, 0]) < 15.0)
    tones = mouth_tones(scene.albedo, rig.region_names, lit)
    if source.teeth_colour is not None:
        tones[1] = source.teeth_colour * scene.overall
        tones[2] = 0.9 * tones[1]
    across = float(np.ptp(scene.after[lips, 0]))
    wide = max(0.5 * width * across, 1.0)
    gape = float(opening.room.sum()) / wide**2
    # Lips that the photo shows closed stay closed until they part further than the mesh had them.
    carried = 1.0 if scene.calm else 0.0 if source.false_gape is None else 1.0 - (gape - source.false_gape) / PARTING
    teeth = Teeth(
        place=rig.teeth,
        facing=np.clip(AROUND + (1.0 - AROUND) * (scene.normals @ INWARDS), 0.15, 1.0).astype(np.float32),
        upper=source.upper_teeth,
        lower=source.lower_teeth,
        skull_flow=plane_affine(scene.skull, float(scene.after[front_teeth, 2].mean()), height, width),
        front=float(scene.after[lips, 2].mean()),
        width=across,
        wide=wide,
        gape=gape,
        tones=tones,
        overall=scene.overall,
        reach=max(2, round(0.022 * height)),
        carried=float(np.clip(carried, 0.0, 1.0)),
        parted=source.false_gape is not None or gape > float(source.mouth.sum()) / wide**2 + 2.0 * PARTING,
    )
    draw_mouth(opening, teeth, canvas)


def _eyes(scene: Scene, opening: Opening, canvas: Canvas, lit: FloatArray) -> None:
    source, rig = scene.source, scene.source.rig
    sclera = scene.albedo[rig.region_names.index("eyes")] if "eyes" in rig.region_names else np.full(3, 0.8, np.float32)
    profiles = np.zeros((3, BINS, 3), np.float32)
    for eye, sums in enumerate(source.iris, start=1):
        profiles[eye] = angle_profile(*sums, lit, np.ascontiguousarray(sclera, np.float32))
    direction, owner = rig.eye_axes
    draw_eyes(opening, Eyeballs(direction=direction, owner=owner, profiles=profiles), canvas)


def _lit(scene: Scene) -> FloatArray:
    """(3,) what a white surface facing the camera shows, in the photo's exposure and the target's light: from the face's skin."""
    rig = scene.source.rig
    skin = (rig.region == rig.region.min()) & (rig.template[:, 2] > 0.0)
    lit = np.median(scene.source.colours[skin] * scene.shading[skin], axis=0)
    return (0.5 * lit + 0.5 * lit.mean()).astype(np.float32)  # the tint is half the lamp's, half a guess at this skin that was off
