"""All that the preview reads off the photo and no edit changes: read once, kept for every edit of that photo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from discontrolface.render.bands import Pair
from discontrolface.render.eyes import angle_sums
from discontrolface.render.fill import diffuse_over_mesh
from discontrolface.render.grain import skin_grain
from discontrolface.render.grid import distance_to
from discontrolface.render.lids import lid_tones
from discontrolface.render.matte import PlainWall, decide, foreground, head_matte, plain_wall
from discontrolface.render.motion import OFF
from discontrolface.render.mouth import teeth_shown
from discontrolface.render.openings import bounds, smoothed, soft_mask
from discontrolface.render.outline import head_distance
from discontrolface.render.raster import FloatArray, rasterize, visible_vertices
from discontrolface.render.relight import skin_normals, vertex_shading
from discontrolface.render.rig import EYE, MOUTH, SKIN, TONGUE, PreviewRig
from discontrolface.render.sampling import shrink
from discontrolface.render.smooth_wall import SmoothWall, smooth_wall
from discontrolface.render.smoothstep import smoothstep
from discontrolface.render.surface import Surface
from discontrolface.render.trust import near_occluder
from discontrolface.render.uncovered import hair_colour, scalp, to_wall

CELL = 4  # pixels: the side of a cell of the coarse grid for the motion off the mesh (larger where the grid would exceed 128 cells)
LASHES = 0.011  # half the length of lashes / side of the picture


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
class PreviewSource:
    """A photo, read for previews (`prepare_source`): about 40 bytes a pixel.

    image: (H, W, 3) the photo, view: the head in it, rig: of its head model. vertices: (V, 3) those of the view, float32.
    normals, shading: (V, 3). depth: (H, W) ndc, -inf off the mesh. layer: (H, W) uint8, OFF off the mesh. shadowed: see `near_occluder`.
    upper_teeth, lower_teeth, not_lips: (H, W), see `mouth.teeth_shown`. teeth_colour: (3,) of the teeth the photo shows, None if it does not.
    false_gape: where the photo shows closed lips, how far the mesh opens them all the same (area / squared width of the mouth); None: open.
    matte: (G, G), see `matte.head_matte`; foreground: (G, G, 3), see `matte.foreground`. decided: (H, W), see `matte.decide`; (0, 0) where the
    colours decide nothing. plain: see `matte.PlainWall`.
    wall, flesh: (G, G, 2), (G, G), see `uncovered.to_wall`.
    clear: pixels from the head, see `outline.Outline`. mouth, eyes: (H, W) soft masks of the openings. iris: see `eyes.angle_sums`.
    lashes: (H, W) 1 on the eyes, falling to 0 over the lashes around. grain: see `skin_grain`.
    colours: (V, 3) the photo over albedo times shading, spread over the mesh; shown: (V,) 0..1 how well the photo shows a vertex.
    """

    image: FloatArray
    view: View
    rig: PreviewRig
    vertices: FloatArray
    normals: FloatArray
    shading: FloatArray
    depth: FloatArray
    layer: np.ndarray
    shadowed: np.ndarray
    upper_teeth: FloatArray
    lower_teeth: FloatArray
    not_lips: FloatArray
    teeth_colour: FloatArray | None
    false_gape: float | None
    matte: FloatArray
    foreground: FloatArray
    decided: FloatArray
    plain: PlainWall
    clear: FloatArray
    wall: FloatArray
    flesh: FloatArray
    mouth: FloatArray
    eyes: FloatArray
    iris: tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
    lashes: FloatArray
    grain: FloatArray
    colours: FloatArray
    shown: FloatArray

    @cached_property
    def smooth_wall(self) -> SmoothWall | None:
        """See `smooth_wall.smooth_wall`; found when it is first asked for."""
        return smooth_wall(self.image, self.matte, self.foreground, self.depth)


def prepare_source(image: FloatArray, view: View, rig: PreviewRig) -> PreviewSource:
    """Read a photo for previews. image: (H, W, 3) float32 in [0, 1], the crop that `view` describes, any size from 16 pixels a side; it is
    kept, not copied, so do not change it. Raises ValueError for wrong shapes."""
    image = checked_image(image)
    check_view(view, rig)
    height, width = image.shape[:2]
    vertices = np.ascontiguousarray(view.vertices, np.float32)
    with Pair(height) as pair:
        raster, normals = pair.both(lambda: rasterize(vertices, rig.faces, height, width), lambda: skin_normals(vertices, rig))
    shading = vertex_shading(normals, view.light)
    layer = np.where(raster.triangle >= 0, rig.face_layer[raster.triangle], np.uint8(OFF))
    shadowed = near_occluder(raster.depth, outline_margin(height))
    tones = _face_tones(image, layer, vertices, normals, rig)
    upper_teeth, lower_teeth, not_lips = _teeth_shown(image, layer, tones)
    mouth = (layer >= MOUTH) & (layer <= TONGUE)
    lips = np.flatnonzero(rig.lips)
    wide = max(float(np.ptp(vertices[lips, 0])) * 0.5 * width, 1.0) if len(lips) else 1.0
    teeth_colour = _teeth_colour(image, upper_teeth, tones, wide)
    false_gape = None
    if teeth_colour is None and not _really_open(mouth, not_lips, wide):
        false_gape = float(mouth.sum()) / wide**2
        upper_teeth, lower_teeth, mouth = np.zeros_like(upper_teeth), np.zeros_like(lower_teeth), np.zeros_like(mouth)
    cells = _cells(image, coarse_grid(height, width))
    matte, own, other = _matte(cells, raster.triangle, rig)
    colours, shown = _vertex_colours(image, vertices, raster.depth, normals, shading, view.albedo, shadowed, not_lips, matte, rig)
    wall, flesh = to_wall(matte, raster.triangle, rig)
    radius = max(1, round(height / 256))
    eyes = soft_mask(layer == EYE, radius)
    surface = Surface.of(raster, rig.faces)
    iris = tuple(angle_sums(image, surface, eyes, *rig.eye_axes, eye) for eye in (1, 2))
    return PreviewSource(
        image=image,
        view=view,
        rig=rig,
        vertices=vertices,
        normals=normals,
        shading=shading,
        depth=raster.depth,
        layer=layer,
        shadowed=shadowed,
        upper_teeth=upper_teeth,
        lower_teeth=lower_teeth,
        not_lips=not_lips,
        teeth_colour=teeth_colour,
        false_gape=false_gape,
        matte=matte,
        foreground=foreground(cells, matte),
        decided=decide(image, matte, own, other),
        plain=plain_wall(image, other, raster.triangle >= 0),
        clear=head_distance(raster.triangle, rig.head_faces),
        wall=wall,
        flesh=flesh,
        mouth=soft_mask(mouth, radius),
        eyes=eyes,
        iris=(iris[0], iris[1]),
        lashes=np.minimum(2.0 * soft_mask(layer == EYE, max(1, round(LASHES * height))), 1.0, dtype=np.float32),
        grain=skin_grain(image, vertices, rig),
        colours=colours,
        shown=shown,
    )


def checked_image(image: FloatArray) -> FloatArray:
    """The picture as contiguous float32. ValueError unless it is (H, W, 3) with at least 16 pixels a side."""
    image = np.ascontiguousarray(image, np.float32)
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 16:
        raise ValueError(f"the picture must be (H, W, 3) with at least 16 pixels a side, not {image.shape}")
    return image


def check_view(view: View, rig: PreviewRig) -> None:
    """ValueError unless the view is of the rig's head model."""
    if view.vertices.shape != rig.template.shape:
        raise ValueError(f"a view of this head has vertices {rig.template.shape}, not {view.vertices.shape}")


def coarse_grid(height: int, width: int) -> int:
    """Cells a side of the coarse grid for the motion off the mesh."""
    return 1 << int(np.clip(np.ceil(np.log2(max(height, width) / CELL)), 4, 7))


def outline_margin(height: int) -> int:
    """Pixels by which the outline of a fitted surface may be wrong."""
    return max(1, round(0.008 * height))


def to_pixels(vertices: FloatArray, height: int, width: int) -> FloatArray:
    """(V, 3) ndc to continuous pixels (V, 2): (0, 0) is the picture's top-left corner."""
    out = np.empty((len(vertices), 2), np.float32)
    out[:, 0] = (vertices[:, 0] + 1.0) * (0.5 * width)
    out[:, 1] = (1.0 - vertices[:, 1]) * (0.5 * height)
    return out


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
    points = to_pixels(vertices, *small.shape[:2]) - 0.5
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
    weight = rig.skin_trust * lip * smoothstep((normals[:, 2] - 0.15) / 0.3) * ~shadowed[fy, fx]
    cells = len(matte)
    weight = weight * matte[y * cells // small.shape[0], x * cells // small.shape[1]] ** 4
    weight = (weight * visible_vertices(depth, vertices, 0.02) * (rig.vertex_layer == SKIN)).astype(np.float32)
    value = small[y, x] / np.maximum(albedo[rig.paint_region] * shading, 0.02)
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
    hair = hair_colour(value, shown, normals, rig)
    if hair is not None:
        unseen = scalp(rig) & (weight < 0.05)
        value = np.where(unseen[:, None], hair, value)
        weight = np.where(unseen, 0.6, weight).astype(np.float32)
    return lid_tones(diffuse_over_mesh(value.astype(np.float32), weight, rig.neighbours, rig.neighbour_start), shown, rig), shown


def _cells(image: FloatArray, grid: int) -> FloatArray:
    """(grid, grid, 3) the photo averaged over blocks, looked up in the middle of each cell of the coarse grid."""
    height, width = image.shape[:2]
    small = shrink(image, max(1, min(height, width) // grid))
    rows, columns = ((np.arange(grid) * 2 + 1) * side // (2 * grid) for side in small.shape[:2])
    return np.ascontiguousarray(small[rows][:, columns])


def _matte(cells: FloatArray, triangle: np.ndarray, rig: PreviewRig) -> tuple[FloatArray, FloatArray, FloatArray]:
    """`head_matte` of the photo on the coarse grid."""
    grid = len(cells)
    rows, columns = ((np.arange(grid) * 2 + 1) * side // (2 * grid) for side in triangle.shape)
    on_head = np.append(rig.bust[rig.faces].mean(1) < 0.5, False)
    shown = triangle[rows][:, columns]
    head, scalp = on_head[shown], np.append(rig.scalp_faces, False)[shown]
    return head_matte(cells, head, scalp, distance_to(head), distance_to(~head), float(np.sqrt(max(head.sum(), 4) / np.pi)))


class _FaceTones(NamedTuple):
    """What teeth are compared with. skin: (3,) the median of the front of the face; None where the picture does not show it. white: brightness of the
    white of the eyes, 0 where they are not shown."""

    skin: FloatArray | None
    white: np.float32


def _face_tones(image: FloatArray, layer: np.ndarray, vertices: FloatArray, normals: FloatArray, rig: PreviewRig) -> _FaceTones:
    height, width = layer.shape
    points = to_pixels(vertices, height, width).astype(int)
    inside = (points >= 0).all(1) & (points[:, 0] < width) & (points[:, 1] < height)
    front = (rig.region == rig.region.min()) & (normals[:, 2] > 0.6) & inside & (rig.template[:, 2] > 0)
    eye = image[layer == EYE].mean(1)
    return _FaceTones(
        skin=np.maximum(np.median(image[points[front, 1], points[front, 0]], axis=0), 0.02).astype(np.float32) if front.any() else None,
        white=np.float32(np.quantile(eye, 0.95) if len(eye) > 20 else 0.0),
    )


def _teeth_shown(image: FloatArray, layer: np.ndarray, tones: _FaceTones) -> tuple[FloatArray, FloatArray, FloatArray]:
    """`teeth_shown` for the photo."""
    opening = (layer >= MOUTH) & (layer <= TONGUE) & (tones.skin is not None)
    cover = soft_mask(opening, max(1, round(0.006 * len(layer))))
    skin = np.ones(3, np.float32) if tones.skin is None else tones.skin
    upper, lower, not_lips = teeth_shown(image, cover, layer, skin, tones.white)
    return smoothed(upper), smoothed(lower), not_lips


def _really_open(mouth: np.ndarray, not_lips: FloatArray, wide: float) -> bool:
    """Whether the photo shows the inside of a mouth where the mesh has it open, (H, W) bool: a fit opens many a mouth that is closed by a few pixels,
    and what the photo shows there is lips. wide: pixels from corner to corner."""
    area = int(mouth.sum())
    return area > 0.02 * wide**2 and float((not_lips[mouth] > 0.3).mean()) > 0.3


def _teeth_colour(image: FloatArray, upper_teeth: FloatArray, tones: _FaceTones, wide: float) -> FloatArray | None:
    """(3,) the median of the upper teeth; None where the photo shows too few pixels of them, or what was found is as red as skin or too dark (the
    shine of lips). wide: pixels from corner to corner of the mouth."""
    box = bounds(upper_teeth > 0.6, 0)
    if box is None or tones.skin is None:
        return None
    window = (slice(box.top, box.bottom), slice(box.left, box.right))
    colours = image[window][upper_teeth[window] > 0.6]
    if len(colours) <= 0.006 * wide**2:
        return None
    colour = np.asarray(np.median(colours, axis=0), np.float32)
    red = colour[1] / max(colour[0], 0.02) <= tones.skin[1] / tones.skin[0]
    return None if red or colour.mean() < 0.68 * tones.white else colour
