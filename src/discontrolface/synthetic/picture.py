"""A photo of a scene: the mesh and the strands drawn before the background, and taken by the scene's camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.meshes import vertex_normals
from discontrolface.render.raster import rasterize
from discontrolface.render.surface import Surface
from discontrolface.synthetic.anatomy import Array, anatomy, posed
from discontrolface.synthetic.backgrounds import enlarge
from discontrolface.synthetic.camera import develop, to_srgb
from discontrolface.synthetic.canvas import BACKGROUND, FACE, HAIR, SUPERSAMPLE, THING, Canvas, halved
from discontrolface.synthetic.clothes import thickness
from discontrolface.synthetic.creases import crease_strengths
from discontrolface.synthetic.eyes import Posture
from discontrolface.synthetic.growth import CENTRE
from discontrolface.synthetic.light import Lighting, lighting
from discontrolface.synthetic.materials import Scratch
from discontrolface.synthetic.noise import noise_tile
from discontrolface.synthetic.pixels import Body, Dress, shade_pixels
from discontrolface.synthetic.scene import Scene
from discontrolface.synthetic.shadows import contact_shade, shadow_map, splat_strands
from discontrolface.synthetic.skin import SkinGrain
from discontrolface.synthetic.strands import Brush, Paths, Rigid, Strands, View, carry, detach, draw_strands


@dataclass(frozen=True)
class Portrait:
    """image: (H, W, 3) float32 in [0, 1], sRGB. Masks: (H, W) float32 in [0, 1], soft at edges: `head` everything of the open head (bust too),
    `face` its face (no ears, neck, hair), `hair`, `background`. landmarks: (468, 2) pixels, or None where the head has no embedding."""

    image: Array
    masks: dict[str, Array]
    landmarks: Array | None


class _Figure(NamedTuple):
    """The person in this pose, view space. vertices: (V, 3) with the garment. normals: (V, 3) of the bare head. rest_joints, joints: (5, 3).
    rotations: (5, 3, 3). hair, glasses: (N, P, 3), None where there are none."""

    vertices: Array
    normals: Array
    rest_joints: Array
    joints: Array
    rotations: Array
    hair: Array | None = None
    glasses: Array | None = None


def render_scene(scene: Scene, parameters: FaceParameters, size: int = 256) -> Portrait:
    """A photo of the scene with these parameters, size x size pixels."""
    figure = _pose(scene, parameters)
    light = lighting(parameters.light)
    canvas = Canvas.before(enlarge(scene.background, size) ** np.float32(2.2))
    _draw_mesh(scene, parameters, figure, light, canvas)
    _draw_hair(scene, parameters, figure, light, canvas)
    near = np.ascontiguousarray(canvas.depth[::SUPERSAMPLE, ::SUPERSAMPLE])
    shade = 1 / (1 + 16 * contact_shade(near, max(1, size // 50)) + 7 * contact_shade(near, max(2, size // 14)))
    canvas.image[:] *= np.repeat(np.repeat(shade, SUPERSAMPLE, 0), SUPERSAMPLE, 1)[..., None]
    return _finish(scene, parameters, canvas, figure.vertices, size)


def _pose(scene: Scene, parameters: FaceParameters) -> _Figure:
    """Dress and pose the person."""
    vertices, rest_joints, joints, rotations = posed(parameters.shape, parameters.expression, parameters.pose)
    normals = vertex_normals(torch.from_numpy(vertices), anatomy().head.faces_tensor).numpy()
    dressed = np.ascontiguousarray(vertices + thickness(scene.clothes)[:, None] * normals, np.float32)
    figure = _Figure(vertices=dressed, normals=normals, rest_joints=rest_joints, joints=joints, rotations=rotations)
    glasses = None
    if scene.glasses is not None:
        glasses = np.ascontiguousarray((scene.glasses.points - rest_joints[1]) @ rotations[1].T + joints[1], np.float32)
    return figure._replace(hair=_posed_hair(scene, parameters, figure), glasses=glasses)


def _posed_hair(scene: Scene, parameters: FaceParameters, figure: _Figure) -> Array | None:
    """Hair points in view space: rigid with the head above the jaw, with the bust on the shoulders, mixed between."""
    hair = scene.hair
    if hair is None:
        return None
    points = hair.points
    if not np.array_equal(parameters.shape, scene.base.shape) and hair.triangle is not None and hair.barycentric is not None:
        a = anatomy()
        with torch.no_grad():  # another shape: strands follow their roots
            moved = torch.from_numpy(np.stack([parameters.shape, scene.base.shape]))
            both = a.head.neutral(moved).numpy()
        corners = a.faces[hair.triangle]
        points = points + np.einsum("nkc,nk->nc", (both[0] - both[1])[corners], hair.barycentric)[:, None]
    head, bust = (Rigid(figure.rotations[j], figure.joints[j] - figure.rotations[j] @ figure.rest_joints[j]) for j in (1, 0))
    return carry(np.ascontiguousarray(points, np.float32), head=head, bust=bust)


def _draw_mesh(scene: Scene, parameters: FaceParameters, figure: _Figure, light: Lighting, canvas: Canvas) -> None:
    """Skin, eyes, mouth and cloth, in the shadow of all that is in front of the lamp."""
    a = anatomy()
    side = len(canvas.image)
    camera = np.ascontiguousarray(parameters.camera, np.float32)
    ndc = camera[0] * (figure.vertices + np.array([camera[1], camera[2], 0], np.float32))
    raster = rasterize(ndc, a.faces, side, side, cull=False)
    middle = figure.joints[1] + figure.rotations[1] @ np.array([0, 0.04, 0.03], np.float32)
    shadow = shadow_map(figure.vertices, a.faces, light.direction, middle)
    for points in (figure.hair, figure.glasses):
        if points is not None:
            splat_strands(points, shadow)
    body = Body(
        material=a.material,
        face=a.face,
        template=a.template,
        position=figure.vertices,
        normal=figure.normals,
        albedo=scene.skin.albedo ** np.float32(2.2),
        cover=scene.cover,
    )
    up, gaze = np.ascontiguousarray(figure.rotations[1][:, 1]), np.ascontiguousarray(figure.rotations[3:5, :, 2])
    dress = Dress(grain=_grain(scene, parameters), eyes=scene.eyes, posture=Posture(up=up, gaze=gaze), garment=scene.clothes)
    shade_pixels(Surface.of(raster, a.faces), body, dress, noise_tile(), light, shadow, canvas, Scratch.empty())


def _grain(scene: Scene, parameters: FaceParameters) -> SkinGrain:
    skin = scene.skin
    return SkinGrain(
        oil=np.float32(skin.oil),
        freckles=np.float32(skin.freckles),
        bump=np.float32(skin.bump),
        mottle=np.float32(skin.mottle),
        shift=np.float32(scene.seed % 977 * 0.37),
        wetness=np.float32(0.5),
        creases=crease_strengths(parameters.expression, scene.age),
        hair=scene.style.colour ** np.float32(2.2),
        stubble=scene.stubble_colour,
    )


def _draw_hair(scene: Scene, parameters: FaceParameters, figure: _Figure, light: Lighting, canvas: Canvas) -> None:
    """Brows, lashes and beard, then hair, then glasses."""
    centre = (figure.joints[1] + figure.rotations[1] @ (CENTRE - figure.rest_joints[1])).astype(np.float32)
    view = View(camera=np.ascontiguousarray(parameters.camera, np.float32), centre=centre)

    def draw(strands: Strands, points: Array, brush: Brush) -> None:
        paths = Paths(points=points, colour=strands.colour, width=strands.width, shade=strands.shade)
        draw_strands(paths, view, light, brush, canvas)

    for strands, alpha in scene.surface_hair:
        points = detach(strands, figure.vertices, anatomy().faces)
        draw(strands, points, Brush(gloss=0.25, alpha=alpha, taper=1.0, bias=0.0012, label=FACE))
    if scene.hair is not None and figure.hair is not None:
        draw(scene.hair, figure.hair, Brush(gloss=scene.style.gloss, alpha=0.92, taper=1.0, bias=0.0015, label=HAIR))
    if scene.glasses is not None and figure.glasses is not None:
        draw(scene.glasses, figure.glasses, Brush(gloss=0.6, alpha=1.0, taper=0.0, bias=0.001, label=THING))


def _finish(scene: Scene, parameters: FaceParameters, canvas: Canvas, vertices: Array, size: int) -> Portrait:
    """Down to size, through the camera; masks and landmarks."""
    shown = to_srgb(halved(np.minimum(canvas.image, 1.5)))
    masks = {
        name: halved((canvas.labels == label).astype(np.float32))
        for name, label in (("face", FACE), ("hair", HAIR), ("background", BACKGROUND))
    }
    cover = 1 - masks["background"]
    masks["head"] = cover - masks["hair"]
    landmarks = None
    head = anatomy().head
    if head.embedding is not None:
        points = head.landmarks(torch.from_numpy(vertices)[None])[0].numpy()
        scale, dx, dy = parameters.camera
        landmarks = np.stack([(scale * (points[:, 0] + dx) + 1) / 2 * size, (1 - scale * (points[:, 1] + dy)) / 2 * size], 1).astype(
            np.float32
        )
    return Portrait(develop(scene.camera, shown), masks, landmarks)
