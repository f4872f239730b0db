"""Which snapshots a network reads: one order of maps, one head model, compared wherever networks, data and renderer meet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import MAP_CHANNELS, OPEN_MAPS, PAPER_MAPS, SnapshotSpec, check_maps
from discontrolface.face.heads.registry import find_head
from discontrolface.face.parameters import FaceParameters
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.presets import debug_config
from discontrolface.training.config import TrainConfig, load_config
from discontrolface.training.dataset import ABOUT, SIDES, PairDataset, StepData, describe_pairs
from discontrolface.training.shards import ShardDataset
from discontrolface.weights.assets import import_asset
from discontrolface.weights.preset import load_preset

REORDERED = ("lambertian", "normals")


def control_network(head: str = "open", maps: tuple[str, ...] = PAPER_MAPS) -> ExpFaceNet:
    torch.manual_seed(0)
    return ExpFaceNet.from_backbone(DiffAE(**debug_config()), snapshot_maps=maps, head=head)


def test_slices_tile_the_channels() -> None:
    spec = SnapshotSpec("open", OPEN_MAPS)
    channels = torch.arange(spec.channels)
    assert torch.equal(torch.cat([channels[spec.slice(m)] for m in OPEN_MAPS]), channels)
    assert [len(channels[spec.slice(m)]) for m in OPEN_MAPS] == [3, 3, 3, 1]
    assert "preview" in spec
    assert "albedo" not in spec
    with pytest.raises(UserError, match="have no map 'albedo'"):
        spec.slice("albedo")
    assert SnapshotSpec("open", tuple(MAP_CHANNELS)).channels == 19


def through_a_file(folder: Path) -> None:
    path = folder / "config.yaml"
    path.write_text("snapshot_maps: [lambertian, normals]")
    load_config(path)


def through_saved_weights(folder: Path) -> None:
    control_network().save_pretrained(folder)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "snapshot_maps": list(REORDERED)}))
    ExpFaceNet.from_pretrained(folder)


def through_the_renderer(folder: Path) -> None:
    geometry = find_head("open").geometry()
    geometry.snapshot(FaceParameters.default(geometry.head), 32, REORDERED)


DOORS: dict[str, Callable[[Path], Any]] = {
    "spec": lambda folder: SnapshotSpec("open", REORDERED),
    "names": lambda folder: check_maps(["visibility", "preview"]),
    "training config": lambda folder: TrainConfig(snapshot_maps=REORDERED),
    "YAML": through_a_file,
    "control network": lambda folder: control_network(maps=REORDERED),
    "saved control network": through_saved_weights,
    "renderer": through_the_renderer,
}


@pytest.mark.parametrize("door", DOORS)
def test_another_order_is_an_error_at_every_door(door: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not in the one order that channels have; write "):
        DOORS[door](tmp_path)


def write_pairs(folder: Path, head: str) -> Path:
    """A block of grey pairs."""
    folder.mkdir()
    describe_pairs(folder, head)
    np.save(folder / "block_00000000.npy", np.full((2, sum(SIDES.values()), 32, 32), 128, np.uint8))
    return folder


def test_pairs_know_head_and_order(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "pairs", "open")
    assert PairDataset(folder).head == "open"
    about = json.loads((folder / ABOUT).read_text())
    (folder / ABOUT).write_text(json.dumps({**about, "maps": dict(reversed(about["maps"].items()))}))
    with pytest.raises(UserError, match="in this order; make the pairs again"):
        PairDataset(folder)
    (folder / ABOUT).unlink()
    with pytest.raises(UserError, match=r"pairs\.json does not say of which head model"):
        PairDataset(folder)


def test_data_of_another_head_are_refused(tmp_path: Path) -> None:
    config = TrainConfig(network="debug", batch=1, mask_patch=8)
    for head in ("open", "flame"):
        data = PairDataset(write_pairs(tmp_path / head, head))
        if head == "open":
            assert StepData(data, config)[0][0].snapshot.shape[1] == 6
        else:
            with pytest.raises(UserError, match=r"head model 'flame' and the config says head: open; write head: flame"):
                StepData(data, config)
            StepData(data, TrainConfig(stage="diffae", network="debug"))  # the backbone reads no snapshots
    (tmp_path / "index.json").write_text(json.dumps({"shardlist": [], "size": 64, "crop_format": "png"}))
    with pytest.raises(UserError, match="with size, crop_format and head"):
        ShardDataset(tmp_path)


def test_weights_of_another_head_are_refused(tmp_path: Path) -> None:
    """As a part of a preset, and as an asset of the paper preset."""
    DiffAE(**debug_config()).save_pretrained(tmp_path / "diffae")
    control_network("open").save_pretrained(tmp_path / "exp_facenet")
    preset = {"name": "mixed", "head": "flame", "start": "noise", "strength": 1.0, "steps": 2}
    (tmp_path / "preset.json").write_text(json.dumps(preset))
    with pytest.raises(
        UserError, match=r"trained on snapshots of the head model 'open', and the preset's is 'flame'.*prepare --head flame"
    ):
        load_preset(tmp_path)
    with pytest.raises(UserError, match="head model 'open', and the preset's is 'flame'"):
        import_asset(tmp_path / "exp_facenet", tmp_path / "store")
    (tmp_path / "preset.json").write_text(json.dumps({**preset, "head": "open"}))
    assert load_preset(tmp_path).control.spec == SnapshotSpec("open", PAPER_MAPS)
    control_network("flame").save_pretrained(tmp_path / "exp_facenet")
    assert import_asset(tmp_path / "exp_facenet", tmp_path / "store").state == "ok"
