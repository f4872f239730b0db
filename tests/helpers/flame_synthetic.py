"""A FLAME-shaped model in FLAME's own file formats, made from the open head, so that everything but the licensed numbers is exercised.

Run it to get the files in a folder: python tests/helpers/flame_synthetic.py FOLDER
"""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.sparse import csc_matrix

from discontrolface.face.heads.base import HeadModel
from discontrolface.face.landmark_sets import IBUG_68
from discontrolface.face.regress import FaceRegressor

INNER = 51  # the last of iBUG's 68 points, without the jaw line


def flame_arrays(without: tuple[str, ...] = ("jaw", "mouthClose")) -> dict[str, Any]:
    """FLAME's arrays by their official names: the open head, its shape and its actions (as principal directions, so without names), zeros beyond.

    without: actions whose names start so are left out. FLAME opens its mouth with the jaw joint.
    """
    head = HeadModel.open()
    v = head.template.numpy()
    shape = head.shape_dirs.numpy().reshape(80, -1, 3)
    kept = [i for i, name in enumerate(head.expression_names) if not name.startswith(without)]
    actions = head.expression_dirs.numpy().reshape(52, -1)[kept]
    _, s, vt = np.linalg.svd(actions, full_matrices=False)
    directions = (s[:, None] * vt / 3).reshape(-1, len(v), 3)  # one action is within a few standard deviations
    shapedirs = np.zeros((len(v), 3, 400), np.float32)
    shapedirs[..., :80] = shape.transpose(1, 2, 0)
    shapedirs[..., 300 : 300 + len(directions)] = directions.transpose(1, 2, 0)
    posedirs = np.random.default_rng(0).standard_normal((len(v), 3, 36)).astype(np.float32) * 1e-5
    parents = np.array(head.parents)
    parents[0] = 2**32 - 1
    return {
        "f": head.faces.astype(np.uint32),
        "v_template": v.astype(np.float64),
        "shapedirs": shapedirs,
        "posedirs": posedirs,
        "J_regressor": head.joint_regressor.numpy().astype(np.float64),
        "weights": head.weights.numpy().astype(np.float64),
        "kintree_table": np.stack([parents, np.arange(5)]).astype(np.uint32),
        "J": head.rest_joints(head.neutral())[0].numpy(),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


@contextlib.contextmanager
def chumpy_for_writing() -> Iterator[type]:
    """A class that pickles as chumpy.ch.Ch does; gone afterwards, so that reading has to do without."""
    modules = {name: types.ModuleType(name) for name in ("chumpy", "chumpy.ch")}
    cls = type("Ch", (), {"__module__": "chumpy.ch"})
    modules["chumpy.ch"].Ch = cls  # type: ignore[attr-defined]
    sys.modules.update(modules)
    try:
        yield cls
    finally:
        for name in modules:
            del sys.modules[name]


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined, misc]
    """Writes bytes and text as Python 2 wrote its strings."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_bytes(self, value: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(value)) + value)

    def save_text(self, value: str) -> None:
        self.save_bytes(value.encode("latin1"))

    dispatch[bytes] = save_bytes
    dispatch[str] = save_text


def flame_pickle(arrays: dict[str, Any]) -> bytes:
    """As the official files are: protocol 2, Python 2 strings, chumpy for the shape directions, scipy.sparse for the regressor, old NumPy's names."""
    with chumpy_for_writing() as variable:
        content = dict(arrays)
        shapedirs = variable()
        shapedirs.__dict__.update(
            {"_dirty_vars": {"x"}, "_itr": None, "_make_dense": False, "_depends_on_deps": {}, "x": arrays["shapedirs"]}
        )
        content["shapedirs"] = shapedirs
        content["J_regressor"] = csc_matrix(arrays["J_regressor"])
        file = io.BytesIO()
        Python2Pickler(file, 2).dump(content)
    return (
        file.getvalue()
        .replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n")
        .replace(b"scipy.sparse._csc\n", b"scipy.sparse.csc\n")
    )


def write_landmarks(path: Path) -> None:
    """DECA's landmark_embedding.npy: NumPy arrays and PyTorch tensors, in a pickled dict. The contour is the same for every yaw."""
    embedding = HeadModel.open().embedding
    assert embedding is not None
    index, weight = embedding.triangles[list(IBUG_68)], embedding.barycentric[list(IBUG_68)]
    content = {
        "static_lmk_faces_idx": index[-INNER:].numpy(),
        "static_lmk_bary_coords": weight[-INNER:].double().numpy(),
        "dynamic_lmk_faces_idx": index[:-INNER].expand(79, -1).contiguous(),
        "dynamic_lmk_bary_coords": weight[:-INNER].expand(79, -1, -1).contiguous(),
        "full_lmk_faces_idx": index[None].numpy(),
        "full_lmk_bary_coords": weight[None].numpy(),
    }
    np.save(path, np.array(content, dtype=object), allow_pickle=True)


def write_topology(path: Path) -> None:
    """head_template.obj."""
    head = HeadModel.open()
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in head.template.tolist()]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in np.asarray(head.uv).tolist()]
    for face, texture in zip((head.faces + 1).tolist(), (np.asarray(head.faces_uv) + 1).tolist(), strict=True):
        lines.append("f " + " ".join(f"{v}/{t}" for v, t in zip(face, texture, strict=True)))
    path.write_text("\n".join(["# a comment", *lines]) + "\n")


def regressor_tensors(expression: bool = True, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random networks with the official keys, whose codes are those of a plausible face: small shape and expression, a camera, an even light."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = FaceRegressor(expression).state_dict()
    out: dict[str, torch.Tensor] = {}
    for key, like in shapes.items():
        if key.endswith("num_batches_tracked"):
            out[key] = torch.zeros((), dtype=torch.int64)
        elif like.ndim > 1:
            out[key] = torch.randn(like.shape, generator=generator) * (2 / like[0].numel()) ** 0.5
        else:
            out[key] = torch.ones(like.shape) if key.endswith(("weight", "running_var")) else torch.zeros(like.shape)
            if key.endswith("bn3.weight"):
                out[key] *= 0.2  # so that the residual sums stay small
    for net in ("E_flame", "E_detail", "E_expression"):
        for part in ("weight", "bias"):
            if f"{net}.layers.2.{part}" in out:
                out[f"{net}.layers.2.{part}"] *= 0.1
    out["E_flame.layers.2.weight"][200:] *= 0.1  # little turn, and the face in the middle
    bias = out["E_flame.layers.2.bias"]
    bias[206:209] = torch.tensor([8.0, 0.0, 0.0])
    bias[209:212] = 3.0  # the constant band of three colours
    return out


def write_deca(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """deca_model.tar: one state dict per network, and a rest of the training."""
    nets: dict[str, Any] = {name: {} for name in ("E_flame", "E_detail", "D_detail")}
    for key, value in tensors.items():
        name, rest = key.split(".", 1)
        if name in nets:
            nets[name][rest] = value
    torch.save({**nets, "epoch": 3, "opt": {"state": {}, "param_groups": []}}, path)


def write_emoca(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """An EMOCA checkpoint: Lightning's, keys with the prefix `deca.`, and buffers of FLAME that are of no use to us."""
    state = {f"deca.{key}": value for key, value in tensors.items()}
    torch.save(
        {"state_dict": {**state, "deca.flame.v_template": torch.zeros(5, 3)}, "epoch": 1, "hyper_parameters": {"mode": "detail"}}, path
    )


def write_all(folder: Path, networks: bool = True) -> None:
    """Every file of the paper preset's face that a user would bring, under its official name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "generic_model.pkl").write_bytes(flame_pickle(flame_arrays()))
    write_landmarks(folder / "landmark_embedding.npy")
    write_topology(folder / "head_template.obj")
    if networks:
        write_emoca(folder / "emoca.ckpt", regressor_tensors())


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
