"""Fixtures of several test files. Plain helpers are in tests/helpers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.flame_synthetic import regressor_tensors, write_all, write_emoca
from helpers.goldens import write_golden_flame
from helpers.networks import write_networks
from PIL import Image

from discontrolface.common.snapshot_spec import PAPER_MAPS
from discontrolface.weights.assets import import_asset, paper_missing


@pytest.fixture(scope="session")
def golden_flame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The FLAME-shaped model of the face goldens, as a .npz file."""
    path: Path = tmp_path_factory.mktemp("golden") / "flame_synthetic.npz"
    write_golden_flame(path)
    return path


@pytest.fixture(scope="module")
def paper_downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user brings, but for the regressor: FLAME's and DECA's files, and the two networks."""
    folder: Path = tmp_path_factory.mktemp("downloads")
    write_all(folder, networks=False)
    rows, columns = np.indices((256, 256))
    Image.fromarray(np.where((rows > 60) & (columns > 40), 255, 0).astype(np.uint8)).save(folder / "uv_face_eye_mask.png")
    np.save(folder / "fixed_displacement_256.npy", np.full((256, 256), 0.0002))
    write_networks(folder, PAPER_MAPS, "none", "flame")
    return folder


@pytest.fixture(scope="module")
def paper_folder(paper_downloads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper preset, complete."""
    store: Path = tmp_path_factory.mktemp("paper")
    write_emoca(store / "emoca.ckpt", regressor_tensors())
    for path in (*sorted(paper_downloads.iterdir()), store / "emoca.ckpt"):
        assert import_asset(path, store).state == "ok"
    (store / "emoca.ckpt").unlink()
    assert paper_missing(store) == []
    manifest = json.loads((store / "preset.json").read_text())
    assert manifest["start"] == "noise"
    (store / "preset.json").write_text(json.dumps({**manifest, "steps": 3, "one_shot": {"iterations": 2, "batch": 1, "mask_patch": 4}}))
    return store
