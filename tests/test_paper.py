"""Read, edit, snapshot with the paper preset's face, on files that are FLAME's, EMOCA's and DECA's in all but their numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.flame_synthetic import regressor_tensors, write_all, write_deca, write_emoca

from discontrolface.common.errors import UserError
from discontrolface.face.codes import from_parameters
from discontrolface.face.deca_crop import deca_crop
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.paper import PaperFace
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.affine import apply_affine, invert_affine
from discontrolface.geometry.cameras import ndc_to_pixels, project
from discontrolface.weights.assets import import_asset

SIZE = 256


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything imported."""
    downloads: Path = tmp_path_factory.mktemp("downloads")
    write_all(downloads, networks=False)
    write_emoca(downloads / "emoca.ckpt", regressor_tensors())
    store: Path = tmp_path_factory.mktemp("paper")
    for file in sorted(downloads.iterdir()):
        assert import_asset(file, store).state == "ok"
        file.unlink()
    return store


@pytest.fixture(scope="module")
def face(folder: Path) -> PaperFace:
    return PaperFace.load(folder)


@pytest.fixture(scope="module")
def seen() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photo (480, 640, 3), the 468 landmarks of a face in it, and a turned crop (2, 3): a head of known parameters."""
    head = HeadModel.open()
    parameters = FaceParameters.default(head).edit(yaw=10, roll=12, expression={"jawOpen": 0.4, "smile": 0.5})
    p = parameters.tensors()
    points = ndc_to_pixels(project(head(p["shape"], p["expression"], p["pose"]).landmarks_3d, p["camera"]), SIZE, SIZE)[0].numpy()
    crop_to_photo = np.array([[1.1, 0.25, 150.0], [-0.25, 1.1, 130.0]])
    photo = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    return photo, apply_affine(crop_to_photo, points), invert_affine(crop_to_photo)


def test_by_the_regressor(face: PaperFace, seen: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    photo, points, photo_to_crop = seen
    reading = face.read(photo, points, photo_to_crop, SIZE)
    assert reading.codes is not None
    assert reading.parameters.head == "flame"
    assert reading.parameters.expression_names[:1] == ("browDownLeft",)
    # the head lies in the crop where the codes have it in DECA's
    codes, p = reading.codes, reading.parameters.tensors()
    theirs = ndc_to_pixels(project(face.head(codes.shape, pose=codes.head_pose()).vertices, codes.cam), 224, 224)[0] + 0.5
    ours = ndc_to_pixels(project(face.head(p["shape"], None, p["pose"] * _without_jaw()).vertices, p["camera"]), SIZE, SIZE)[0]
    expected = apply_affine(photo_to_crop, apply_affine(invert_affine(deca_crop(points)), theirs.numpy()))
    crown = face.head.template.numpy()[:, 1] > 0.08  # which neither expression nor jaw moves
    assert np.abs(ours.numpy() - expected)[crown].max() < 1.0  # the jaw turns the joints' rest a little

    back = from_parameters(reading.parameters, face.head, blendshapes=face.blendshapes, like=codes)
    torch.testing.assert_close(back.exp, codes.exp, atol=1e-4, rtol=0)
    torch.testing.assert_close(back.shape, codes.shape)
    torch.testing.assert_close(back.pose[:, 3:], codes.pose[:, 3:], atol=1e-4, rtol=0)


def _without_jaw() -> torch.Tensor:
    keep = torch.ones(1, 5, 1)
    keep[0, 2] = 0
    return keep


def test_by_the_landmarks_alone_then_edit_and_snapshot(face: PaperFace, seen: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    photo, points, photo_to_crop = seen
    picture = np.full((SIZE, SIZE, 3), 0.5, np.float32)
    reading = face.read(photo, points, photo_to_crop, SIZE, regressor=False, picture=picture)
    assert reading.codes is None
    assert reading.fit is not None
    assert reading.fit.mean_pixels < 1.5  # the synthetic FLAME cannot do all that the open head does
    found = reading.parameters
    assert abs(found.yaw - 10) < 3
    assert abs(found.roll - 12) < 3
    named = found.expression_dict()
    assert named["jawOpen"] > 0.15
    assert named["mouthSmileLeft"] > 0.2
    assert not found.expression[52:].any()

    target = found.edit(expression={"jawOpen": 0.9, "eyeBlinkLeft": 0.5}, yaw=-5, light="left")
    assert FaceParameters.from_json(target.to_json()) == target
    before, after = (face.snapshot(p, SIZE).image for p in (found, target))
    assert before.shape == (1, 6, SIZE, SIZE)
    assert (before != after).float().mean() > 0.1

    codes = face.read(photo, points, photo_to_crop, SIZE).codes
    assert codes is not None
    detailed = face.snapshot(target, SIZE, codes=codes)
    plain = face.snapshot(target, SIZE)  # the paper's ablation: control without the detail vector
    assert torch.equal(plain.mask, detailed.mask)
    on_head = plain.mask[0, 0] > 0
    changed = (plain.image != detailed.image).any(1)[0]
    assert not changed[~on_head].any()
    assert changed[on_head].float().mean() > 0.3
    tilt = (plain.image[0, :3] * detailed.image[0, :3]).sum(0)[on_head].clamp(-1, 1).acos()
    assert 0.005 < tilt.mean() < 0.5
    # expression-dependent: the same person's wrinkles in another expression
    assert not torch.equal(face.displacement(found, codes), face.displacement(target, codes))


def test_loading_again_takes_the_stored_blendshapes(folder: Path, face: PaperFace) -> None:
    assert (folder / "actions.safetensors").is_file()
    again = PaperFace.load(folder)
    assert np.array_equal(again.blendshapes.expression, face.blendshapes.expression)
    assert torch.equal(again.head.expression_dirs, face.head.expression_dirs)


def test_flame_alone_is_enough_for_an_edit(folder: Path, tmp_path: Path, seen: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    for name in ("flame.safetensors", "landmarks.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    face = PaperFace.load(tmp_path)
    assert face.regressor is None
    assert face.detail is None
    photo, points, photo_to_crop = seen
    reading = face.read(photo, points, photo_to_crop, SIZE, picture=np.full((SIZE, SIZE, 3), 0.5, np.float32))
    assert face.snapshot(reading.parameters.edit(yaw=25), SIZE).mask.any()
    with pytest.raises(UserError, match="picture="):
        face.read(photo, points, photo_to_crop, SIZE)
    (tmp_path / "flame.safetensors").unlink()
    with pytest.raises(UserError, match=r"flame\.safetensors is missing"):
        PaperFace.load(tmp_path)


def test_decas_own_checkpoint(tmp_path: Path) -> None:
    write_deca(tmp_path / "deca_model.tar", regressor_tensors(expression=False))
    status = import_asset(tmp_path / "deca_model.tar", tmp_path / "store")
    assert (status.asset.key, status.state) == ("regressor", "ok")
    assert "EMOCA" in status.note
