"""The preview: the photo's own pixels, moved along with the 3D face. No network.

Each target pixel asks where it comes from. On the face, through the triangle it shows; off the face, and where the photo does not show that
point of the face, through a smooth continuation of the motion (`extend`). There is one continuous map from target to source, so nothing tears
and no outline appears twice; what that map would stretch too far is painted over with colours spread over the mesh (`fill`). What lies behind
openings is drawn separately: the mouth (`mouth`), the eyeballs (`eyes`). Light is changed by the ratio of shadings.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from discontrolface.render.extend import distance_to, extend_motion, pivot, similarity
from discontrolface.render.fill import diffuse_over_mesh
from discontrolface.render.inside import Scene, draw_inside
from discontrolface.render.lids import closing_lids, draw_lashes, moving_lips
from discontrolface.render.matte import head_matte
from discontrolface.render.mouth import teeth_shown
from discontrolface.render.openings import smoothed, soft_mask
from discontrolface.render.outline import BLEND, EDGE, MARGIN, head_outline, motion_beyond, no_outline
from discontrolface.render.pixels import (
    OFF,
    coarse_anchors,
    compose,
    finish,
    in_bands,
    join_motion,
    mesh_motion,
    near_occluder,
    shrink,
    soften,
)
from discontrolface.render.raster import FloatArray, rasterize, visible_vertices
from discontrolface.render.rig import MOUTH, SKIN, TONGUE, PreviewRig
from discontrolface.render.shade import mean_face_shading, sh_shading, vertex_normals

CELL = 4  # pixels: the side of a cell of the coarse grid for the motion off the mesh (larger where the grid would exceed 128 cells)
STILL = 1e-5  # ndc: a skull that moves less does not turn
HAIR_RELIGHT = 0.7  # hair follows a change of light this far (exponent of the ratio)


@dataclass(frozen=True)
class View:
    """A posed head in the picture.

    vertices: (V, 3) float32 ndc (x right, y up, z nearer; `shade.project`). light: (9, 3) spherical harmonics. albedo: (R, 3) a colour per
    region of the head model, as in FaceParameters.
    """

    vertices: FloatArray
    light: FloatArray
    albedo: FloatArray


@dataclass(frozen=True)
class Preview:
    """A warped picture.

    image: (H, W, 3) float32 [0, 1]. visibility: (H, W), 1 where the pixel comes from the photo without much stretch, 0 where it was invented.
    mask: (H, W), how much of a pixel is new; exactly 0 where nothing moves or is relit, and along the border; `image` equals the photo there.
    flow: (H, W, 2) pixels (x right, y down): target pixel p shows the photo at p + flow.
    """

    image: FloatArray
    visibility: FloatArray
    mask: FloatArray
    flow: FloatArray


def render_preview(image: FloatArray, source: View, target: View, rig: PreviewRig) -> Preview:
    """Move the photo from one set of face parameters to another.

    image: (H, W, 3) float32 in [0, 1], the crop that `source` describes, any size. Deterministic. Raises ValueError for wrong shapes.
    """
    image = np.ascontiguousarray(image, np.float32)
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 16:
        raise ValueError(f"the picture must be (H, W, 3) with at least 16 pixels a side, not {image.shape}")
    for view in (source, target):
        if view.vertices.shape != rig.template.shape:
            raise ValueError(f"a view of this head has vertices {rig.template.shape}, not {view.vertices.shape}")
    height, width = image.shape[:2]
    if all(np.array_equal(a, b) for a, b in ((source.vertices, target.vertices), (source.light, target.light))):
        plain = np.zeros((height, width), np.float32)
        return Preview(image.copy(), plain + 1, plain, np.zeros((height, width, 2), np.float32))

    before = np.ascontiguousarray(source.vertices, np.float32)
    after = np.ascontiguousarray(target.vertices, np.float32)
    with ThreadPoolExecutor(1) as pool:
        later = pool.submit(rasterize, after, rig.faces, height, width)
        raster_before = rasterize(before, rig.faces, height, width)
        raster_after = later.result()
    normals_before, normals_after = _normals(before, rig), _normals(after, rig)
    shade_before, shade_after = _shading(normals_before, source.light), _shading(normals_after, target.light)
    log_ratio = np.log(shade_after / shade_before)
    log_ratio = _smoothed(_softly_limited(log_ratio), rig) * (1.0 - (1.0 - HAIR_RELIGHT) * rig.hair[:, None])

    grid = 1 << int(np.clip(np.ceil(np.log2(max(height, width) / CELL)), 4, 7))

    # Where the mesh comes from, and how far that can be trusted.
    from_pixels = _to_pixels(before, height, width)
    trust = _vertex_trust(before, after, normals_before, rig)
    margin = max(1, round(0.008 * height))
    shadowed_before = near_occluder(raster_before.depth, margin)
    shadowed_after = near_occluder(raster_after.depth, margin)
    mesh_flow, sighted, layer = mesh_motion(
        raster_after.triangle, raster_after.barycentric, rig.faces, rig.face_layer, from_pixels, before[:, 2], trust,
        raster_before.depth, shadowed_before, shadowed_after,
    )  # fmt: skip
    trusted = soften(sighted, layer, margin)

    # The continuation, on a coarse grid.
    attributes = np.concatenate([log_ratio, rig.hair[:, None], 1.0 - rig.bust[:, None]], 1).astype(np.float32)
    anchor, weight, depth = coarse_anchors(
        raster_after.triangle, raster_after.barycentric, raster_after.depth, rig.faces, attributes, mesh_flow, trusted, layer, grid
    )
    matrix, shift = similarity(before[rig.skull], after[rig.skull])
    centre = after[rig.skull].astype(np.float64).mean(0)
    floor = float(np.clip(pivot(matrix, shift, centre)[2], after[rig.skull, 2].min(), after[rig.skull, 2].max()))
    radius = float(np.sqrt(max(np.isfinite(depth).sum(), 4) / np.pi))
    outside = extend_motion(anchor, weight, depth, floor, matrix, shift, radius)
    if np.abs(before[rig.skull] - after[rig.skull]).max() < STILL:
        outline = no_outline(grid)
    else:
        beyond = motion_beyond(anchor, weight, depth, floor, matrix, shift, radius)
        outline = head_outline(raster_before.triangle, raster_after.triangle, rig.head_faces, rig.scalp_faces, beyond)

    # Colours for hidden skin.
    layer_before = np.where(raster_before.triangle >= 0, rig.face_layer[raster_before.triangle], np.uint8(OFF))
    upper_teeth, lower_teeth, not_lips = _teeth_shown(image, layer_before, source, normals_before, rig)
    matte, own, other = _matte(image, raster_before.triangle, grid, rig)
    colours, shown = _vertex_colours(
        image, before, raster_before.depth, normals_before, shade_before, source.albedo, shadowed_before, not_lips, matte, rig
    )
    paint = np.clip(colours * target.albedo[rig.region] * shade_after, 0.0, 1.0).astype(np.float32)

    outside[..., 2:] = np.exp(outside[..., 2:])
    ratio = np.ascontiguousarray(np.exp(log_ratio), np.float32)
    flow, light, belongs = np.empty((height, width, 2), np.float32), np.empty_like(image), np.empty((height, width), np.float32)
    behind = np.empty_like(image)
    in_bands(
        join_motion,
        height,
        raster_after.triangle,
        raster_after.barycentric,
        rig.faces,
        mesh_flow,
        trusted,
        outside,
        ratio,
        matte,
        image,
        own,
        other,
        outline.away,
        outline.clear,
        outline.bare,
        outline.motion,
        np.float32(MARGIN * height),
        np.float32(EDGE * height),
        np.float32(BLEND * height),
        flow,
        light,
        belongs,
        behind,
    )
    lip_motion = moving_lips(before, after, matrix, shift, rig)
    mirror_shown = shown[rig.mirror] * (1.0 - rig.unpainted + rig.hair)
    veil = np.stack([rig.unpainted, closing_lids(before, after, matrix, shift, rig), lip_motion, mirror_shown], 1).astype(np.float32)
    twin = colours[rig.mirror] * source.albedo[rig.region] * shade_before[rig.mirror]
    gain = np.clip(paint / np.maximum(twin, 0.02), 0.4, 2.5).astype(np.float32)
    picture, visibility, change = np.empty_like(image), np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    in_bands(
        compose, height, image, raster_after.triangle, raster_after.barycentric, rig.faces, flow, light, belongs, behind, trusted, layer,
        paint, not_lips, veil, layer_before, np.ascontiguousarray(from_pixels[rig.mirror]), gain,
        picture, visibility, change,
    )  # fmt: skip
    overall = np.clip(_mean_shading(target.light) / _mean_shading(source.light), 0.25, 3.0).astype(np.float32)
    scene = Scene(
        image,
        before,
        after,
        raster_before,
        raster_after,
        layer_before,
        layer,
        mesh_flow,
        flow,
        sighted,
        light,
        colours,
        shade_after,
        target.albedo,
        upper_teeth,
        lower_teeth,
        matrix,
        shift,
        overall,
        not lip_motion.any(),
    )
    draw_inside(scene, rig, picture, visibility, change)
    draw_lashes(scene, rig, picture, change, np.ascontiguousarray(veil[:, 1]))
    mask = finish(image, picture, change, max(2, round(0.02 * height)))
    return Preview(picture, visibility, mask, flow)


def _normals(vertices: FloatArray, rig: PreviewRig) -> FloatArray:
    """(V, 3); those of the skin do not see the surfaces that turn inwards at lids and lips."""
    skin = vertex_normals(torch.from_numpy(vertices), rig.skin_faces).numpy()
    inside = vertex_normals(torch.from_numpy(vertices), rig.inner_faces).numpy()
    return np.where((rig.vertex_layer == SKIN)[:, None], skin, inside)


def _shading(normals: FloatArray, light: FloatArray) -> FloatArray:
    """Shading per vertex (V, 3), kept above a tenth of its mean: a fitted light may go to zero or below where no photo checked it."""
    bent = np.concatenate([normals[:, :2], np.maximum(normals[:, 2:], 0.25)], 1)  # at the outline a fitted normal means little
    bent = (bent / np.linalg.norm(bent, axis=1, keepdims=True)).astype(np.float32)
    shading = sh_shading(torch.from_numpy(bent)[None], torch.from_numpy(np.array(light, np.float32))[None])[0].numpy()
    front = np.clip(normals[:, 2:], 0.0, 1.0)
    least = np.maximum(0.15 * (shading * front).sum(0) / max(float(front.sum()), 1e-6), 1e-3)
    soft = 0.5 * (shading - least) + np.sqrt(0.25 * (shading - least) ** 2 + (0.5 * least) ** 2)  # a smooth max(shading - least, 0)
    return (least + soft).astype(np.float32)


def _softly_limited(log_ratio: FloatArray) -> FloatArray:
    """The identity from -0.8 to 0.5, then bending to -1.3 and 0.9: a fitted light is a rough guess, more so where it is dark."""
    up = 0.5 + 0.4 * np.tanh((np.maximum(log_ratio, 0.5) - 0.5) / 0.4)
    down = -0.8 - 0.5 * np.tanh((-0.8 - np.minimum(log_ratio, -0.8)) / 0.5)
    return np.where(log_ratio > 0.5, up, np.where(log_ratio < -0.8, down, log_ratio)).astype(np.float32)


def _smoothed(value: FloatArray, rig: PreviewRig, rounds: int = 3) -> FloatArray:
    """Vertex values (V, C) averaged with their neighbours: a fitted head's creases are not exactly those of the photo."""
    degree = np.maximum(np.diff(rig.neighbour_start), 1)[:, None]
    for _ in range(rounds):
        around = np.add.reduceat(value[rig.neighbours], np.minimum(rig.neighbour_start[:-1], len(rig.neighbours) - 1), axis=0) / degree
        value = (0.4 * value + 0.6 * around).astype(np.float32)
    return value


def _mean_shading(light: FloatArray) -> FloatArray:
    """(3,) how bright a light makes a face on average."""
    return np.maximum(mean_face_shading(torch.from_numpy(np.array(light, np.float32))).numpy(), 0.02)


def _to_pixels(vertices: FloatArray, height: int, width: int) -> FloatArray:
    out = np.empty((len(vertices), 2), np.float32)
    out[:, 0] = (vertices[:, 0] + 1.0) * (0.5 * width)
    out[:, 1] = (1.0 - vertices[:, 1]) * (0.5 * height)
    return out


def _vertex_trust(before: FloatArray, after: FloatArray, normals: FloatArray, rig: PreviewRig) -> FloatArray:
    """(V,) 0..1: the surface faced the camera in the photo and is not stretched much in the target."""
    f = rig.faces
    sx, sy = before[f[:, 1:], 0] - before[f[:, :1], 0], before[f[:, 1:], 1] - before[f[:, :1], 1]  # (F, 2) edges
    tx, ty = after[f[:, 1:], 0] - after[f[:, :1], 0], after[f[:, 1:], 1] - after[f[:, :1], 1]
    area = tx[:, 0] * ty[:, 1] - tx[:, 1] * ty[:, 0]
    front = area > 1e-9
    inverse = 1.0 / np.where(front, area, 1.0)
    xx, xy = (sx[:, 0] * ty[:, 1] - sx[:, 1] * ty[:, 0]) * inverse, (-sx[:, 0] * tx[:, 1] + sx[:, 1] * tx[:, 0]) * inverse
    yx, yy = (sy[:, 0] * ty[:, 1] - sy[:, 1] * ty[:, 0]) * inverse, (-sy[:, 0] * tx[:, 1] + sy[:, 1] * tx[:, 0]) * inverse
    total, determinant = xx * xx + xy * xy + yx * yx + yy * yy, xx * yy - xy * yx
    smallest = np.sqrt(np.maximum(0.5 * (total - np.sqrt(np.maximum(total * total - 4.0 * determinant**2, 0.0))), 0.0))
    good = np.where(determinant > 0, _smoothstep((smallest - 0.15) / 0.3), 0.0)
    weight = np.where(front, area, 0.0)
    corner = f.ravel()
    mean = np.bincount(corner, np.repeat(good * weight, 3), len(before)) / np.maximum(
        np.bincount(corner, np.repeat(weight, 3), len(before)), 1e-12
    )
    return (mean * _smoothstep((normals[:, 2] - 0.03) / 0.2)).astype(np.float32)


def _vertex_colours(
    image: FloatArray,
    vertices: FloatArray,
    depth: FloatArray,
    normals: FloatArray,
    shading: FloatArray,
    albedo: FloatArray,
    shadowed: np.ndarray,
    shown: FloatArray,
    matte: FloatArray,
    rig: PreviewRig,
) -> tuple[FloatArray, FloatArray]:
    """(V, 3) the photo's colour over albedo times shading, spread from vertices the photo shows well to all others; and (V,)
    0..1, how well it shows them."""
    small = shrink(image, max(1, round(image.shape[0] / 128)))
    points = _to_pixels(vertices, *small.shape[:2]) - 0.5
    x = np.clip(np.rint(points[:, 0]).astype(int), 0, small.shape[1] - 1)
    y = np.clip(np.rint(points[:, 1]).astype(int), 0, small.shape[0] - 1)
    fx = np.clip((x * shadowed.shape[1]) // small.shape[1], 0, shadowed.shape[1] - 1)
    fy = np.clip((y * shadowed.shape[0]) // small.shape[0], 0, shadowed.shape[0] - 1)
    lip = (
        shown[
            np.minimum(y * shown.shape[0] // small.shape[0], shown.shape[0] - 1),
            np.minimum(x * shown.shape[1] // small.shape[1], shown.shape[1] - 1),
        ]
        < 0.1
    )
    weight = rig.skin_trust * lip * _smoothstep((normals[:, 2] - 0.15) / 0.3) * ~shadowed[fy, fx]
    cells = len(matte)
    weight = weight * matte[y * cells // small.shape[0], x * cells // small.shape[1]] ** 2
    weight = (weight * visible_vertices(depth, vertices, 0.02) * (rig.vertex_layer == SKIN)).astype(np.float32)
    value = small[y, x] / np.maximum(albedo[rig.region] * shading, 0.02)
    skin = (rig.region == rig.region.min()) & (weight > 0.5)
    if skin.any():  # brows, strands of hair and nostrils do not stand for skin
        bright = value.sum(1)
        weight = np.where((rig.region == rig.region.min()) & (bright < 0.75 * np.median(bright[skin])), 0.05 * weight, weight).astype(
            np.float32
        )
    shown = weight.copy()
    hidden = weight < 0.05
    value = np.where(hidden[:, None], value[rig.mirror], value)  # faces are symmetric, more or less
    weight = np.where(hidden, 0.3 * weight[rig.mirror], weight).astype(np.float32)
    return diffuse_over_mesh(value.astype(np.float32), weight, rig.neighbours, rig.neighbour_start), shown


def _matte(image: FloatArray, triangle: np.ndarray, grid: int, rig: PreviewRig) -> tuple[FloatArray, FloatArray, FloatArray]:
    """`head_matte` of the photo on the coarse grid."""
    rows = (np.arange(grid) * 2 + 1) * triangle.shape[0] // (2 * grid)
    columns = (np.arange(grid) * 2 + 1) * triangle.shape[1] // (2 * grid)
    on_head = np.append(rig.bust[rig.faces].mean(1) < 0.5, False)
    head = on_head[triangle[rows][:, columns]]
    return head_matte(image[rows][:, columns], head, distance_to(head), distance_to(~head), float(np.sqrt(max(head.sum(), 4) / np.pi)))


def _teeth_shown(
    image: FloatArray, layer: np.ndarray, source: View, normals: FloatArray, rig: PreviewRig
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """`teeth_shown` for the photo. The skin's colour, for comparison, is the median of the front of the face."""
    opening = (layer >= MOUTH) & (layer <= TONGUE)
    height, width = layer.shape
    points = _to_pixels(source.vertices, height, width).astype(int)
    inside = (points >= 0).all(1) & (points[:, 0] < width) & (points[:, 1] < height)
    skin = (rig.region == rig.region.min()) & (normals[:, 2] > 0.6) & inside & (rig.template[:, 2] > 0)
    cover = soft_mask(opening & skin.any(), max(1, round(0.006 * height)))
    tone = np.median(image[points[skin, 1], points[skin, 0]], axis=0).astype(np.float32) if skin.any() else np.ones(3, np.float32)
    upper, lower, not_lips = teeth_shown(image, cover, layer, np.maximum(tone, np.float32(0.02)))
    return smoothed(upper), smoothed(lower), not_lips


def _smoothstep(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
