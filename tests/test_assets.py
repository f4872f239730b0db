"""Assets: official files are recognised by their content, checked, converted, and listed with what is missing."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.flame_synthetic import flame_arrays, flame_pickle, write_landmarks, write_topology
from helpers.goldens import GOLDENS, texture_arrays
from helpers.official_recipe import recipe_state_dict
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.face.heads.base import HeadModel
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.weights.asset_table import ASSETS
from discontrolface.weights.assets import import_asset, list_assets, paper_missing
from discontrolface.weights.preset import load_preset


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as a user has them, under names that say nothing."""
    folder: Path = tmp_path_factory.mktemp("downloads")
    (folder / "a").write_bytes(flame_pickle(flame_arrays()))
    write_landmarks(folder / "b.npy")
    (folder / "b.npy").rename(folder / "b")
    write_topology(folder / "c")
    mask = np.zeros((256, 256, 3), np.uint8)
    mask[80:200, 60:190] = 255
    Image.fromarray(mask).save(folder / "d.png")
    np.save(folder / "e.npy", np.full((256, 256), 0.0005))
    mean, directions = texture_arrays(2)
    np.savez(folder / "f.npz", mean=mean, tex_dir=directions)
    masks = {"scalp": np.arange(10), "lips": np.arange(20, 30), "neck": np.arange(40, 50), "face": np.arange(60)}
    (folder / "g").write_bytes(pickle.dumps(masks, 2))
    return folder


EXPECTED = {
    "a": "flame",
    "b": "landmarks",
    "c": "topology",
    "d.png": "detail_mask",
    "e.npy": "detail_fixed",
    "f.npz": "texture",
    "g": "masks",
}


def test_files_are_known_by_what_is_in_them(official: Path, tmp_path: Path) -> None:
    for status in list_assets(tmp_path / "none"):
        assert status.state == "missing"
        assert status.asset.official in status.note
        assert "http" in status.asset.source or status.asset.key == "exp_facenet"
    for file, key in EXPECTED.items():
        status = import_asset(official / file, tmp_path)
        assert (status.asset.key, status.state) == (key, "ok")
        assert file in status.note
    states = {status.asset.key: status.state for status in list_assets(tmp_path)}
    assert states == {a.key: "ok" if a.key in EXPECTED.values() else "missing" for a in ASSETS}
    assert all(path.suffix in (".safetensors", ".json") for path in tmp_path.iterdir())  # no pickle stays behind

    there = {key: tmp_path / f"{key}.safetensors" for key in EXPECTED.values()}
    stored = HeadModel.from_flame(there["flame"], there["landmarks"], there["topology"], there["masks"])
    direct = HeadModel.from_flame(official / "a", official / "b", official / "c", official / "g")
    for buffer in ("template", "shape_dirs", "expression_dirs", "pose_dirs", "joint_regressor", "weights"):
        assert torch.equal(getattr(stored, buffer), getattr(direct, buffer))
    assert np.array_equal(stored.uv, direct.uv)  # type: ignore[arg-type]
    assert np.array_equal(stored.faces_uv, direct.faces_uv)  # type: ignore[arg-type]
    assert stored.region_names == direct.region_names == ("skin", "scalp", "neck", "lips")
    assert torch.equal(stored.landmarks(stored.template[None]), direct.landmarks(direct.template[None]))


def test_what_is_missing_is_said_precisely(official: Path, tmp_path: Path) -> None:
    missing = paper_missing(tmp_path)
    assert len(missing) == len([a for a in ASSETS if a.needed])
    assert any("generic_model.pkl" in line and "flame.is.tue.mpg.de" in line for line in missing)
    assert any("last.ckpt" in line and "phizaz/diffae" in line for line in missing)
    import_asset(official / "a", tmp_path)
    import_asset(official / "f.npz", tmp_path)  # optional
    assert len(paper_missing(tmp_path)) == len(missing) - 1


def test_changed_files_are_noticed(official: Path, tmp_path: Path) -> None:
    import_asset(official / "b", tmp_path)
    path = tmp_path / "landmarks.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    status = next(s for s in list_assets(tmp_path) if s.asset.key == "landmarks")
    assert status.state == "damaged"
    assert "import it again" in status.note
    assert any("damaged" in line for line in paper_missing(tmp_path))
    assert import_asset(official / "b", tmp_path).state == "ok"
    (tmp_path / "flame.safetensors").write_bytes(b"copied here by hand")
    assert next(s for s in list_assets(tmp_path) if s.asset.key == "flame").state == "damaged"
    (tmp_path / "assets.json").write_text("{")
    with pytest.raises(UserError, match="delete it"):
        list_assets(tmp_path)


class Bomb:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


def test_files_that_are_none_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    bad: dict[str, tuple[bytes, str]] = {
        "bomb": (pickle.dumps(Bomb(), 2), "system"),
        "text": (b"hello", "cannot be read|is not read"),
        "empty": (b"", "cannot be read|is not read"),
        "zip": (b"PK\x03\x04nothing", "damaged zip"),
        "png": (b"\x89PNG\r\n\x1a\nnothing", "cannot be read as a picture"),
        "list": (pickle.dumps([1, 2]), "none of the files that are known"),
        "half": (pickle.dumps({"v_template": np.zeros((9, 3)), "shapedirs": np.zeros((9, 3, 400))}, 2), "not a FLAME model"),
    }
    for name, (content, word) in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=word):
            import_asset(tmp_path / name, store)
    Image.new("RGB", (256, 256)).save(tmp_path / "black.png")
    with pytest.raises(UserError, match="not a mask: 0 %"):
        import_asset(tmp_path / "black.png", store)
    np.save(tmp_path / "large.npy", np.full((256, 256), 3.0))
    with pytest.raises(UserError, match="not a displacement map"):
        import_asset(tmp_path / "large.npy", store)
    torch.save({"x": torch.zeros(3)}, tmp_path / "net.pt")
    with pytest.raises(UserError, match="first key is x"):
        import_asset(tmp_path / "net.pt", store)
    torch.save({"state_dict": {"ema_model.latent_net.layers.0.linear.weight": torch.zeros(4, 4)}}, tmp_path / "latent.ckpt")
    with pytest.raises(UserError, match=r"latent\.ckpt is a latent DPM without its autoencoder; `sample --latent FILE` reads it"):
        import_asset(tmp_path / "latent.ckpt", store)
    torch.save({"ema_classifier.weight": torch.zeros(40, 4)}, tmp_path / "cls.ckpt")
    with pytest.raises(UserError, match=r"cls\.ckpt is an attribute classifier"):
        import_asset(tmp_path / "cls.ckpt", store)
    with pytest.raises(UserError, match="does not exist"):
        import_asset(tmp_path / "nowhere", store)
    with pytest.raises(UserError, match=r"config\.json"):
        import_asset(tmp_path, store)
    assert not store.exists()


def test_the_two_diffusion_networks_make_a_preset(tmp_path: Path) -> None:
    keys = json.loads((GOLDENS / "diffae_tiny.json").read_text())
    shapes = next(v for v in keys.values() if isinstance(v, dict) and any(str(k).startswith("ema_model.") for k in v))
    state = {f"ema_model.{key}": value for key, value in recipe_state_dict(shapes, "ema_model.").items()}
    torch.save({"state_dict": {**state, "x_T": torch.zeros(4, 3, 64, 64)}}, tmp_path / "last.ckpt")
    store = tmp_path / "store"
    assert import_asset(tmp_path / "last.ckpt", store).asset.key == "diffae"
    assert not (store / "preset.json").exists()
    model = DiffAE.from_pretrained(store / "diffae")
    ExpFaceNet.from_backbone(model, 6, head="flame").save_pretrained(tmp_path / "trained")
    status = import_asset(tmp_path / "trained", store)
    assert (status.asset.key, status.state) == ("exp_facenet", "ok")
    preset = load_preset(store)
    assert (preset.name, preset.head, preset.sampling.start) == ("paper", "flame", "noise")
    x = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(preset.model.encode(x), model.eval().encode(x), atol=1e-3, rtol=0)
    assert {s.asset.key for s in list_assets(store) if s.state == "ok"} == {"diffae", "exp_facenet"}
