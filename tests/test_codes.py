"""DECA's crop and codes: files, orders, and the way between crops."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from discontrolface.common.errors import UserError
from discontrolface.face.codes import from_gif, from_parameters, losses, read_codes, to_gif, to_parameters, write_codes
from discontrolface.face.deca_crop import cut_deca, deca_crop, move_camera
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.landmark_sets import IBUG_68
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.regress import Codes
from discontrolface.geometry.affine import apply_affine
from discontrolface.geometry.cameras import ndc_to_pixels, project
from discontrolface.geometry.meshes import vertex_normals
from discontrolface.geometry.rotations import about_z
from discontrolface.render.shade import rotate_sh, sh_shading


@pytest.fixture(scope="module")
def head(golden_flame: Path) -> HeadModel:
    """The golden's skinning weights are in half precision and sum to 1 +- 4e-4, so a turn about the root would bend the head a little (up to
    0.011 px and 0.002 in shading at 140 degrees). FLAME's own sum to 1, and so do these."""
    model = HeadModel.from_flame(golden_flame, shape_count=100, expression_count=50)
    model.weights /= model.weights.sum(1, keepdim=True)
    return model


def some_codes(count: int = 2, detail: bool = True) -> Codes:
    generator = torch.Generator().manual_seed(0)
    flat = 0.3 * torch.randn(count, 236, generator=generator)
    flat[:, 206] = 8.0
    flat[:, 207:209] *= 0.05
    return Codes.from_flat(flat, torch.randn(count, 128, generator=generator) if detail else None)


# ---- files


@pytest.mark.parametrize("ending", [".npz", ".mat", ".pkl"])
def test_files_keep_every_field(tmp_path: Path, ending: str) -> None:
    codes = some_codes()
    write_codes(tmp_path / f"codes{ending}", codes)
    again = read_codes(tmp_path / f"codes{ending}")
    assert torch.equal(again.flat(), codes.flat())
    assert again.detail is not None
    assert torch.equal(again.detail, codes.detail)  # type: ignore[arg-type]


def test_flat_files_and_orders(tmp_path: Path) -> None:
    codes = some_codes(3, detail=False)
    write_codes(tmp_path / "flat.npy", codes)
    assert np.load(tmp_path / "flat.npy").shape == (3, 236)
    assert torch.equal(read_codes(tmp_path / "flat.npy").flat(), codes.flat())
    gif = to_gif(codes)
    # GIF's constants.py: SHAPE 0-100, EXP 100-150, POSE 150-156, TRANS (camera) 156-159, tex 159-209, lit 209-236
    assert torch.equal(gif[:, 100:150], codes.exp)
    assert torch.equal(gif[:, 156:159], codes.cam)
    assert torch.equal(gif[:, 159:209], codes.tex)
    assert torch.equal(from_gif(gif).flat(), codes.flat())
    np.save(tmp_path / "gif.npy", gif.numpy())
    assert torch.equal(read_codes(tmp_path / "gif.npy", "gif").flat(), codes.flat())
    with pytest.raises(UserError, match="choose deca or gif"):
        read_codes(tmp_path / "gif.npy", "rgb")


def test_others_field_names(tmp_path: Path) -> None:
    codes = some_codes(1)
    fields = {"shapecode": codes.shape, "texcode": codes.tex, "expcode": codes.exp, "posecode": codes.pose, "detailcode": codes.detail}
    with (tmp_path / "emoca.pkl").open("wb") as file:  # tensors, as DiffusionRig pickles them
        pickle.dump({**fields, "cam": codes.cam, "lightcode": codes.light}, file)
    assert torch.equal(read_codes(tmp_path / "emoca.pkl").flat(), codes.flat())

    folder = tmp_path / "image00"  # EMOCA's save_codes: one array a file, of one face, without camera and light
    folder.mkdir()
    for name, key in (("shape", "shape"), ("exp", "exp"), ("tex", "tex"), ("pose", "pose"), ("detail", "detail")):
        np.save(folder / f"{name}.npy", getattr(codes, key)[0].numpy())
    read = read_codes(folder)
    assert torch.equal(read.shape, codes.shape)
    assert torch.equal(read.pose, codes.pose)
    assert read.cam.tolist() == [[8, 0, 0]]
    assert read.light[0, 0].min() > 1

    gif = {"00000.pkl": {"shape": codes.shape[0].numpy(), "exp": codes.exp[0].numpy(), "pose": codes.pose[0].numpy(),
                         "cam": codes.cam[0].numpy(), "tex": codes.tex[0].numpy(), "lit": codes.light[0].numpy()}}  # fmt: skip
    np.save(tmp_path / "gif.npy", np.array(gif, dtype=object), allow_pickle=True)
    assert torch.equal(read_codes(tmp_path / "gif.npy").flat(), codes.flat())


def test_bad_files_are_named(tmp_path: Path) -> None:
    codes = some_codes(1)
    np.savez(tmp_path / "half.npz", shape=codes.shape.numpy(), exp=codes.exp.numpy())
    with pytest.raises(UserError, match="no pose"):
        read_codes(tmp_path / "half.npz")
    np.savez(tmp_path / "long.npz", **{**codes.numpy(), "exp": np.zeros((1, 60))})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"exp .*\(1, 60\)"):
        read_codes(tmp_path / "long.npz")
    np.savez(tmp_path / "two.npz", **{**codes.numpy(), "exp": np.zeros((2, 50))})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="different numbers of faces"):
        read_codes(tmp_path / "two.npz")
    np.savez(tmp_path / "nan.npz", **{**codes.numpy(), "exp": np.full((1, 50), np.nan)})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="NaN"):
        read_codes(tmp_path / "nan.npz")
    (tmp_path / "broken.mat").write_bytes(b"MATLAB 5.0 nothing")
    with pytest.raises(UserError, match="MATLAB"):
        read_codes(tmp_path / "broken.mat")
    with pytest.raises(UserError, match="no known ending"):
        write_codes(tmp_path / "codes.txt", codes)
    assert sorted(os.listdir(tmp_path)) == ["broken.mat", "half.npz", "long.npz", "nan.npz", "two.npz"]


# ---- crop and camera


def test_the_crop_is_decas() -> None:
    """Against skimage, as the official code calls it. Its pixels are counted at their centres, ours at their corners."""
    transform = pytest.importorskip("skimage.transform")
    rng = np.random.default_rng(0)
    points = rng.uniform([120, 90], [230, 240], (68, 2))
    photo = rng.integers(0, 256, (300, 320, 3), dtype=np.uint8)
    indexed = points - 0.5
    low, high = indexed.min(0), indexed.max(0)
    old = (high - low).sum() / 2 * 1.1
    size, centre = int(old * 1.25), (low + high) / 2
    corners = np.array(
        [
            [centre[0] - size / 2, centre[1] - size / 2],
            [centre[0] - size / 2, centre[1] + size / 2],
            [centre[0] + size / 2, centre[1] - size / 2],
        ]
    )
    official = transform.estimate_transform("similarity", corners, np.array([[0, 0], [0, 223], [223, 0]]))
    ours = deca_crop(points)
    where = rng.uniform(100, 250, (5, 2))
    assert np.allclose(apply_affine(ours, where), official(where - 0.5) + 0.5)
    expected = transform.warp(photo / 255.0, official.inverse, output_shape=(224, 224))
    assert np.abs(cut_deca(photo, ours)[0].permute(1, 2, 0).numpy() - expected).max() < 2e-3

    mesh = np.zeros((468, 3))
    mesh[list(IBUG_68), :2] = points
    assert np.allclose(deca_crop(mesh)[0, 0], ours[0, 0], rtol=0.2)  # two of the 468 stand for two of the 68
    with pytest.raises(UserError, match="68 or 468"):
        deca_crop(points[:5])


def turned_crop(degrees: float, zoom: float = 1.3, x: float = 40.0) -> np.ndarray:
    c, s = zoom * np.cos(np.radians(degrees)), zoom * np.sin(np.radians(degrees))
    return np.array([[c, -s, x], [s, c, -7.0]])


def apart(codes: Codes, parameters: FaceParameters, head: HeadModel, index: int, affine: np.ndarray) -> tuple[float, float]:
    """The largest distance of a vertex, in pixels of the crop of 256 pixels, and the largest difference of its shading between codes in their crop,
    carried over by `affine`, and parameters in theirs."""
    theirs = head(codes.shape, codes.exp, codes.head_pose()).vertices[index : index + 1]
    p = parameters.tensors()
    ours = head(p["shape"], p["expression"], p["pose"]).vertices
    there = ndc_to_pixels(project(theirs, codes.cam[index : index + 1]), 224, 224)[0].numpy() + 0.5  # DECA counts pixels at their centres
    here = ndc_to_pixels(project(ours, p["camera"]), 256, 256)[0].numpy()
    faces = head.faces_tensor
    lit = [sh_shading(vertex_normals(v, faces), l) for v, l in ((theirs, codes.light[index : index + 1]), (ours, p["light"]))]
    return float(np.abs(apply_affine(affine, there) - here).max()), float((lit[0] - lit[1]).abs().max())


# What float32 leaves (measured: 1.1e-4 px and 1.3e-5, at every angle; in float64 3e-5 px, from the stored parameters, and 7e-7)
PIXELS, SHADING = 5e-4, 5e-5


@pytest.mark.parametrize("degrees", [0.0, 25.0, -140.0])
def test_codes_show_the_same_head_in_another_crop(head: HeadModel, degrees: float) -> None:
    codes, affine = some_codes(), turned_crop(degrees)
    for index in range(2):
        parameters = to_parameters(codes, head, index, affine, 256)
        pixels, shading = apart(codes, parameters, head, index, affine)
        assert pixels < PIXELS
        assert shading < SHADING

        back = from_parameters(parameters, head, affine, 256, like=Codes(*(t[index : index + 1] for t in vars(codes).values())))
        torch.testing.assert_close(back.flat(), codes.flat()[index : index + 1], atol=2e-5, rtol=0)
        assert torch.equal(back.detail, codes.detail[index : index + 1])  # type: ignore[index, arg-type]


def test_the_bounds_catch_a_wrong_crop_and_light(head: HeadModel) -> None:
    """A hundredth of a degree, a hundredth of a pixel and a ten-thousandth of the scale show in the pixels; a light that did not turn along by a
    hundredth of a degree shows in the shading."""
    codes, affine = some_codes(), turned_crop(-140.0)
    right = to_parameters(codes, head, 0, affine, 256)
    for wrong in (turned_crop(-140.01), turned_crop(-140.0, x=40.01), turned_crop(-140.0, zoom=1.3001)):
        assert apart(codes, to_parameters(codes, head, 0, wrong, 256), head, 0, affine)[0] > 4 * PIXELS
    light = rotate_sh(torch.tensor(right.light), torch.from_numpy(about_z(np.radians(0.01))).float()).numpy()
    assert apart(codes, right.with_(light=light), head, 0, affine)[1] > 2 * SHADING


def test_an_edit_of_the_head_goes_into_codes_without_moving_the_face(head: HeadModel) -> None:
    parameters = to_parameters(some_codes(1), head).edit(yaw=20, roll=-10)
    assert losses(parameters) == ["the neck's turn against the bust (the whole head gets it)"]
    back = from_parameters(parameters, head)
    p = parameters.tensors()
    ours = ndc_to_pixels(project(_head_only(head, p["shape"], p["expression"], p["pose"]), p["camera"]), 256, 256)
    theirs = ndc_to_pixels(project(_head_only(head, back.shape, back.exp, back.head_pose()), back.cam), 224, 224)
    torch.testing.assert_close((theirs + 0.5) * (256 / 224), ours, atol=0.01, rtol=0)


def _head_only(head: HeadModel, shape: torch.Tensor, expression: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """Points that move with the neck joint and nothing else."""
    rigid = head.rest_joints(head.neutral(shape, expression)) + 0.03
    out = head(shape, expression, pose)
    rest = head.rest_joints(head.neutral(shape, expression))
    return out.joints[:, 1:2] + (rigid - rest[:, 1:2]) @ out.rotations[:, 1].mT


def test_crops_that_shear_are_refused() -> None:
    with pytest.raises(UserError, match="rotation, a scale and a shift"):
        move_camera(np.zeros((5, 3)), np.array([8.0, 0, 0]), np.zeros((9, 3)), np.zeros(3), np.array([[1.0, 0.3, 0], [0, 1, 0]]), 224, 256)
