"""FLAME against the official code's outputs on a synthetic model, its file formats, and hostile files."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.flame_synthetic import flame_arrays, flame_pickle, write_landmarks, write_topology
from helpers.goldens import GOLDENS, load_golden, texture_arrays
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.face.flame import FlameTexture, read_flame, read_landmarks, read_obj, read_topology
from discontrolface.face.heads.base import HeadModel, rodrigues
from discontrolface.geometry.cameras import project


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_golden("flame")


@pytest.fixture(scope="module")
def head(golden_flame: Path) -> HeadModel:
    return HeadModel.from_flame(golden_flame, GOLDENS / "flame_landmarks.npy")


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    return flame_arrays()


@pytest.fixture(scope="module")
def official(arrays: dict[str, Any]) -> bytes:
    return flame_pickle(arrays)


def pose_of(pose: Tensor, eyes: Tensor | None = None) -> Tensor:
    """DECA's six numbers and FLAME's eye pose (B, 6) as (B, 5, 3)."""
    zero = torch.zeros(len(pose), 3)
    left, right = (zero, zero) if eyes is None else (eyes[:, :3], eyes[:, 3:])
    return torch.stack([pose[:, :3], zero, pose[:, 3:], left, right], 1)


# ---- against the official code


def test_vertices_and_landmarks_are_flames(head: HeadModel, golden: dict[str, Tensor]) -> None:
    poses = golden["in.pose"]
    cases = {
        "A": (golden["in.shape"], golden["in.exp"], pose_of(poses)),
        "B": (golden["in.shape"], golden["in.exp"], pose_of(poses, golden["in.eye"])),
        "C": (golden["in.shape300"], golden["in.exp100"], pose_of(poses[1:3])),
    }
    for name, (shape, expression, pose) in cases.items():
        out = head(shape, expression, pose)
        for ours, theirs in (("vertices", "vertices"), ("landmarks_2d", "landmarks2d"), ("landmarks_3d", "landmarks3d")):
            torch.testing.assert_close(getattr(out, ours), golden[f"{name}.{theirs}"], atol=1e-6, rtol=0)
    torch.testing.assert_close(head(*cases["B"]).joints, golden["B.joints"], atol=1e-6, rtol=0)


def test_the_contour_follows_the_yaw(head: HeadModel, golden: dict[str, Tensor]) -> None:
    out = head(golden["in.shape"], golden["in.exp"], pose_of(golden["in.pose"]))
    assert head.contour is not None
    rows = head.contour.rows(out.rotations[:, 1])
    assert len(set(rows.tolist())) == 6
    assert torch.equal(head.contour.triangles[rows].int(), golden["dyn_faces_idx"])
    assert torch.equal(head.contour.barycentric[rows], golden["dyn_bary"])
    turns = torch.zeros(4, 3)
    turns[:, 1] = torch.deg2rad(torch.tensor([0.4, -1.2, 80.0, -80.0]))
    assert head.contour.rows(rodrigues(turns)).tolist() == [0, 40, 39, 78]


def test_rodrigues_is_flames(golden: dict[str, Tensor]) -> None:
    torch.testing.assert_close(rodrigues(golden["rodrigues.in"]), golden["rodrigues.out"], atol=1e-6, rtol=0)


def test_texture_is_flametex(golden: dict[str, Tensor], tmp_path: Path) -> None:
    mean, directions = texture_arrays()
    np.savez(tmp_path / "flame.npz", mean=mean, tex_dir=directions)
    np.savez(tmp_path / "bfm.npz", MU=mean.reshape(1, -1) / 255, PC=directions.reshape(-1, 6) / 255)
    for file in ("flame.npz", "bfm.npz"):
        texture = FlameTexture.read(tmp_path / file, 6)(golden["tex.code"])
        assert texture.shape == (1, 3, 256, 256)
        torch.testing.assert_close(texture[:, :, ::5, ::5], golden["tex.every_fifth"], atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="6 texture components; 50"):
        FlameTexture.read(tmp_path / "flame.npz")


def test_fewer_coefficients_are_the_first_ones(head: HeadModel, golden: dict[str, Tensor], golden_flame: Path) -> None:
    short = HeadModel.from_flame(golden_flame, shape_count=100, expression_count=50)
    padded = torch.cat([golden["in.shape"], torch.zeros(6, 200)], 1)
    torch.testing.assert_close(short(golden["in.shape"]).vertices, head(padded).vertices)
    with pytest.raises(UserError, match="301"):
        HeadModel.from_flame(golden_flame, shape_count=301)


# ---- files


def test_an_official_pickle_loads_without_chumpy(official: bytes, arrays: dict[str, Any], tmp_path: Path) -> None:
    import importlib.util

    assert importlib.util.find_spec("chumpy") is None
    for word in (b"chumpy.ch\nCh", b"scipy.sparse.csc\ncsc_matrix", b"numpy.core.multiarray\n"):
        assert word in official
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(official)
    flame = read_flame(path)
    assert np.array_equal(flame.template, arrays["v_template"].astype(np.float32))
    assert np.array_equal(flame.shape_dirs[:80], arrays["shapedirs"][..., :80].transpose(2, 0, 1))
    assert np.array_equal(flame.expression_dirs[:40], arrays["shapedirs"][..., 300:340].transpose(2, 0, 1))
    assert np.array_equal(flame.joint_regressor, arrays["J_regressor"].astype(np.float32))
    assert np.array_equal(flame.pose_dirs, arrays["posedirs"].transpose(2, 0, 1))
    assert np.array_equal(flame.faces, arrays["f"])
    assert flame.parents == (-1, 0, 1, 1, 1)


def test_damaged_files_get_a_sentence_each(official: bytes, arrays: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    for cut in (0, 1, 1000, len(official) // 2, len(official) - 2):
        path.write_bytes(official[:cut])
        with pytest.raises(UserError, match=r"model\.pkl"):
            read_flame(path)
    with pytest.raises(UserError, match="does not exist"):
        read_flame(tmp_path / "nowhere.pkl")
    wrong = {
        "shapedirs": (arrays["shapedirs"][..., :100], "shapedirs"),
        "weights": (arrays["weights"][:, :4], "weights"),
        "f": (arrays["f"] + 10000, "names vertex"),
        "J_regressor": (np.full((5, len(arrays["v_template"])), np.nan), "NaN"),
        "kintree_table": (np.array([[0, 3, 4, 2, 1]]), "kintree_table"),
        "posedirs": (np.zeros(0), "posedirs"),
    }
    for key, (value, word) in wrong.items():
        np.savez(tmp_path / "model.npz", **{**{k: v for k, v in arrays.items() if not isinstance(v, str)}, key: value})
        with pytest.raises(UserError, match=word):
            read_flame(tmp_path / "model.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(UserError, match=r"not a FLAME model: it has no f, v_template"):
        read_flame(tmp_path / "other.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:100])
    with pytest.raises(UserError, match="cut short or damaged"):
        read_flame(tmp_path / "cut.npz")


def test_landmark_files(tmp_path: Path) -> None:
    write_landmarks(tmp_path / "landmark_embedding.npy")
    embedding, contour = read_landmarks(tmp_path / "landmark_embedding.npy", 100_000)
    assert len(embedding.triangles) == 68
    assert contour is not None
    assert contour.triangles.shape == (79, 17)
    with pytest.raises(UserError, match="another head model"):
        read_landmarks(tmp_path / "landmark_embedding.npy", 100)
    indices = np.arange(105)
    indices[-1] = 470  # an iris
    np.savez(tmp_path / "mp.npz", lmk_face_idx=np.arange(105), lmk_b_coords=np.full((105, 3), 1 / 3), landmark_indices=indices)
    embedding, contour = read_landmarks(tmp_path / "mp.npz", 1000)
    assert contour is None
    assert embedding.mediapipe is not None
    assert embedding.mediapipe.tolist() == list(range(104))


def test_texture_coordinates_follow_our_order_of_faces(tmp_path: Path) -> None:
    path = tmp_path / "head_template.obj"
    write_topology(path)
    mesh = read_obj(path)
    order = np.random.default_rng(1).permutation(len(mesh.faces))
    turned = np.roll(mesh.faces[order], 1, 1)
    uv, faces_uv = read_topology(path, turned)
    assert np.array_equal(uv[faces_uv], mesh.uv[np.roll(mesh.faces_uv[order], 1, 1)])
    with pytest.raises(UserError, match="another mesh"):
        read_topology(path, turned[:, ::-1] * 0)
    path.write_text("v 0 0 0\nf 1/1 2/2 3/3\n")
    with pytest.raises(UserError, match="faces"):
        read_obj(path)
    path.write_text("v 0 0\nf a b c\n")
    with pytest.raises(UserError, match=r"not a \.obj file"):
        read_obj(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("f", np.zeros((0, 3), np.uint32), r"f of .*model\.pkl is empty: an array of shape \(0, 3\)"),
        ("v_template", np.zeros((0, 3)), r"v_template of .*model\.pkl is empty"),
        ("f", b"\x00\x01\x02", r"f of .*model\.pkl is 3 bytes without a shape"),
        ("f", ["a"], r"f of .*model\.pkl is not an array of numbers"),
    ],
)
def test_what_is_no_usable_array_is_called_what_it_is(tmp_path: Path, key: str, value: Any, message: str) -> None:
    for protocol in (0, 2):  # protocol 2 of Python 3 writes no bytes as __builtin__.bytes()
        (tmp_path / "model.pkl").write_bytes(pickle.dumps({**flame_arrays(), key: value}, protocol, fix_imports=True))
        with pytest.raises(UserError, match=message):
            read_flame(tmp_path / "model.pkl")


# ---- derivatives and speed


def small_head() -> HeadModel:
    rng = np.random.default_rng(2)
    weights = rng.random((7, 5))
    return HeadModel(
        template=rng.standard_normal((7, 3)),
        faces=np.array([[0, 1, 2], [2, 3, 4], [4, 5, 6]]),
        shape_dirs=rng.standard_normal((3, 7, 3)),
        expression_dirs=rng.standard_normal((2, 7, 3)),
        pose_dirs=rng.standard_normal((36, 7, 3)),
        joint_regressor=rng.random((5, 7)) / 7,
        weights=weights / weights.sum(1, keepdims=True),
        parents=(-1, 0, 1, 1, 1),
    ).double()


def test_gradients_of_skinning_and_projection_agree_with_finite_differences() -> None:
    head = small_head()
    generator = torch.Generator().manual_seed(3)
    shape, expression, pose, camera = (
        torch.randn(2, *size, generator=generator, dtype=torch.float64).requires_grad_() for size in ((3,), (2,), (5, 3), (3,))
    )
    assert torch.autograd.gradcheck(lambda s, e, p: head(s, e, p).vertices, (shape, expression, pose))
    assert torch.autograd.gradcheck(lambda s, p, c: project(head(s, pose=p).vertices, c), (shape, pose, camera))
    rest = torch.zeros(1, 5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: head(pose=p).vertices, (rest,))


def test_a_thousand_heads_a_second() -> None:
    """Of processor time, so that a busy machine does not fail it; `discontrolface benchmark --stages heads` measures the wall."""
    head = HeadModel.open()
    generator = torch.Generator().manual_seed(4)
    shape, expression = torch.randn(64, 80, generator=generator), torch.rand(64, 52, generator=generator)
    pose = 0.2 * torch.randn(64, 5, 3, generator=generator)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        best = float("inf")
        with torch.no_grad():
            for _ in range(6):
                start = time.process_time()
                head(shape, expression, pose)
                best = min(best, time.process_time() - start)
    finally:
        torch.set_num_threads(threads)
    assert 64 / max(best, 1e-9) > 1000
