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
from helpers.peer_files import ROWS, nl_files
from torch import Tensor

from discontrolface import Editor
from discontrolface.baselines.headnerf_fit import SMALL, HeadFit, fit_photo, fitting_loss
from discontrolface.baselines.headnerf_landmarks import LandmarkFit, euler, fit_landmarks, landmark_loss
from discontrolface.baselines.headnerf_light import OFFICIAL, to_headnerf_light
from discontrolface.baselines.headnerf_method import HeadNerfMethod, head_mask, headnerf_method, landmarks
from discontrolface.common.errors import UserError
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.method import MethodContext
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import PreparedEdit, prepare
from discontrolface.face.landmark_sets import IBUG_68
from discontrolface.geometry.rotations import head_rotation
from discontrolface.nets.headnerf import HeadImages, HeadNeRF
from discontrolface.nets.nl3dmm import INNER, JAW, NL3DMM
from discontrolface.render.shade import SH_CONSTANTS, sh_shading
from discontrolface.weights.assets import import_asset
from discontrolface.weights.headnerf import official_key
from discontrolface.weights.nl3dmm import import_nl3dmm

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
    model = NL3DMM(11, 79, 16, candidates=2).eval().requires_grad_(False)
    points = person.geometry.head(torch.zeros(1, person.parameters.shape.size)).landmarks_3d[0]
    points = points if len(points) == 68 else points[list(IBUG_68)]
    points = (points - points.mean(0)) * PER_METRE
    jaw = torch.stack([points[:JAW], points[:JAW] + torch.tensor([0.0, 0.0, -0.4])], 1)  # of each the second lies further back
    model.vertices.bias.copy_(100 * torch.cat([jaw.flatten(0, 1), points[JAW:]]).flatten())
    model.vertices.weight.mul_(20)
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
    light = torch.zeros(1, 9, 3)
    for row, (ours, factor) in zip(code.view(9, 3), OFFICIAL, strict=True):
        light[0, ours] = row * factor / SH_CONSTANTS[ours]
    torch.testing.assert_close(sh_shading(normals, light), golden["fit.shading"], atol=1e-5, rtol=0)
    torch.testing.assert_close(to_headnerf_light(light[0].numpy()), code, atol=1e-6, rtol=0)


def test_a_jaw_point_is_its_outermost_vertex() -> None:
    model = NL3DMM(4, 4, 4, candidates=3)
    seen = torch.zeros(1, JAW * 3 + INNER, 3)
    rows = seen[:, : JAW * 3].view(1, JAW, 3, 3)
    for point in range(JAW):
        axis, best = (1, 5.0) if point == 8 else (0, -5.0 if point < 8 else 5.0)
        rows[0, point, point % 3, axis] = best
        rows[0, point, point % 3, 2] = point + 1  # marks it
    seen[0, JAW * 3 :, 2] = torch.arange(INNER) + 100
    found = model.landmarks(seen)
    assert found[0, :, 2].tolist() == [*range(1, JAW + 1), *range(100, 100 + INNER)]


def test_landmarks_are_met(face: NL3DMM) -> None:
    """Pose and codes behind known landmarks are found; the same person elsewhere keeps the identity."""
    identity, expression = golden_input("nl.identity", (1, 11)), golden_input("nl.expression", (1, 79))
    true = LandmarkFit(identity, expression, torch.tensor([[0.1, -0.25, 0.05]]), torch.tensor([[0.1, -0.1, 0.3]]))
    points = true.landmarks(face)[0]
    begun = LandmarkFit.start(face)
    far = (begun.landmarks(face)[0] - points).norm(dim=1).mean()
    found = fit_landmarks(face, points)
    assert far > 8
    assert (found.landmarks(face)[0] - points).norm(dim=1).mean() < 1.5
    assert (found.angles - true.angles).abs().max() < 0.1
    moved = replace(true, angles=torch.tensor([[0.1, 0.2, 0.05]]), expression=0.4 * expression)
    again = fit_landmarks(face, moved.landmarks(face)[0], found)
    assert torch.equal(again.identity, found.identity)
    assert (again.landmarks(face) - moved.landmarks(face)).norm(dim=2).mean() < 2
    assert (again.angles - moved.angles).abs().max() < 0.1
    assert not again.angles.requires_grad


def test_cameras_agree_with_the_landmarks(face: NL3DMM) -> None:
    """The camera that HeadNeRF gets sees a point of the world where the landmark fit projects it."""
    fit = replace(LandmarkFit.start(face), angles=torch.tensor([[0.1, 0.3, -0.2]]), shift=torch.tensor([[0.2, 0.1, 0.5]]))
    rotation, place, inverse = fit.camera(64)
    pixel = fit.landmarks(face)[0, 30] / 256 * 64
    direction = rotation[0] @ inverse[0] @ torch.tensor([*pixel.tolist(), 1.0])
    to_camera, shift = fit.to_camera()
    model = face(fit.identity, fit.expression)
    point = face.landmarks(model @ to_camera.mT + shift.mT)[0, 30] @ to_camera[0] - (to_camera[0].T @ shift[0, :, 0])
    towards = point - place[0, :, 0]
    assert torch.nn.functional.cosine_similarity(direction, towards, dim=0) > 0.999999


def test_a_photo_is_fitted(network: HeadNeRF, face: NL3DMM) -> None:
    """A picture that the network made itself with other codes: its loss falls."""
    start = LandmarkFit.start(face)
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
    method = HeadNerfMethod(network, made.face, iterations=3)
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


def test_the_face_model_keeps_the_rows_that_landmarks_need(tmp_path: Path) -> None:
    path, state, points = nl_files(tmp_path)
    model = import_nl3dmm(path)
    identity, expression = golden_input("nl.a", (2, 11)), golden_input("nl.b", (2, 79))
    weights = [state[f"decoder_nl3dmm_new.{name}"] for name in ("geo_fc2.weight", "geo_fc2.bias", "geo_fc3.weight", "geo_fc3.bias")]
    hidden = (torch.cat([identity, expression], 1) @ weights[0].T + weights[1]).relu()
    every = (hidden @ weights[2].T + weights[3]).view(2, ROWS, 3) * 0.01
    kept = [*points["contour_idx"].reshape(-1), *points["inface_idx"]]
    torch.testing.assert_close(model(identity, expression), every[:, kept])
    assert import_asset(path, tmp_path / "assets").asset.key == "nl3dmm"
    official = tmp_path / "tree" / "ConfigModels"
    official.mkdir(parents=True)
    (tmp_path / "tree" / "ConfigFiles").mkdir()
    path.rename(official / path.name)
    (tmp_path / "LandMarkInfo.pkl").rename(tmp_path / "tree" / "ConfigFiles" / "LandMarkInfo.pkl")
    assert import_nl3dmm(official / path.name).config["candidates"] == 3


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
        "names vertex -",
    ),
    "a vertex too far": (
        lambda p, s, k: (p / "LandMarkInfo.pkl").write_bytes(pickle.dumps({**k, "inface_idx": k["inface_idx"] + 1000})),
        "do not fit",
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
