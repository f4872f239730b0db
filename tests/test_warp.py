"""The preview against rendered truth, and what it promises for any parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from discontrolface.face.heads.base import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.cameras import project
from discontrolface.geometry.meshes import vertex_normals
from discontrolface.geometry.similarity import Similarity
from discontrolface.render.anchors import Anchors
from discontrolface.render.extend import Turn, extend_motion, pivot
from discontrolface.render.fill import diffuse_over_mesh
from discontrolface.render.membrane import membrane
from discontrolface.render.raster import interpolate, rasterize
from discontrolface.render.rig import EYE, MOUTH, SKIN, TONGUE, PreviewRig
from discontrolface.render.shade import sh_from_direction, sh_shading
from discontrolface.render.warp import Preview, View, render_preview

SIZE = 160


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.open()


@pytest.fixture(scope="module")
def rig(head: HeadModel) -> PreviewRig:
    return PreviewRig.of(head)


@pytest.fixture(scope="module")
def face(head: HeadModel) -> FaceParameters:
    light = sh_from_direction(torch.tensor([0.3, 0.4, 1.0]), 0.55, 0.45).numpy()
    return FaceParameters.default(head).with_(light=light, camera=np.array([6.0, 0.0, 0.04], np.float32))


def view(head: HeadModel, face: FaceParameters) -> View:
    t = face.tensors()
    with torch.no_grad():
        vertices = project(head(t["shape"], t["expression"], t["pose"]).vertices, t["camera"])[0]
    return View(np.ascontiguousarray(vertices.numpy()), face.light, face.albedo)


def texture(head: HeadModel) -> np.ndarray:
    """(V, 3) a smooth pattern on the head at rest."""
    x, y, z = head.template.numpy().T * 90.0
    return np.stack([0.6 + 0.15 * np.sin(x + 0.3 * y), 0.5 + 0.15 * np.sin(y), 0.45 + 0.1 * np.cos(x - y + z)], 1).astype(np.float32)


def picture(head: HeadModel, seen: View, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A photo of the textured head before a plain wall (size, size, 3), and its triangles."""
    raster = rasterize(seen.vertices, head.faces, size, size)
    normals = vertex_normals(torch.from_numpy(seen.vertices), head.faces_tensor)
    shading = sh_shading(normals[None], torch.from_numpy(np.array(seen.light))[None])[0].numpy()
    colours = interpolate(raster, texture(head) * np.maximum(shading, 0.05), head.faces)
    return np.where(raster.mask[..., None], np.clip(colours, 0, 1), np.float32(0.35)).astype(np.float32), raster.triangle


def preview(head: HeadModel, rig: PreviewRig, before: FaceParameters, after: FaceParameters) -> tuple[Preview, np.ndarray, np.ndarray]:
    source, target = view(head, before), view(head, after)
    photo, _ = picture(head, source)
    truth, triangle = picture(head, target)
    return render_preview(photo, source, target, rig), truth, triangle


def test_nothing_edited_nothing_changes(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    photo = np.random.default_rng(0).random((97, 120, 3), np.float32)
    out = render_preview(photo, view(head, face), view(head, face), rig)
    assert np.array_equal(out.image, photo)
    assert not out.mask.any()
    assert not out.flow.any()


@pytest.mark.parametrize(
    "edit",
    [
        {"turn": (15, 0, 0)},
        {"turn": (-15, 0, 0)},
        {"turn": (0, 10, 0)},
        {"turn": (0, -10, 0)},
        {"turn": (0, 0, 15)},
        {"expression": {"smile": 0.8}},
        {"expression": {"browsUp": 1.0}},
        {"expression": {"jawOpen": 0.5}},
        {"light": "left"},
        {"turn": (10, 5, -8), "expression": {"pucker": 0.7}, "light": "top-right"},
    ],
    ids=str,
)
def test_agrees_with_a_rendering_where_the_photo_shows_the_face(
    head: HeadModel, rig: PreviewRig, face: FaceParameters, edit: dict[str, object]
) -> None:
    after = face.edit(**edit)  # type: ignore[arg-type]
    out, truth, triangle = preview(head, rig, face, after)
    photo, _ = picture(head, view(head, face))
    skin = (triangle >= 0) & np.isin(rig.region[rig.faces[triangle]], [0, 1]).all(-1) & (out.visibility > 0.9)
    assert skin.sum() > 0.08 * SIZE * SIZE
    error = np.abs(out.image - truth)[skin]
    # Of 1; the pattern's own amplitude is 0.15. Strong changes of light are limited on purpose.
    assert error.mean() < (0.03 if "light" in edit else 0.01)
    assert error.mean() < 0.6 * np.abs(photo - truth)[skin].mean()


def test_any_parameters_give_a_picture(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    rng = np.random.default_rng(1)
    names = list(face.expression_names)
    for _ in range(8):
        faces = []
        for _ in range(2):
            chosen = {n: float(rng.uniform(0, 1.2)) for n in rng.choice(names, 8, replace=False) if not n.startswith("eyeLook")}
            angles = rng.uniform(-1, 1, 3) * [45, 30, 40]
            light = (face.light + rng.normal(0, 0.5, (9, 3))).astype(np.float32)
            camera = (face.camera * rng.uniform([0.7, 0, 0], [1.6, 1, 1.5])).astype(np.float32)
            shape = rng.normal(0, 1, len(face.shape)).astype(np.float32)
            faces.append(
                face.with_(light=light, camera=camera, shape=shape).edit(
                    expression=chosen, turn=tuple(angles), gaze=tuple(rng.uniform(-20, 20, 2))
                )
            )
        photo = rng.random((72, 96, 3), np.float32)
        out = render_preview(photo, view(head, faces[0]), view(head, faces[1]), rig)
        for value, shape_wanted in ((out.image, (72, 96, 3)), (out.mask, (72, 96)), (out.visibility, (72, 96)), (out.flow, (72, 96, 2))):
            assert value.shape == shape_wanted
            assert value.dtype == np.float32
            assert np.isfinite(value).all()
        assert all(a.min() >= 0 and a.max() <= 1 for a in (out.image, out.mask, out.visibility))
        edge = np.ones((72, 96), bool)
        edge[1:-1, 1:-1] = False
        assert not out.mask[edge].any()
        assert np.array_equal(out.image[out.mask == 0], photo[out.mask == 0])


def test_the_same_input_gives_the_same_picture(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    after = face.edit(turn=(12, 0, 5), expression={"jawOpen": 0.6, "blink": 0.5})
    first, second = (preview(head, rig, face, after)[0] for _ in range(2))
    for a, b in zip(vars(first).values(), vars(second).values(), strict=True):
        assert np.array_equal(a, b)


def test_a_moving_mouth_leaves_forehead_and_picture_corners_alone(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    out, _, _ = preview(head, rig, face, face.edit(expression={"jawOpen": 0.6}))
    assert not out.mask[: SIZE // 4].any()
    assert out.mask[SIZE // 2 : SIZE * 3 // 4, SIZE * 2 // 5 : SIZE * 3 // 5].max() == 1


def test_the_map_does_not_fold_beside_a_turning_head(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    for turn in ((25, 0, 0), (-25, 0, 0), (0, 15, 0), (0, 0, 20)):
        out, _, triangle = preview(head, rig, face, face.edit(turn=turn))
        off = triangle < 0
        x = np.arange(SIZE) + out.flow[..., 0]
        y = np.arange(SIZE)[:, None] + out.flow[..., 1]
        steps = np.concatenate([np.diff(x, axis=1)[off[:, 1:] & off[:, :-1]], np.diff(y, axis=0)[off[1:] & off[:-1]]])
        # The covered side of the outline is a cut (colours are blended across it); but for single pixels at the ears it only jumps outwards.
        assert (steps < -0.02).mean() < 0.001


def test_a_turning_cheek_covers_what_lies_beside_it(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    """On the side that the face turns to, the wall close to the cheek stays where it was; it is not pushed along."""
    out, _, triangle = preview(head, rig, face, face.edit(turn=(20, 0, 0)))
    cheek = triangle[SIZE * 6 // 10]
    edge = int(np.flatnonzero(cheek >= 0).max())  # the outline on the image's right, below the ear
    moved = np.abs(out.flow[SIZE * 6 // 10, :, 0])
    assert moved[edge - 6] > 6
    assert moved[edge + 8] < 0.5 * moved[edge - 6]


def test_a_head_that_turns_leaves_no_copy_behind(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    """Off the head in the truth, the wall is seen; nothing of the head's bright skin stays there but a narrow band along the outline."""
    out, truth, triangle = preview(head, rig, face, face.edit(turn=(0, 0, 15)))
    wrong = (np.abs(out.image - truth).max(-1) > 0.15) & (triangle < 0)
    near = np.zeros_like(wrong)
    radius = 4
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            near |= np.roll(triangle >= 0, (dy, dx), (0, 1))
    assert (wrong & ~near).sum() < 0.002 * wrong.size


def test_an_opening_mouth_is_dark_with_bright_teeth(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    after = face.edit(expression={"jawOpen": 0.9})
    out, _, triangle = preview(head, rig, face, after)
    layer = np.where(triangle >= 0, rig.face_layer[triangle], 255)
    skin = out.image[layer == SKIN].mean()
    assert (layer == MOUTH).sum() > 20
    assert out.image[layer == MOUTH].mean() < 0.5 * skin
    inside = (layer >= MOUTH) & (layer <= TONGUE)
    assert out.visibility[inside].mean() < 0.1  # invented, and it says so


def test_teeth_of_the_photo_stay_where_they_are_when_the_jaw_opens(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    """Paint white teeth with a dark mark on them into the photo's open mouth: the mark does not move with the jaw."""
    before = face.edit(expression={"smile": 0.6, "jawOpen": 0.3, "upperLipUp": 0.7})
    after = before.edit(expression={"jawOpen": 0.7})
    source = view(head, before)
    size = 320
    photo, triangle = picture(head, source, size)
    layer = np.where(triangle >= 0, rig.face_layer[triangle], 255)
    rows, columns = np.nonzero((layer >= MOUTH) & (layer <= TONGUE))
    photo[rows, columns] = (0.85, 0.85, 0.83)
    middle = int(np.median(columns))
    column = rows[columns == middle]
    row = int(column.min() + 0.4 * (column.max() - column.min()))
    photo[row - 1 : row + 2, middle - 1 : middle + 2] = (0.62, 0.62, 0.65)
    out = render_preview(photo, source, view(head, after), rig)
    window = out.image[row - 8 : row + 12, middle - 3 : middle + 4].mean(-1)
    bright = window[8, 0]
    assert bright > 0.7
    assert abs(window[8, 3] - 0.63) < 0.08
    assert window[8, 3] < bright - 0.1


def test_a_closing_eye_gets_the_colour_of_the_skin_and_lashes(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    source, target = view(head, face), view(head, face.edit(expression={"blink": 1.0}))
    photo, triangle = picture(head, source)
    eye = (triangle >= 0) & (np.where(triangle >= 0, rig.face_layer[triangle], 255) == EYE)
    photo[eye] = (0.05, 0.1, 0.9)  # a blue eye: none of it may stay
    out = render_preview(photo, source, target, rig)
    seen = out.image[eye]
    assert (seen[:, 2] > seen[:, 0] + 0.15).mean() < 0.05
    rows, columns = np.nonzero(eye)
    around = out.image[rows.min() : rows.max() + 8, columns.min() : columns.max() + 1].mean(-1)
    assert around.min() < 0.3 < np.median(seen.mean(1))  # lashes are dark, the lid is not


def test_gaze_moves_the_iris(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    size = 320
    source = view(head, face)
    photo, triangle = picture(head, source, size)
    eye = np.where(triangle >= 0, rig.face_layer[triangle], 255) == EYE
    photo[eye] = 0.9
    centres = [
        source.vertices[index[source.vertices[index, 2] > np.quantile(source.vertices[index, 2], 0.8)]].mean(0) for index in rig.eyes
    ]
    yy, xx = np.mgrid[:size, :size] + 0.5
    for centre in centres:
        px, py = (centre[0] + 1) / 2 * size, (1 - centre[1]) / 2 * size
        photo[eye & ((xx - px) ** 2 + (yy - py) ** 2 < 5.5**2)] = 0.1
    for gaze in (15.0, -15.0):
        out = render_preview(photo, source, view(head, face.edit(gaze=(gaze, 0))), rig)
        dark = eye & (out.image.mean(-1) < 0.4)
        was = eye & (photo.mean(-1) < 0.4)
        for side in (xx < size / 2, xx > size / 2):
            shift = xx[dark & side].mean() - xx[was & side].mean()
            assert 1.5 < shift * np.sign(gaze) < 9


def test_brighter_light_is_brighter_and_the_wall_stays(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    source = view(head, face)
    photo, triangle = picture(head, source)
    photo = photo * np.float32(0.6)
    out = render_preview(photo, replace(source, light=source.light * 0.6), replace(source, light=source.light * 0.78), rig)
    on = triangle >= 0
    core = on & (np.abs(np.indices(on.shape) - SIZE / 2).max(0) < SIZE * 0.2)
    ratio = out.image[core] / np.maximum(photo[core], 1e-3)
    assert abs(np.median(ratio) - 1.3) < 0.03
    corner = np.s_[: SIZE // 8, : SIZE // 8]
    assert np.array_equal(out.image[corner], photo[corner])


def test_works_on_a_head_without_regions(head: HeadModel, face: FaceParameters) -> None:
    """FLAME has no region labels: skin everywhere, nothing drawn inside."""
    bare = HeadModel(
        template=head.template.numpy(),
        faces=head.faces,
        shape_dirs=head.shape_dirs.reshape(head.shape_count, -1, 3).numpy(),
        expression_dirs=head.expression_dirs.reshape(head.expression_count, -1, 3).numpy(),
        joint_regressor=head.joint_regressor.numpy(),
        weights=head.weights.numpy(),
        parents=head.parents,
        name="bare",
    )
    rig = PreviewRig.of(bare)
    source, target = (
        replace(view(head, f), albedo=np.full((1, 3), 0.6, np.float32))
        for f in (face, face.edit(turn=(15, 0, 0), expression={"smile": 1.0}))
    )
    photo, _ = picture(head, source)
    out = render_preview(photo, source, target, rig)
    assert np.isfinite(out.image).all()
    assert out.mask.max() == 1


def test_wrong_shapes_are_refused(head: HeadModel, rig: PreviewRig, face: FaceParameters) -> None:
    seen = view(head, face)
    with pytest.raises(ValueError, match="picture"):
        render_preview(np.zeros((8, 8, 3), np.float32), seen, seen, rig)
    with pytest.raises(ValueError, match="vertices"):
        render_preview(np.zeros((32, 32, 3), np.float32), replace(seen, vertices=seen.vertices[:10]), seen, rig)


def test_similarity_and_pivot_recover_a_known_motion() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(size=(40, 3))
    angle = 0.4
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    fixed = np.array([0.3, -0.2, 0.7])
    moved = 1.1 * (points - fixed) @ rotation.T + fixed
    found = Similarity.between(points, moved)
    assert np.allclose(found.matrix, 1.1 * rotation)
    assert np.allclose(found(fixed), fixed)
    assert np.allclose(pivot(found, np.zeros(3)), fixed, atol=1e-6)


def test_membrane_is_harmonic_between_its_anchors() -> None:
    """Between two walls held at 1 and 2, without screening, the solution is a straight ramp (away from the zero border)."""
    size = 64
    value, weight = np.zeros((size, size, 1), np.float32), np.zeros((size, size), np.float32)
    value[:, 20], value[:, 40] = 1, 2
    weight[:, 20] = weight[:, 40] = 1e4
    u = membrane(value, weight, np.zeros((size, size), np.float32))[size // 2, 20:41, 0]
    assert np.allclose(u, np.linspace(1, 2, 21), atol=0.07)


def test_motion_off_the_mesh_is_zero_without_motion_and_on_the_border() -> None:
    size = 32
    depth = np.full((size, size), -np.inf, np.float32)
    depth[10:22, 10:22] = 0.2
    weight = np.where(np.isfinite(depth), 20, 0).astype(np.float32)
    anchor = np.zeros((size, size, 5), np.float32)
    anchors = Anchors(value=anchor, weight=weight, depth=depth)
    still = extend_motion(anchors, Turn(skull=Similarity(np.eye(3), np.zeros(3)), floor=0.0, radius=6.0))
    assert not still.any()
    anchor[..., 0] = 0.05
    moved = extend_motion(anchors, Turn(skull=Similarity(np.eye(3), np.array([0.05, 0, 0])), floor=0.0, radius=6.0))
    assert np.abs(moved[16, 16, 0] - 0.05) < 2e-3
    assert np.abs(moved[[0, -1]]).max() < 5e-3
    assert np.abs(moved[:, [0, -1]]).max() < 5e-3


def test_colours_spread_over_the_mesh(rig: PreviewRig) -> None:
    value = np.zeros((len(rig.template), 1), np.float32)
    weight = np.zeros(len(rig.template), np.float32)
    skin = (rig.vertex_layer == SKIN) & (rig.template[:, 2] > 0)
    weight[skin], value[skin] = 1, 0.7
    out = diffuse_over_mesh(value, weight, rig.neighbours, rig.neighbour_start)
    assert np.allclose(out[rig.vertex_layer == SKIN], 0.7, atol=1e-3)
