"""What a far turn uncovers: painted in the shape of the head, against drawn people whose true picture is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from discontrolface.face.geometry import Geometry
from discontrolface.face.heads.base import HeadModel
from discontrolface.geometry.similarity import Similarity
from discontrolface.render.raster import rasterize
from discontrolface.render.rig import PreviewRig
from discontrolface.render.uncovered import depth_inside, hair_colour, scalp, to_wall, turned
from discontrolface.render.warp import prepare_source, preview_of
from discontrolface.synthetic.portraits import make_scene, random_parameters, render_scene

SIZE = 256
WALL = np.array([0.1, 0.9, 0.1], np.float32)  # a colour that nobody has


@pytest.fixture(scope="module")
def geometry() -> Geometry:
    return Geometry(HeadModel.open())


def rotation(degrees: float) -> Similarity:
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    return Similarity(matrix, np.zeros(3))


@pytest.mark.parametrize(("degrees", "share"), [(0, 0.0), (-19, 0.0), (24.5, 1.0), (-60, 1.0)])
def test_only_far_turns_are_painted(degrees: float, share: float) -> None:
    assert turned(rotation(degrees)) == share


@pytest.mark.parametrize("yaw", [-40, 40])
@pytest.mark.parametrize("seed", [1000001, 1000004, 1000006])
def test_no_wall_is_seen_through_the_head(geometry: Geometry, seed: int, yaw: float) -> None:
    """The head's mesh is filled with the person, and the hidden part of it is nearer to the true picture than one even colour is."""
    scene = make_scene(seed)
    source = random_parameters(scene, np.random.default_rng(seed)).edit(neutral=True, yaw=0, pitch=0, roll=0, gaze=(0, 0))
    target = source.edit(yaw=yaw)
    portraits = [render_scene(scene, parameters, SIZE) for parameters in (source, target)]
    pictures = []
    for portrait in portraits:
        cover = np.clip(1.0 - portrait.masks["background"], 0, 1)[..., None].astype(np.float32)
        pictures.append((cover * portrait.image + (1 - cover) * WALL).astype(np.float32))
    view = geometry.view(target)
    out = preview_of(prepare_source(pictures[0], geometry.view(source), geometry.rig), view)
    rig = geometry.rig
    mesh = rasterize(np.ascontiguousarray(view.vertices, np.float32), rig.faces, SIZE, SIZE).triangle
    inside = binary_erosion((mesh >= 0) & rig.head_faces[mesh], iterations=6)
    green = out.image[..., 1] - out.image[..., [0, 2]].max(-1)
    assert (green[inside] > 0.3).mean() < 0.005
    hidden = inside & (out.visibility < 0.05)
    assert hidden.mean() > 0.01
    errors = np.square(out.image - pictures[1])[hidden].mean()
    assert errors < 0.7 * np.square(pictures[1][hidden] - np.median(pictures[0][pictures[0][..., 1] < 0.8], axis=0)).mean()


@pytest.mark.parametrize("side", [-1, 1])
def test_nothing_is_half_painted(geometry: Geometry, side: int) -> None:
    """Where painting begins, no wall is seen through the paint: as few mixtures of the two as at 19 degrees, where nothing is painted (with paint
    that faded in there were two to five times as many)."""

    def mixtures(yaw: float) -> float:
        share = 0.0
        for seed in (1000001, 1000004, 1000006):
            scene = make_scene(seed)
            source = random_parameters(scene, np.random.default_rng(seed)).edit(neutral=True, yaw=0, pitch=0, roll=0, gaze=(0, 0))
            portrait = render_scene(scene, source, SIZE)
            cover = np.clip(1.0 - portrait.masks["background"], 0, 1)[..., None].astype(np.float32)
            picture = (cover * portrait.image + (1 - cover) * WALL).astype(np.float32)
            view = geometry.view(source.edit(yaw=yaw))
            out = preview_of(prepare_source(picture, geometry.view(source), geometry.rig), view)
            mesh = rasterize(np.ascontiguousarray(view.vertices, np.float32), geometry.rig.faces, SIZE, SIZE).triangle
            green = out.image[..., 1] - out.image[..., [0, 2]].max(-1)
            share += ((green > 0.15) & (green < 0.65))[binary_erosion(mesh >= 0, iterations=3)].mean()
        return share / 3

    unpainted = mixtures(side * 19)
    assert max(mixtures(side * yaw) for yaw in (21, 22)) < 1.2 * unpainted


def colours(rig: PreviewRig, hair: float, skin: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    value = np.where(scalp(rig)[:, None], hair, skin).astype(np.float32) * np.ones(3, np.float32)
    normals = np.zeros((len(value), 3), np.float32)
    return value, np.ones(len(value), np.float32), normals


def test_hair_has_the_colour_of_the_sides(geometry: Geometry) -> None:
    rig = geometry.rig
    value, shown, normals = colours(rig, 0.2, 0.7)
    front = np.flatnonzero(scalp(rig))[::3]
    value[front], normals[front, 2] = 0.9, 1.0  # shine on the crown
    assert hair_colour(value, shown, normals, rig) == pytest.approx(0.2)
    receding = np.flatnonzero(scalp(rig))[1::3]
    value[receding] = 0.7
    value[np.flatnonzero(scalp(rig))[4::6]] = 0.7  # most of the sides are bald
    assert hair_colour(value, shown, normals, rig) == pytest.approx(0.2)
    bald, shown, normals = colours(rig, 0.7, 0.7)
    assert hair_colour(bald, shown, normals, rig) == pytest.approx(0.7)
    assert hair_colour(bald, np.zeros_like(shown), normals, rig) is None


def test_the_way_to_the_wall(geometry: Geometry) -> None:
    grid = 16
    matte = np.ones((grid, grid), np.float32)
    matte[:, 12:] = 0
    offset, flesh = to_wall(matte, np.full((64, 64), -1, np.int32), geometry.rig)
    assert offset[5, 4] == pytest.approx([8 * 2 / grid, 0])
    assert (offset[:, 12:] == 0).all()
    assert (flesh == 0).all()
    assert (to_wall(np.ones_like(matte), np.full((64, 64), -1, np.int32), geometry.rig)[0] == 0).all()


def test_the_mesh_goes_on_below_the_picture() -> None:
    shown = np.zeros((20, 20), bool)
    shown[5:, 5:15] = True
    depth = depth_inside(shown)
    assert depth[-1, 10] == pytest.approx(5, abs=0.6)
    assert depth[0, 0] == 0
