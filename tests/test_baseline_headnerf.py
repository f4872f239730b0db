"""HeadNeRF as a method: its fitting against figures of the official functions, its face model's files, edits with random weights."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.flame_person import flame_person
from helpers.goldens import golden_input, load_golden
from helpers.official_recipe import recipe_tensor
from helpers.peer_files import ROWS, face_photo, nl_files, small_face
from scipy.spatial import Delaunay
from torch import Tensor

from discontrolface import Editor
from discontrolface.baselines.headnerf_face import CAMERA_WEIGHT, FaceFit, euler, face_loss, fit_face, fit_landmarks, landmark_loss
from discontrolface.baselines.headnerf_face import SIZE as FACE_SIZE
from discontrolface.baselines.headnerf_fit import SMALL, HeadFit, fit_photo, fitting_loss
from discontrolface.baselines.headnerf_light import from_headnerf_light, to_headnerf_light
from discontrolface.baselines.headnerf_method import HeadNerfMethod, head_mask, headnerf_method, landmarks
from discontrolface.baselines.headnerf_picture import drawn
from discontrolface.common.errors import UserError
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.method import MethodContext
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import PreparedEdit, prepare
from discontrolface.face.landmark_sets import IBUG_68
from discontrolface.geometry.rotations import head_rotation
from discontrolface.nets.headnerf import HeadImages, HeadNeRF
from discontrolface.nets.nl3dmm import INNER, JAW, NL3DMM
from discontrolface.nets.vgg16 import Vgg16, vgg16
from discontrolface.render.shade import sh_shading
from discontrolface.weights.assets import import_asset
from discontrolface.weights.headnerf import official_key
from discontrolface.weights.nl3dmm import import_nl3dmm
from discontrolface.weights.vgg16 import import_vgg16

SIZE = 32
PER_METRE = 10.0  # HeadNeRF's world is in decimetres


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_golden("peers")


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return flame_person(tmp_path_factory.mktemp("flame"), SIZE)


@pytest.fixture(scope="module")
def face(person: Person) -> NL3DMM:
    """A face model whose mean is the person's head from the front, and whose codes move all points at random."""
    torch.manual_seed(0)
    points = person.geometry.head(torch.zeros(1, person.parameters.shape.size)).landmarks_3d[0]
    points = points if len(points) == 68 else points[list(IBUG_68)]
    points = (points - points.mean(0)) * PER_METRE
    jaw = torch.stack([points[:JAW], points[:JAW] + torch.tensor([0.0, 0.0, -0.4])], 1)  # of each the second lies further back
    vertices = torch.cat([jaw.flatten(0, 1), points[JAW:]])
    triangles = torch.from_numpy(Delaunay(vertices[:, :2].numpy()).simplices).long()
    model = NL3DMM(11, 79, 13, 16, len(vertices), len(triangles), 1, candidates=2).eval().requires_grad_(False)
    model.vertices.bias.copy_(100 * vertices.flatten())
    model.vertices.weight.mul_(20)
    model.colours.bias.fill_(128)
    model.triangles.copy_(triangles)
    for number, triangle in enumerate(triangles):
        model.around[triangle, 0] = number  # of a jaw point's two vertices one is in no triangle
    model.landmark_vertices.copy_(torch.arange(len(vertices)))
    return model


@pytest.fixture(scope="module")
def network() -> HeadNeRF:
    torch.manual_seed(1)
    nerf = HeadNeRF(4, (8, 8, 8), 90, 40, 16, samples=16).eval().requires_grad_(False)
    nerf.field.density.bias.fill_(0.3)
    nerf.renderer.background.zero_()
    for layer in nerf.renderer.to_rgb:
        layer.weight.mul_(8)
    return nerf


@pytest.fixture(scope="module")
def edit(person: Person) -> PreparedEdit:
    target = person.parameters.edit(expression={"jawOpen": 0.8}, yaw=12, light="left")
    return prepare(person, target, SIZE, ("normals",))


# ---- the fitting


def test_losses_and_angles_are_the_official_ones(golden: dict[str, Tensor]) -> None:
    picture, background, photo = (golden_input(f"fit.{name}", (1, 3, 16, 16)) / 2 + 0.5 for name in ("merge", "bg", "photo"))
    head = golden_input("fit.mask", (1, 1, 16, 16)) / 2 + 0.5 >= 0.5
    named = {
        "identity": ("iden", 100),
        "expression": ("expr", 79),
        "appearance": ("appea", 127),
        "angles": ("euler", 3),
        "shift": ("tvec", 3),
    }
    loss = fitting_loss(HeadImages(picture, background), photo, head)
    for name, (official, count) in named.items():
        loss = loss + SMALL[name] * golden_input(f"fit.{official}", (1, count)).square().mean()
    assert float(loss) == pytest.approx(float(golden["fit.loss"]), abs=1e-5)
    points, other = (golden_input(f"fit.{name}", (68, 2), 100.0) for name in ("points", "other"))
    assert float(landmark_loss(points, other)) == pytest.approx(float(golden["fit.landmark_loss"]), rel=1e-5)
    torch.testing.assert_close(euler(golden_input("fit.euler", (1, 3))), golden["fit.euler"], atol=1e-6, rtol=0)


def test_light_shades_as_ours_does(golden: dict[str, Tensor]) -> None:
    """By the official shading of a code, which its inverse turns into a light of ours."""
    normals = torch.nn.functional.normalize(golden_input("fit.normals", (1, 40, 3)), dim=-1)
    code = golden_input("fit.light", (1, 27))
    light = from_headnerf_light(code)
    torch.testing.assert_close(sh_shading(normals, light), golden["fit.shading"], atol=1e-5, rtol=0)
    torch.testing.assert_close(to_headnerf_light(light[0].numpy()), code, atol=1e-6, rtol=0)


def test_a_jaw_point_is_its_outermost_vertex() -> None:
    model = NL3DMM(4, 4, 4, 4, vertices=JAW * 3 + INNER, triangles=1, candidates=3)
    seen = torch.zeros(1, JAW * 3 + INNER, 3)
    rows = seen[:, : JAW * 3].view(1, JAW, 3, 3)
    for point in range(JAW):
        axis, best = (1, 5.0) if point == 8 else (0, -5.0 if point < 8 else 5.0)
        rows[0, point, point % 3, axis] = best
        rows[0, point, point % 3, 2] = point + 1  # marks it
    seen[0, JAW * 3 :, 2] = torch.arange(INNER) + 100
    found = model.landmarks(seen)
    assert found[0, :, 2].tolist() == [*range(1, JAW + 1), *range(100, 100 + INNER)]


def test_the_first_step_is_the_official_one(golden: dict[str, Tensor]) -> None:
    """Five iterations of the camera, ten of all, on a small face model: colours, landmarks, codes and skin pull as officially."""
    model, (points, photo) = small_face(), face_photo()
    start = FaceFit.start(model)
    mean = model(start.identity, start.expression), model.albedo(start.texture)
    begun = face_loss(start, model, points, photo[0].permute(1, 2, 0), CAMERA_WEIGHT, *mean)
    assert float(begun) == pytest.approx(float(golden["face.losses"][0]), rel=1e-5)
    found, before = (fit_face(model, points, photo, (5, count)) for count in (10, 9))
    for name in ("identity", "expression", "texture", "light"):
        torch.testing.assert_close(getattr(found, name)[0], golden[f"face.{name}"], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.to_camera()[1][0, :, 0], golden["face.place"], atol=1e-5, rtol=0)
    # the official rotation that is kept is the one that the last iteration began with
    torch.testing.assert_close(before.to_camera()[0][0], golden["face.rotation"], atol=1e-5, rtol=0)


def test_a_drawn_triangle_is_seen_in_perspective() -> None:
    """Against the ray through each pixel; gradients reach the corners."""
    space = torch.tensor([[-1.0, -0.8, 4.0], [1.2, -0.5, 7.0], [0.1, 1.1, 5.0]])
    points = (20 * space[:, :2] / space[:, 2:] + 16).requires_grad_()
    colours, shown = drawn(points, space[:, 2], space, torch.tensor([[0, 1, 2]]), 32)
    row, column = shown.nonzero(as_tuple=True)
    assert len(row) > 20
    rays = torch.stack([(column + 0.5 - 16) / 20, (row + 0.5 - 16) / 20, torch.ones(len(row))], 1)
    torch.testing.assert_close(colours[:, :2] / colours[:, 2:], rays[:, :2], atol=1e-4, rtol=0)
    normal = torch.linalg.cross(space[1] - space[0], space[2] - space[0])
    torch.testing.assert_close((colours - space[0]) @ normal, torch.zeros(len(row)), atol=1e-3, rtol=0)
    (gradient,) = torch.autograd.grad(colours.sum(), points)
    assert gradient.abs().min() > 0


def test_the_perceptual_loss_is_the_official_one(golden: dict[str, Tensor], tmp_path: Path) -> None:
    """From a file with torchvision's keys, classifier and all."""
    with torch.device("meta"):
        shapes = {f"features.{key}": value.shape for key, value in vgg16()[0].state_dict().items()}
    state = {key: recipe_tensor(key, tuple(shape)) for key, shape in shapes.items()} | {"classifier.6.bias": torch.zeros(1000)}
    status = import_asset(written(state, tmp_path / "vgg16.pth"), tmp_path / "assets")
    assert (status.state, status.asset.key) == ("ok", "vgg16")
    network = Vgg16.from_pretrained(status.path)
    a, b = (golden_input(f"vgg.{name}", (1, 3, 96, 96)) / 2 + 0.5 for name in "ab")
    with torch.no_grad():
        assert float(network.distance(a, network(b))) == pytest.approx(float(golden["vgg.loss"]), abs=1e-5)
    with pytest.raises(UserError, match="wrong shapes"):
        import_vgg16({**state, "features.5.weight": torch.zeros(3)})
    with pytest.raises(UserError, match="is not torchvision's VGG-16"):
        import_vgg16({"a": torch.ones(1)})
    del state["features.7.bias"]
    with pytest.raises(UserError, match=r"missing \['features.7.bias'\]"):
        import_vgg16(state)


def written(state: dict[str, Tensor], path: Path) -> Path:
    torch.save(state, path)
    return path


def test_landmarks_are_met(face: NL3DMM) -> None:
    """Pose and codes behind known landmarks are found; the same person elsewhere keeps the identity."""
    start = FaceFit.start(face)
    codes = {"identity": golden_input("nl.identity", (1, 11)), "expression": golden_input("nl.expression", (1, 79))}
    true = replace(start, **codes, angles=torch.tensor([[0.1, -0.25, 0.05]]), shift=torch.tensor([[0.1, -0.1, 0.3]]))
    points = true.landmarks(face)[0]
    far = (start.landmarks(face)[0] - points).norm(dim=1).mean()
    found = fit_face(face, points, torch.full((1, 3, FACE_SIZE, FACE_SIZE), 0.5))
    assert far > 8
    assert (found.landmarks(face)[0] - points).norm(dim=1).mean() < 1.5
    assert (found.angles - true.angles).abs().max() < 0.1
    moved = replace(true, angles=torch.tensor([[0.1, 0.2, 0.05]]), expression=0.4 * true.expression)
    again = fit_landmarks(face, moved.landmarks(face)[0], found)
    assert torch.equal(again.identity, found.identity)
    assert (again.landmarks(face) - moved.landmarks(face)).norm(dim=2).mean() < 2
    assert (again.angles - moved.angles).abs().max() < 0.1
    assert not again.angles.requires_grad


def test_cameras_agree_with_the_landmarks(face: NL3DMM) -> None:
    """The camera that HeadNeRF gets sees a point of the world where the landmark fit projects it."""
    fit = replace(FaceFit.start(face), angles=torch.tensor([[0.1, 0.3, -0.2]]), shift=torch.tensor([[0.2, 0.1, 0.5]]))
    rotation, place, inverse = fit.camera(64)
    pixel = fit.landmarks(face)[0, 30] / 256 * 64
    direction = rotation[0] @ inverse[0] @ torch.tensor([*pixel.tolist(), 1.0])
    to_camera, shift = fit.to_camera()
    model = face(fit.identity, fit.expression)[:, face.landmark_vertices]
    point = face.landmarks(model @ to_camera.mT + shift.mT)[0, 30] @ to_camera[0] - (to_camera[0].T @ shift[0, :, 0])
    towards = point - place[0, :, 0]
    assert torch.nn.functional.cosine_similarity(direction, towards, dim=0) > 0.999999


def test_a_photo_is_fitted(network: HeadNeRF, face: NL3DMM) -> None:
    """A picture that the network made itself with other codes: its loss falls."""
    start = FaceFit.start(face)
    begun = HeadFit.of(network, start)
    other = replace(begun, appearance=golden_input("nl.appearance", (1, 40), 3.0), identity=golden_input("nl.offset", (1, 11)))
    with torch.no_grad():
        photo = other.images(network).merge_img
    head = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    head[..., 3:13, 3:13] = True

    def off(fit: HeadFit) -> float:
        with torch.no_grad():
            return float(((fit.images(network).merge_img - photo).square() * head).mean())

    found = fit_photo(network, start, photo, head, 40)
    assert off(found) < 0.5 * off(begun)
    assert off(fit_photo(network, start, photo, head, 0)) == off(begun)
    assert torch.equal(found.appearance, fit_photo(network, start, photo, head, 40).appearance)
    vgg = Vgg16(((4, 1), (4, 1))).eval().requires_grad_(False)
    other = fit_photo(network, start, photo, head, 2, vgg)
    assert not torch.equal(other.appearance, fit_photo(network, start, photo, head, 2).appearance)


# ---- edits


def test_landmarks_follow_the_target(person: Person, edit: PreparedEdit) -> None:
    own, target = landmarks(person, person.parameters), landmarks(person, edit.target)
    found = person.crop.to_crop(person.landmarks.points[:, :2]) * (256 / SIZE)
    found = found if len(found) == 68 else found[list(IBUG_68)]
    assert np.abs(own.numpy() - found).max() < 1e-3
    assert (target - own)[30, 0] > 3, "the nose goes to the right"
    assert (target - own)[57, 1] > (target - own)[51, 1], "the lower lip goes down"
    mask = head_mask(person, 64)
    assert mask.shape == (1, 1, 64, 64)
    assert 0.1 < mask.float().mean() < 0.9
    nose = (own[30] / 4).long()
    assert mask[0, 0, nose[1], nose[0]]


def test_edits_end_to_end(network: HeadNeRF, face: NL3DMM, edit: PreparedEdit, tmp_path: Path) -> None:
    """From a file as the authors wrote it, imported, to pictures; pose, expression and light are each seen; a photo is fitted once."""
    state = {official_key(key): value for key, value in network.state_dict().items()}
    torch.save({"net": state, "para": {"featmap_size": 4, "featmap_nc": 8, "pred_img_size": 16}}, tmp_path / "model.pth")
    status = import_asset(tmp_path / "model.pth", tmp_path / "assets")
    assert (status.state, status.asset.key) == ("ok", "headnerf")
    context = MethodContext(Editor.load("open"), Sampling(), {"headnerf": status.path})
    face.save_pretrained(tmp_path / "assets" / "nl3dmm")
    made = headnerf_method(context)
    assert isinstance(made, HeadNerfMethod)
    assert made.network.config["samples"] == 64
    method = HeadNerfMethod(network, made.face, iterations=3, face_steps=(10, 20))
    own = edit.person.parameters
    changes: tuple[dict[str, Any], ...] = ({}, {"yaw": 15}, {"expression": {"jawOpen": 0.9}}, {"light": "left"})
    edits = [replace(edit, target=own.edit(**change)) for change in changes]
    pictures = method(edits)
    assert len({p.tobytes() for p in pictures}) == 4
    assert all((p.shape, p.dtype) == ((SIZE, SIZE, 3), np.uint8) for p in pictures)
    assert np.array_equal(method(edits[1:2])[0], pictures[1])
    assert method.fit(edits[0]) is method.fit(edits[1])
    turned = fit_landmarks(method.face, landmarks(edit.person, edits[1].target), method.fit(edit).start)
    rotation, before = turned.to_camera()[0][0], method.fit(edit).start.to_camera()[0][0]
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    turn = flip @ rotation @ before.T @ flip
    asked = torch.from_numpy(head_rotation(15, own.pitch, own.roll) @ own.head_rotation.T).float()
    assert (turn.T @ asked).diagonal().sum() > 1 + 2 * np.cos(np.radians(8)), "the camera turns as the head was asked to, within 8 degrees"


# ---- the face model's files


def test_the_face_model_is_read_whole(tmp_path: Path) -> None:
    path, state, points = nl_files(tmp_path)
    model = import_nl3dmm(path)
    identity, expression, texture = golden_input("nl.a", (2, 11)), golden_input("nl.b", (2, 79)), golden_input("nl.c", (2, 13))
    weights = [state[f"decoder_nl3dmm_new.{name}"] for name in ("geo_fc2.weight", "geo_fc2.bias", "geo_fc3.weight", "geo_fc3.bias")]
    hidden = (torch.cat([identity, expression], 1) @ weights[0].T + weights[1]).relu()
    every = (hidden @ weights[2].T + weights[3]).view(2, ROWS, 3) * 0.01
    torch.testing.assert_close(model(identity, expression), every)
    kept = [*points["contour_idx"].reshape(-1), *points["inface_idx"]]
    torch.testing.assert_close(model.candidates(identity, expression, model.landmark_rows()), every[:, kept])
    mean, directions, spreads = (state[f"decoder_3dmm.{name}"] for name in ("mu_tex", "b_tex", "sig_tex"))
    torch.testing.assert_close(model.albedo(texture).flatten(1), (texture * spreads) @ directions + mean)
    assert (model.skin.sum(), tuple(model.triangles[-1])) == (100, (ROWS - 3, ROWS - 2, ROWS - 1))
    assert import_asset(path, tmp_path / "assets").asset.key == "nl3dmm"
    official = tmp_path / "tree" / "ConfigModels"
    official.mkdir(parents=True)
    (tmp_path / "tree" / "ConfigFiles").mkdir()
    colours = {name: state.pop(f"decoder_3dmm.{name}").numpy().astype(np.float64) for name in ("mu_tex", "b_tex", "sig_tex")}
    torch.save(state, official / path.name)
    (official / "nl3dmm_dict.pkl").write_bytes(pickle.dumps(colours))
    for name in ("LandMarkInfo.pkl", "nl_3dmm_topo_info.npz", "skinmask.npy"):
        (tmp_path / name).rename(tmp_path / "tree" / "ConfigFiles" / name)
    again = import_nl3dmm(official / path.name)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items()), "colours of the dictionary"


class Evil:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch executed",)


Points = dict[str, Any]
SPOILED: dict[str, tuple[Callable[[Path, dict[str, Tensor], Points], object], str]] = {
    "no landmarks": (lambda p, s, k: (p / "LandMarkInfo.pkl").unlink(), "needs LandMarkInfo.pkl of HeadNeRF's repository"),
    "landmarks with code": (lambda p, s, k: (p / "LandMarkInfo.pkl").write_bytes(pickle.dumps(Evil())), "system"),
    "landmarks of another kind": (
        lambda p, s, k: (p / "LandMarkInfo.pkl").write_bytes(pickle.dumps([1])),
        "is not HeadNeRF's LandMarkInfo",
    ),
    "landmarks cut short": (lambda p, s, k: (p / "LandMarkInfo.pkl").write_bytes(pickle.dumps(k)[:300]), "LandMarkInfo.pkl"),
    "a negative vertex": (
        lambda p, s, k: (p / "LandMarkInfo.pkl").write_bytes(pickle.dumps({**k, "inface_idx": k["inface_idx"] - 1000})),
        "names vertices -",
    ),
    "a vertex too far": (
        lambda p, s, k: (p / "LandMarkInfo.pkl").write_bytes(pickle.dumps({**k, "inface_idx": k["inface_idx"] + 1000})),
        "names vertices",
    ),
    "no topology": (lambda p, s, k: (p / "nl_3dmm_topo_info.npz").unlink(), "needs nl_3dmm_topo_info.npz of HeadNeRF's repository"),
    "a triangle too far": (
        lambda p, s, k: np.savez(
            p / "nl_3dmm_topo_info.npz", fv_indices=np.full((2, 3), ROWS), corr_vf_indices=np.zeros((ROWS, 1), np.int32)
        ),
        "names vertices",
    ),
    "topology of another model": (
        lambda p, s, k: np.savez(
            p / "nl_3dmm_topo_info.npz", fv_indices=np.zeros((2, 3), np.int32), corr_vf_indices=np.zeros((9, 1), np.int32)
        ),
        "is not HeadNeRF's nl_3dmm_topo_info.npz",
    ),
    "skin with code": (lambda p, s, k: (p / "skinmask.npy").write_bytes(pickle.dumps(Evil())), "system|cannot be read|skinmask"),
    "skin of another model": (lambda p, s, k: np.save(p / "skinmask.npy", np.ones(9)), "is not HeadNeRF's skinmask.npy"),
    "no colours": (
        lambda p, s, k: torch.save({key: v for key, v in s.items() if "_tex" not in key}, p / "nl3dmm_net_dict.pth"),
        "needs nl3dmm_dict.pkl of ConfigModels.zip",
    ),
    "colours of another shape": (
        lambda p, s, k: torch.save({**s, "decoder_3dmm.b_tex": torch.ones(13, 9)}, p / "nl3dmm_net_dict.pth"),
        "do not fit 300 vertices",
    ),
    "cut short": (
        lambda p, s, k: (p / "nl3dmm_net_dict.pth").write_bytes((p / "nl3dmm_net_dict.pth").read_bytes()[:900]),
        "not a checkpoint|cannot",
    ),
    "code": (lambda p, s, k: torch.save({**s, "x": Evil()}, p / "nl3dmm_net_dict.pth"), "system, which no checkpoint"),
    "a layer lacking": (
        lambda p, s, k: torch.save({key: v for key, v in s.items() if "fc2.bias" not in key}, p / "nl3dmm_net_dict.pth"),
        "0 keys geo_fc2.bias",
    ),
    "a layer twice": (lambda p, s, k: torch.save({**s, "geo_fc2.bias": torch.ones(8)}, p / "nl3dmm_net_dict.pth"), "2 keys geo_fc2.bias"),
    "another shape": (
        lambda p, s, k: torch.save({**s, "decoder_nl3dmm_new.geo_fc3.bias": torch.ones(9)}, p / "nl3dmm_net_dict.pth"),
        "not that of HeadNeRF's face model",
    ),
    "not a number": (
        lambda p, s, k: torch.save({**s, "decoder_nl3dmm_new.geo_fc2.bias": torch.full((8,), torch.inf)}, p / "nl3dmm_net_dict.pth"),
        "NaN or infinite",
    ),
}


@pytest.mark.parametrize("kind", list(SPOILED))
def test_spoiled_face_models(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path, state, points = nl_files(tmp_path)
    spoil, words = SPOILED[kind]
    spoil(tmp_path, state, points)
    with pytest.raises(UserError, match=words):
        import_nl3dmm(path)
    assert not (tmp_path / "executed").exists()


def test_without_its_face_model_the_method_says_so(network: HeadNeRF, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discontrolface.weights.assets.default_folder", lambda: tmp_path / "none")
    network.save_pretrained(tmp_path / "there" / "headnerf")
    context = MethodContext(Editor.load("open"), Sampling(), {"headnerf": tmp_path / "there" / "headnerf"})
    with pytest.raises(UserError, match=r"method 'headnerf' needs the face model of HeadNeRF's codes, which is missing"):
        headnerf_method(context)
    NL3DMM(11, 79, 5, 4, vertices=3, triangles=1, candidates=2).save_pretrained(tmp_path / "there" / "nl3dmm")
    with pytest.raises(UserError, match=r"has 11 identity and 5 texture codes, but the model .* has 11 and 13"):
        headnerf_method(context)
