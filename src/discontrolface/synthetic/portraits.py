"""Synthetic portraits: an endless, seeded source of photo-like pictures of people who do not exist, drawn from the open head.

`make_pair(seed)` gives the same person, hair, clothes, place and camera under two sets of face parameters: an edit with its true result.
Everything follows from the seed. **Seeds from 1,000,000 (HELD_OUT) on are held out**: training uses smaller ones, tests and tables larger ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.face.colours import region_colours
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.meshes import vertex_normals
from discontrolface.render.raster import rasterize
from discontrolface.synthetic import pixels
from discontrolface.synthetic.anatomy import Array, anatomy, posed
from discontrolface.synthetic.backgrounds import enlarge, make_background
from discontrolface.synthetic.camera import Camera, develop, make_camera, to_srgb
from discontrolface.synthetic.clothes import make_clothes, thickness
from discontrolface.synthetic.creases import crease_strengths
from discontrolface.synthetic.edits import edit_parameters, photographed
from discontrolface.synthetic.glasses import make_glasses
from discontrolface.synthetic.groom import beard_mask, make_beard, make_brows, make_lashes
from discontrolface.synthetic.hair import CENTRE, HairStyle, grow, hairline_of, make_style
from discontrolface.synthetic.light import key_of, random_light
from discontrolface.synthetic.noise import noise_tile
from discontrolface.synthetic.skin import Skin, make_skin
from discontrolface.synthetic.strands import Strands, carry, detach, draw_strands, splat_depth

__all__ = [
    "HELD_OUT",
    "Pair",
    "Portrait",
    "Scene",
    "edit_parameters",
    "make_pair",
    "make_scene",
    "picture_backgrounds",
    "random_parameters",
    "render_scene",
]

HELD_OUT = 1_000_000  # seeds from here on are never trained on
SUPERSAMPLE = 2


@dataclass(frozen=True)
class Scene:
    """One person in one place, before one camera. `base` holds the identity (shape, albedo); what edits change is drawn anew for each picture."""

    seed: int
    base: FaceParameters
    skin: Skin
    cover: Array  # (V, 3) hair that shows as scalp colour, stubble, lips
    stubble_colour: Array  # (3,) linear
    style: HairStyle
    hair: Strands | None  # rigid with the head, in the identity's rest space
    surface_hair: tuple[tuple[Strands, float], ...]  # brows, lashes, beard, with their opacity
    age: float  # 0..1, deepens creases
    glasses: Strands | None  # rigid with the head
    eyes: Array  # (12,)
    clothes: Array  # (18,)
    background: Array  # (128, 128, 3)
    camera: Camera


@dataclass(frozen=True)
class Portrait:
    """image: (H, W, 3) float32 in [0, 1], sRGB. Masks: (H, W) float32 in [0, 1], soft at edges: `head` everything of the open head (bust too),
    `face` its face (no ears, neck, hair), `hair`, `background`. landmarks: (468, 2) pixels, or None where the head has no embedding."""

    image: Array
    masks: dict[str, Array]
    landmarks: Array | None


@dataclass(frozen=True)
class Pair:
    """An edit with its true result: source, target, their parameters. `masks` are the source's, `target_masks` the target's."""

    source: Array
    target: Array
    source_parameters: FaceParameters
    target_parameters: FaceParameters
    masks: dict[str, Array]
    target_masks: dict[str, Array]


def picture_backgrounds() -> list[NDArray[np.uint8]]:
    """Public-domain and CC0 pictures that come with scikit-image, for `pictures=`: none with a face. Raises UserError without scikit-image."""
    try:
        from skimage import data
    except ImportError:
        raise UserError("picture backgrounds need scikit-image: pip install scikit-image, or leave pictures= empty") from None
    found = [getattr(data, name)() for name in ("coffee", "rocket", "grass", "gravel", "brick")]
    return [np.ascontiguousarray(p if p.ndim == 3 else np.repeat(p[..., None], 3, 2))[..., :3] for p in found]


def make_scene(seed: int, pictures: Sequence[NDArray[np.uint8]] = (), detail: float = 1.0) -> Scene:
    """Draw a person, a place and a camera.

    pictures: (H, W, 3) uint8 to cut backgrounds from (`picture_backgrounds()`); the scene depends on them. detail: share of the strands to grow
    (small pictures need fewer); the person is the same.
    """
    if seed < 0:
        raise UserError(f"the seed of a scene must not be negative, got {seed}")
    rng = np.random.default_rng([seed, 471])
    a = anatomy()
    melanin = float(np.clip(rng.beta(1.1, 1.5), 0, 1))
    age, mature = float(rng.random()), float(rng.random() < 0.45)
    skin = make_skin(rng, melanin, age)
    shape = (rng.standard_normal(a.head.shape_count) * 0.85).clip(-2.3, 2.3).astype(np.float32)
    style = make_style(rng, melanin, age, mature)
    neutral = posed(shape, np.zeros(a.head.expression_count, np.float32), np.zeros((5, 3), np.float32))[0]
    hair = grow(
        style,
        neutral,
        np.random.default_rng([seed, 473]),
        int({"buzz": 14000, "long": 13000, "bob": 12000}.get(style.kind, 11000) * detail),
    )
    grown = style.colour if style.kind != "bald" and np.ptp(style.colour) < 0.35 else np.array([0.16, 0.11, 0.08], np.float32)
    brow_colour = np.clip(np.minimum(grown, 0.5) * rng.uniform(0.55, 1.0), 0.03, 1).astype(np.float32)
    surface = [
        (make_brows(rng, brow_colour, int(rng.integers(420, 900))), 0.75),
        (make_lashes(rng, brow_colour, float(rng.uniform(0.5, 1.4)) if mature == 0 else float(rng.uniform(0.4, 0.8))), 0.6),
    ]
    cover = np.zeros((len(a.template), 3), np.float32)
    cover[:, 2] = a.lips
    if style.kind != "bald":
        cover[:, 0] = np.clip(hairline_of(style) / 0.008, 0, 1) * (0.75 if style.kind == "buzz" else 0.95)
    elif rng.random() < 0.6:
        cover[:, 0] = np.clip(hairline_of(style) / 0.01, 0, 1) * rng.uniform(0.05, 0.25)
    if mature:
        shadow = beard_mask("full")
        cover[:, 1] = shadow * rng.uniform(0.02, 0.3)
        if rng.random() < 0.45:
            kind = str(rng.choice(["full", "goatee", "moustache", "stubble"], p=[0.35, 0.15, 0.1, 0.4]))
            length = float(rng.uniform(0.0012, 0.0025)) if kind == "stubble" else float(rng.uniform(0.004, 0.016))
            count = int((5000 if kind in ("full", "stubble") else 1800) * max(detail, 0.6))
            surface.append(
                (
                    make_beard(np.random.default_rng([seed, 474]), kind, np.clip(grown * rng.uniform(0.7, 1.0), 0.03, 1), length, count),
                    0.8 if length > 0.003 else 0.5,
                )
            )
            cover[:, 1] = np.maximum(cover[:, 1], beard_mask(kind) * (0.75 if length > 0.003 else 0.3))
    names = a.head.expression_names
    base = FaceParameters(
        shape=shape,
        expression=np.zeros(a.head.expression_count, np.float32),
        pose=np.zeros((5, 3), np.float32),
        camera=np.array(
            [rng.uniform(5.9, 7.5), rng.normal(0, 0.002), rng.normal(0.0, 0.003)], np.float32
        ),  # shifts here are from FFHQ's centre
        light=random_light(rng),
        albedo=region_colours(a.head.region_names, skin.tone),
        head="open",
        expression_names=names,
    )
    background = make_background(rng, pictures) * rng.uniform(0.75, 1.1)
    return Scene(
        seed,
        base,
        skin,
        cover,
        (brow_colour * 0.9 + 0.02).astype(np.float32) ** 2.2,
        style,
        hair,
        tuple(surface),
        age,
        make_glasses(rng, neutral) if rng.random() < 0.14 else None,
        _make_eyes(rng, melanin),
        make_clothes(rng),
        background.astype(np.float32),
        make_camera(rng),
    )


def _make_eyes(rng: np.random.Generator, melanin: float) -> Array:
    """(12,) as pixels.py reads it: iris colour (linear), ring, pupil, radius, pattern, sclera (linear), glow around the pupil, shift."""
    irises = np.array([[52, 32, 20], [80, 52, 32], [104, 76, 44], [92, 96, 66], [84, 104, 120], [98, 118, 134], [92, 98, 102]]) / 255
    odds = np.array([1 + 6 * melanin, 1.5, 0.8, 0.8, 0.9, 0.7, 0.4]) * np.array([1, 1, *[max(0.03, 1 - 1.5 * melanin)] * 5])
    iris = (irises[rng.choice(7, p=odds / odds.sum())] * rng.uniform(0.8, 1.25)) ** 2.2
    white = np.array([0.84, 0.80, 0.77]) * rng.uniform(0.9, 1.05)
    return np.array(
        [
            *iris,
            rng.uniform(0.5, 0.9),
            rng.uniform(0.25, 0.5),
            rng.uniform(0.0056, 0.0063),
            rng.uniform(0.3, 0.9),
            *white**2.2,
            rng.uniform(0, 0.8),
            rng.uniform(0, 30),
        ],
        np.float32,
    )


def random_parameters(scene: Scene, rng: np.random.Generator) -> FaceParameters:
    """This person as a photographer might find them: mostly facing the camera, an expression, FFHQ's framing, the scene's light."""
    return photographed(scene.base, rng)


def render_scene(scene: Scene, parameters: FaceParameters, size: int = 256) -> Portrait:
    """A photo of the scene with these parameters, size x size pixels."""
    a = anatomy()
    side = size * SUPERSAMPLE
    vertices, rest_joints, joints, rotations = posed(parameters.shape, parameters.expression, parameters.pose)
    bare = torch.from_numpy(vertices)
    normals = vertex_normals(bare, a.head.faces_tensor).numpy()
    vertices = np.ascontiguousarray(vertices + thickness(scene.clothes)[:, None] * normals, np.float32)
    camera = np.ascontiguousarray(parameters.camera, np.float32)
    ndc = camera[0] * (vertices + np.array([camera[1], camera[2], 0], np.float32))
    raster = rasterize(ndc, a.faces, side, side, cull=False)

    light = pixels.sh_with_constants(parameters.light)
    key = key_of(parameters.light)
    hair_points = _posed_hair(scene, parameters, rest_joints, joints, rotations)
    glasses_points = None
    if scene.glasses is not None:
        glasses_points = np.ascontiguousarray((scene.glasses.points - rest_joints[1]) @ rotations[1].T + joints[1], np.float32)
    lamp = pixels.lamp_rotation(key.direction)
    near, offset = pixels.shadow_map(vertices, a.faces, lamp, joints[1] + rotations[1] @ np.array([0, 0.04, 0.03], np.float32))
    for points in (hair_points, glasses_points):
        if points is not None:
            splat_depth(points, lamp, pixels.SHADOW_SCALE, offset, near)

    behind = enlarge(scene.background, size) ** np.float32(2.2)
    image = np.ascontiguousarray(np.repeat(np.repeat(behind, SUPERSAMPLE, 0), SUPERSAMPLE, 1))
    depth = np.full((side, side), -np.inf, np.float32)
    labels = np.zeros((side, side), np.uint8)
    skin = np.array([scene.skin.oil, scene.skin.freckles, scene.skin.bump, scene.skin.mottle, scene.seed % 977 * 0.37, 0.5], np.float32)
    head_up = np.ascontiguousarray(rotations[1][:, 1], np.float32)
    pixels.shade_pixels(
        raster.triangle,
        raster.barycentric,
        a.faces,
        a.material,
        a.face,
        a.template,
        vertices,
        normals,
        scene.skin.albedo ** np.float32(2.2),
        scene.cover,
        scene.style.colour ** np.float32(2.2),
        scene.stubble_colour,
        light,
        key.direction,
        key.colour,
        key.ambient,
        near,
        lamp,
        offset,
        noise_tile(),
        skin,
        crease_strengths(parameters.expression, scene.age),
        scene.eyes,
        head_up,
        np.ascontiguousarray(rotations[3:5, :, 2], np.float32),
        scene.clothes,
        image,
        depth,
        labels,
    )
    centre = (joints[1] + rotations[1] @ (CENTRE - rest_joints[1])).astype(np.float32)

    def draw(strands: Strands, points: Array, gloss: float, alpha: float, taper: float, bias: float, label: int) -> None:
        draw_strands(
            points,
            strands.colour,
            strands.width,
            strands.shade,
            centre,
            camera,
            light,
            key.direction,
            key.colour,
            gloss,
            alpha,
            taper,
            bias,
            label,
            image,
            depth,
            labels,
        )

    for strands, alpha in scene.surface_hair:
        draw(strands, detach(strands, vertices, a.faces), 0.25, alpha, 1.0, 0.0012, pixels.FACE)
    if scene.hair is not None and hair_points is not None:
        draw(scene.hair, hair_points, scene.style.gloss, 0.92, 1.0, 0.0015, pixels.HAIR)
    if scene.glasses is not None and glasses_points is not None:
        draw(scene.glasses, glasses_points, 0.6, 1.0, 0.0, 0.001, pixels.THING)
    small_depth = np.ascontiguousarray(depth[::2, ::2])
    shade = 1 / (1 + 16 * pixels.contact_shade(small_depth, max(1, size // 50)) + 7 * pixels.contact_shade(small_depth, max(2, size // 14)))
    image *= np.repeat(np.repeat(shade, 2, 0), 2, 1)[..., None]
    return _finish(scene, parameters, image, labels, vertices, size)


def _posed_hair(scene: Scene, parameters: FaceParameters, rest_joints: Array, joints: Array, rotations: Array) -> Array | None:
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
    shifts = [joints[j] - rotations[j] @ rest_joints[j] for j in (1, 0)]
    return carry(np.ascontiguousarray(points, np.float32), rotations[1], shifts[0], rotations[0], shifts[1])


def _finish(scene: Scene, parameters: FaceParameters, image: Array, labels: NDArray[np.uint8], vertices: Array, size: int) -> Portrait:
    """Down to size, before the background, through the camera; masks and landmarks."""

    def halve(field: NDArray[np.floating]) -> Array:
        return (0.25 * (field[::2, ::2] + field[1::2, ::2] + field[::2, 1::2] + field[1::2, 1::2])).astype(np.float32)

    shown = to_srgb(halve(np.minimum(image, 1.5)))
    masks = {
        name: halve((labels == label).astype(np.float32))
        for name, label in (("face", pixels.FACE), ("hair", pixels.HAIR), ("background", pixels.BACKGROUND))
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


def make_pair(seed: int, size: int = 256, pictures: Sequence[NDArray[np.uint8]] = ()) -> Pair:
    """The same person before and after an edit. Seeds from HELD_OUT on are for tests only."""
    scene = make_scene(seed, pictures, detail=min(1.0, max(0.4, size / 256)))
    rng = np.random.default_rng([seed, 472])
    before = random_parameters(scene, rng)
    after = edit_parameters(before, rng)
    if rng.random() < 0.5:  # edits back to the ordinary are as frequent as edits away from it
        before, after = after, before
    source, target = render_scene(scene, before, size), render_scene(scene, after, size)
    return Pair(source.image, target.image, before, after, source.masks, target.masks)
