"""The preview: the photo's own pixels, moved along with the 3D face. No network.

Each target pixel asks where it comes from. On the face, through the triangle it shows; off the face, and where the photo does not show that
point of the face, through a smooth continuation of the motion (`extend`). There is one continuous map from target to source, so nothing tears
and no outline appears twice; what that map would stretch too far is painted over with colours spread over the mesh (`fill`). What lies behind
openings is drawn separately: the mouth (`mouth`), the eyeballs (`eyes`). Light is changed by the ratio of shadings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discontrolface.geometry.similarity import Similarity
from discontrolface.render.bands import Pair
from discontrolface.render.extend import extend_motion, pivot
from discontrolface.render.inside import Scene, draw_inside
from discontrolface.render.lids import closing_lids, draw_lashes, moving_lips
from discontrolface.render.outline import BLEND, EDGE, MARGIN, Outline, head_outline, motion_beyond, no_outline
from discontrolface.render.pixels import coarse_anchors, compose, finish, join_motion, mesh_motion, near_occluder, soften, vertex_trust
from discontrolface.render.raster import FloatArray, rasterize
from discontrolface.render.relight import mean_shading, relighting, skin_normals, vertex_shading
from discontrolface.render.rig import PreviewRig
from discontrolface.render.source import PreviewSource as PreviewSource
from discontrolface.render.source import View as View
from discontrolface.render.source import check_view, checked_image, coarse_grid, outline_margin, prepare_source, to_pixels

STILL = 1e-5  # ndc: a skull that moves less does not turn


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
    Several edits of one photo: `prepare_source` once, then `preview_of` for each (the same bits).
    """
    image = checked_image(image)
    check_view(source, rig)
    check_view(target, rig)
    return _unchanged(image) if _same(source, target) else preview_of(prepare_source(image, source, rig), target)


def preview_of(source: PreviewSource, target: View) -> Preview:
    """Move a photo that has been read (`prepare_source`) to another set of face parameters. Deterministic. Raises ValueError for wrong shapes."""
    check_view(target, source.rig)
    if _same(source.view, target):
        return _unchanged(source.image)
    with Pair(len(source.image)) as pair:
        return _moved(source, target, pair)


def _same(source: View, target: View) -> bool:
    return np.array_equal(source.vertices, target.vertices) and np.array_equal(source.light, target.light)


def _unchanged(image: FloatArray) -> Preview:
    plain = np.zeros(image.shape[:2], np.float32)
    return Preview(image.copy(), plain + 1, plain, np.zeros((*plain.shape, 2), np.float32))


def _moved(source: PreviewSource, target: View, pair: Pair) -> Preview:
    image, before, rig = source.image, source.vertices, source.rig
    height, width = image.shape[:2]
    size = (height, width)
    after = np.ascontiguousarray(target.vertices, np.float32)

    def on_vertices() -> tuple[FloatArray, FloatArray, FloatArray]:
        shading = vertex_shading(skin_normals(after, rig), target.light)
        points = np.column_stack([to_pixels(before, height, width), before[:, 2], vertex_trust(before, after, source.normals, rig.faces)])
        return shading, relighting(source.shading, shading, rig), points.astype(np.float32)

    (shading, log_ratio, points), raster = pair.both(on_vertices, lambda: rasterize(after, rig.faces, height, width))

    # Where the mesh comes from, and how far that can be trusted.
    margin = outline_margin(height)
    shadowed = near_occluder(raster.depth, margin)
    mesh_flow, sighted, layer = np.empty((*size, 2), np.float32), np.empty(size, np.float32), np.empty(size, np.uint8)
    on_mesh = (raster.triangle, raster.barycentric, rig.faces)
    pair.bands(mesh_motion, height, *on_mesh, rig.face_layer, points, source.depth, source.shadowed, shadowed, mesh_flow, sighted, layer)
    trusted = np.empty(size, np.float32)
    pair.bands(soften, height, sighted, layer, margin, trusted)

    # The continuation, on a coarse grid.
    grid = coarse_grid(height, width)
    attributes = np.concatenate([log_ratio, rig.hair[:, None], 1.0 - rig.bust[:, None]], 1).astype(np.float32)
    anchor, weight, depth = np.empty((grid, grid, 5), np.float32), np.empty((grid, grid), np.float32), np.empty((grid, grid), np.float32)
    pair.bands(
        coarse_anchors, grid, raster.triangle, raster.barycentric, raster.depth, rig.faces, attributes, mesh_flow, trusted, layer,
        anchor, weight, depth,
    )  # fmt: skip
    matrix, shift = Similarity.between(after[rig.skull], before[rig.skull])
    centre = after[rig.skull].astype(np.float64).mean(0)
    floor = float(np.clip(pivot(matrix, shift, centre)[2], after[rig.skull, 2].min(), after[rig.skull, 2].max()))
    radius = float(np.sqrt(max(np.isfinite(depth).sum(), 4) / np.pi))

    def outlined() -> Outline:
        if np.abs(before[rig.skull] - after[rig.skull]).max() < STILL:
            return no_outline(grid)
        beyond = motion_beyond(anchor, weight, depth, floor, matrix, shift, radius)
        return head_outline(source.clear, raster.triangle, rig.head_faces, rig.scalp_faces, beyond)

    outside, outline = pair.both(lambda: extend_motion(anchor, weight, depth, floor, matrix, shift, radius), outlined)
    outside[..., 2:] = np.exp(outside[..., 2:])
    ratio = np.ascontiguousarray(np.exp(log_ratio), np.float32)
    flow, light, belongs = np.empty((*size, 2), np.float32), np.empty_like(image), np.empty(size, np.float32)
    behind = np.empty_like(image)
    pair.bands(
        join_motion, height, *on_mesh, mesh_flow, trusted, outside, ratio, source.matte, source.decided,
        outline.away, outline.clear, outline.bare, outline.motion,
        np.float32(MARGIN * height), np.float32(EDGE * height), np.float32(BLEND * height), flow, light, belongs, behind,
    )  # fmt: skip

    # Colours.
    paint = np.clip(source.colours * target.albedo[rig.region] * shading, 0.0, 1.0).astype(np.float32)
    lip_motion = moving_lips(before, after, matrix, shift, rig)
    mirror_shown = source.shown[rig.mirror] * (1.0 - rig.unpainted + rig.hair)
    veil = np.stack([rig.unpainted, closing_lids(before, after, matrix, shift, rig), lip_motion, mirror_shown], 1).astype(np.float32)
    twin = source.colours[rig.mirror] * source.view.albedo[rig.region] * source.shading[rig.mirror]
    gain = np.clip(paint / np.maximum(twin, 0.02), 0.4, 2.5).astype(np.float32)
    picture, visibility, change = np.empty_like(image), np.empty(size, np.float32), np.empty(size, np.float32)
    pair.bands(
        compose, height, image, *on_mesh, flow, light, belongs, behind, trusted, layer,
        paint, source.not_lips, veil, source.layer, np.ascontiguousarray(points[rig.mirror, :2]), gain, picture, visibility, change,
    )  # fmt: skip
    overall = np.clip(mean_shading(target.light) / mean_shading(source.view.light), 0.25, 3.0).astype(np.float32)
    calm = not lip_motion.any()
    scene = Scene(
        source, after, raster, layer, mesh_flow, flow, sighted, light, shading, target.albedo, matrix, shift, overall, calm
    )  # fmt: skip
    draw_inside(scene, picture, visibility, change)
    draw_lashes(scene, picture, change, np.ascontiguousarray(veil[:, 1]))
    mask = np.empty(size, np.float32)
    pair.bands(finish, height, image, picture, change, max(2, round(0.02 * height)), mask)
    return Preview(picture, visibility, mask, flow)
