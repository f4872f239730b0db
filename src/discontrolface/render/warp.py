"""The preview: the photo's own pixels, moved along with the 3D face. No network.

Each target pixel asks where it comes from. On the face, through the triangle it shows; off the face, and where the photo does not show that
point of the face, through a smooth continuation of the motion (`extend`). There is one continuous map from target to source, so nothing tears
and no outline appears twice; what that map would stretch too far is painted over with colours spread over the mesh (`fill`). What lies behind
openings is drawn separately: the mouth (`mouth`), the eyeballs (`eyes`). Light is changed by the ratio of shadings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from discontrolface.geometry.similarity import Similarity
from discontrolface.render.anchors import Anchors, coarse_anchors
from discontrolface.render.bands import Pair
from discontrolface.render.compose import Colours, Paint, Photo, compose, finish, keep_loose
from discontrolface.render.extend import Turn, extend_motion, motion_beyond
from discontrolface.render.grain import grain_pixels
from discontrolface.render.inside import Scene, draw_inside
from discontrolface.render.join import Around, Moved, join_motion
from discontrolface.render.lashes import draw_lids
from discontrolface.render.lids import closing_lids, moving_lips
from discontrolface.render.motion import OFF, MeshMotion, Sight, mesh_motion, soften
from discontrolface.render.outline import Outline, head_outline, no_outline
from discontrolface.render.raster import FloatArray, rasterize
from discontrolface.render.relight import mean_shading, relighting, skin_normals, vertex_shading
from discontrolface.render.rig import PreviewRig
from discontrolface.render.source import PreviewSource as PreviewSource
from discontrolface.render.source import View as View
from discontrolface.render.source import check_view, checked_image, coarse_grid, outline_margin, prepare_source, to_pixels
from discontrolface.render.surface import Surface
from discontrolface.render.teeth import lowered_teeth
from discontrolface.render.tooth_gaps import tooth_gaps
from discontrolface.render.trust import near_occluder, vertex_trust
from discontrolface.render.uncovered import turned, without_ear

STILL = 1e-5  # ndc: a skull that moves less does not turn


@dataclass(frozen=True)
class Preview:
    """A warped picture.

    image: (H, W, 3) float32 [0, 1]. visibility: (H, W), 1 where the pixel comes from the photo without much stretch, 0 where it was invented.
    mask: (H, W), how much of a pixel is new; exactly 0 where nothing moves or is relit, and along the border; `image` equals the photo there.
    flow: (H, W, 2) pixels (x right, y down): target pixel p shows the photo at p + flow.
    lids: (H, W) in [0, 1], how far a pixel belongs to a lid that has closed, its fold or its lashes.
    mouth: (H, W, 2) in [0, 1], see `tooth_gaps`.
    """

    image: FloatArray
    visibility: FloatArray
    mask: FloatArray
    flow: FloatArray
    lids: FloatArray
    mouth: FloatArray

    @classmethod
    def unchanged(cls, image: FloatArray) -> Preview:
        """Of an edit that asks for nothing: the picture (H, W, 3) itself."""
        none = np.zeros(image.shape[:2], np.float32)
        return cls(image.copy(), none + 1, none, np.zeros((*none.shape, 2), np.float32), none, np.zeros((*none.shape, 2), np.float32))


def render_preview(image: FloatArray, source: View, target: View, rig: PreviewRig) -> Preview:
    """Move the photo from one set of face parameters to another.

    image: (H, W, 3) float32 in [0, 1], the crop that `source` describes, any size. Deterministic. Raises ValueError for wrong shapes.
    Several edits of one photo: `prepare_source` once, then `preview_of` for each (the same bits).
    """
    image = checked_image(image)
    check_view(source, rig)
    check_view(target, rig)
    return Preview.unchanged(image) if _same(source, target) else preview_of(prepare_source(image, source, rig), target)


def preview_of(source: PreviewSource, target: View) -> Preview:
    """Move a photo that has been read (`prepare_source`) to another set of face parameters. Deterministic. Raises ValueError for wrong shapes."""
    check_view(target, source.rig)
    if _same(source.view, target):
        return Preview.unchanged(source.image)
    with Pair(len(source.image)) as pair:
        return _moved(source, target, pair)


def _same(source: View, target: View) -> bool:
    return np.array_equal(source.vertices, target.vertices) and np.array_equal(source.light, target.light)


def _moved(source: PreviewSource, target: View, pair: Pair) -> Preview:
    image, rig = source.image, source.rig
    height, width = image.shape[:2]
    after = np.ascontiguousarray(target.vertices, np.float32)
    shown = lowered_teeth(after, rig) if source.teeth_colour is None else after  # the photo's own teeth are where they are
    skull = Similarity.between(after[rig.skull], source.vertices[rig.skull])
    vertices, raster = pair.both(
        lambda: _vertices(source, after, target.light, turned(skull)), lambda: rasterize(shown, rig.faces, height, width)
    )
    surface = Surface.of(raster, rig.faces)

    mesh = _mesh_motion(source, surface, vertices, pair)
    moved = _joined_motion(source, surface, mesh, vertices, skull, after, pair)
    lip_motion = moving_lips(source.vertices, after, skull, rig)
    lid_motion = closing_lids(source.vertices, after, skull, rig)

    colours = Colours.empty(height, width)
    photo = Photo(image=image, fetched=source.plain.fetched, eyes=source.lashes, not_lips=source.not_lips, plain=source.plain.distance)
    paint = _paint(source, target, vertices, lid_motion, lip_motion, grain_pixels(after, skull, rig, height, width))
    pair.bands(compose, height, photo, surface, mesh, moved, paint, colours)
    keep_loose(photo, mesh.layer == OFF, colours)
    scene = Scene(
        source=source,
        after=after,
        normals=vertices.normals,
        surface=surface,
        mesh=mesh,
        moved=moved,
        shading=vertices.shading,
        albedo=target.albedo,
        skull=skull,
        overall=np.clip(mean_shading(target.light) / mean_shading(source.view.light), 0.25, 3.0).astype(np.float32),
        calm=not lip_motion.any(),
    )
    draw_inside(scene, colours)
    mouth = tooth_gaps(scene, colours)
    lids = draw_lids(scene, lid_motion, colours)
    mask = np.empty((height, width), np.float32)
    pair.bands(finish, height, image, max(2, round(0.02 * height)), colours, mask)
    return Preview(image=colours.picture, visibility=colours.visibility, mask=mask, flow=moved.flow, lids=lids, mouth=mouth)


class _Vertices(NamedTuple):
    """What becomes of the vertices. normals, shading: (V, 3) in the target; log_ratio: (V, 3), of that shading to the photo's; points: (V, 4), see
    `mesh_motion`. turned: 0..1, see `uncovered`."""

    normals: FloatArray
    shading: FloatArray
    log_ratio: FloatArray
    points: FloatArray
    turned: float


def _vertices(source: PreviewSource, after: FloatArray, light: FloatArray, far: float) -> _Vertices:
    before, rig = source.vertices, source.rig
    normals = skin_normals(after, rig)
    shading = vertex_shading(normals, light)
    pixels = to_pixels(before, *source.image.shape[:2])
    gone = without_ear(far) * rig.ears  # the mesh's ear is seldom where the photo's is
    trust = vertex_trust(before, after, source.normals, rig.faces) * (1.0 - gone)
    points = np.column_stack([pixels, before[:, 2], trust])
    same_light = np.array_equal(light, source.view.light)
    log_ratio = relighting(source.shading, shading, rig, same_light)
    return _Vertices(normals=normals, shading=shading, log_ratio=log_ratio, points=points.astype(np.float32), turned=far)


def _mesh_motion(source: PreviewSource, surface: Surface, vertices: _Vertices, pair: Pair) -> MeshMotion:
    """Where the mesh comes from, and how far that can be trusted."""
    height, width = surface.triangle.shape
    margin = outline_margin(height)
    sight = Sight(depth=source.depth, before=source.shadowed, after=near_occluder(surface.depth, margin))
    mesh = MeshMotion.empty(height, width)
    pair.bands(mesh_motion, height, surface, source.rig.face_layer, vertices.points, sight, mesh)
    pair.bands(soften, height, margin, mesh)
    return mesh


def _joined_motion(
    source: PreviewSource, surface: Surface, mesh: MeshMotion, vertices: _Vertices, skull: Similarity, after: FloatArray, pair: Pair
) -> Moved:
    """The mesh's motion, continued on a coarse grid to where the mesh is not, or not trusted."""
    rig, before = source.rig, source.vertices
    height, width = surface.triangle.shape
    grid = coarse_grid(height, width)
    attributes = np.concatenate([vertices.log_ratio, rig.hair[:, None], 1.0 - rig.bust[:, None]], 1).astype(np.float32)
    anchors = Anchors.empty(grid)
    pair.bands(coarse_anchors, grid, surface, attributes, mesh, anchors)
    turn = Turn.of(skull, after[rig.skull], anchors.depth)

    def outlined() -> Outline:
        if np.abs(before[rig.skull] - after[rig.skull]).max() < STILL:
            return no_outline(height, grid)
        return head_outline(source.clear, surface.triangle, rig, motion_beyond(anchors, turn), vertices.turned)

    outside, outline = pair.both(lambda: extend_motion(anchors, turn), outlined)
    outside[..., 2:] = np.exp(outside[..., 2:])
    around = Around(
        image=source.image,
        foreground=source.foreground,
        motion=outside,
        matte=source.matte,
        decided=source.decided,
        wall=source.wall,
        flesh=source.flesh,
    )
    ratio = np.ascontiguousarray(np.exp(vertices.log_ratio), np.float32)
    moved = Moved.empty(height, width)
    pair.bands(join_motion, height, surface, mesh, ratio, around, outline, moved)
    return moved


def _paint(
    source: PreviewSource, target: View, vertices: _Vertices, lid_motion: FloatArray, lip_motion: FloatArray, grain: FloatArray
) -> Paint:
    """Colours for what the photo does not show: those spread over the mesh, and those of the mirrored points."""
    rig = source.rig
    colours = np.clip(source.colours * target.albedo[rig.paint_region] * vertices.shading, 0.0, 1.0).astype(np.float32)
    twin = source.colours[rig.mirror] * source.view.albedo[rig.paint_region] * source.shading[rig.mirror]
    return Paint(
        colours=colours,
        unpainted=rig.unpainted,
        lids=lid_motion,
        lips=lip_motion,
        twin_pixels=np.ascontiguousarray(vertices.points[rig.mirror, :2]),
        twin_gain=np.clip(colours / np.maximum(twin, 0.02), 0.4, 2.5).astype(np.float32),
        twin_shown=np.asarray(source.shown[rig.mirror] * (1.0 - rig.unpainted + rig.hair), np.float32),
        grain=source.grain,
        grain_pixels=grain,
    )
