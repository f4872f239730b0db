"""Exp-FaceNet on FLAME from photos to an edit: prepare, train, import, edit; and what is refused on the way. On a synthetic FLAME, tiny networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.flame_synthetic import write_all
from PIL import Image

from discontrolface import Editor, UserError
from discontrolface.common.snapshot_spec import OPEN_MAPS, PAPER_MAPS, SnapshotSpec
from discontrolface.editing.reading import Reader
from discontrolface.evaluation.trials import Bench, ShardEdits
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.presets import debug_config
from discontrolface.synthetic.portraits import HELD_OUT, make_scene, random_parameters, render_scene
from discontrolface.training import prepare as preparing
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import StepData
from discontrolface.training.prepare import make_shard, prepare
from discontrolface.training.samples import SampleSettings
from discontrolface.training.shards import ShardDataset
from discontrolface.training.train import train
from discontrolface.weights.assets import import_asset

SIZE = 32


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with FLAME, its landmarks and texture coordinates; no networks."""
    downloads, store = tmp_path_factory.mktemp("downloads"), tmp_path_factory.mktemp("assets")
    write_all(downloads, networks=False)
    for path in downloads.iterdir():
        assert import_asset(path, store).state == "ok"
    return store


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        scene = make_scene(HELD_OUT + seed, detail=0.2)
        picture = render_scene(scene, random_parameters(scene, np.random.default_rng(seed)), 200).image
        Image.fromarray((picture * 255 + 0.5).astype(np.uint8)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def shards(photos: Path, assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "run_local", lambda jobs, processes: map(make_shard, jobs))  # in this process: quick
        report = prepare(photos, output, SampleSettings(SIZE, max_error=6, head="flame", assets=str(assets)))
    assert report["samples"] >= 2
    return output


def settings(**changes: object) -> TrainConfig:
    values: dict[str, object] = {"network": "debug", "pairs": "self", "steps": 3, "batch": 2, "mask_patch": 8, "lr": 1e-2, "ema": 0.0}
    return TrainConfig(**{**values, **changes})  # type: ignore[arg-type]


def test_shards_say_their_head_and_hold_its_snapshots(shards: Path, assets: Path) -> None:
    assert json.loads((shards / "index.json").read_text())["head"] == "flame"
    data = ShardDataset(shards, assets)
    parameters = data.parameters(0)
    assert (data.head, parameters.head, len(parameters.shape)) == ("flame", "flame", 100)
    drawn = data.geometry(0).snapshot(parameters, SIZE, PAPER_MAPS)
    assert drawn.spec == SnapshotSpec("flame", PAPER_MAPS)
    stored = data.picture(0, "snapshot.png", 2 * SIZE)
    again = drawn.image[0].permute(1, 2, 0).numpy() * 0.5 + 0.5
    assert np.abs(np.concatenate([again[..., :3], again[..., 3:]], 1).clip(0, 1) - stored).max() < 1.01 / 255
    warped = StepData(data, settings(head="flame", pairs="warp", snapshot_maps=OPEN_MAPS))[0][0]
    assert not torch.equal(warped.source, warped.target)


def test_settings_of_another_head_are_refused(photos: Path, shards: Path) -> None:
    with pytest.raises(UserError, match="another head \\('flame'\\)"):
        prepare(photos, shards, SampleSettings(SIZE, max_error=6))
    with pytest.raises(UserError, match="head model 'smpl' is not known"):
        SampleSettings(head="smpl")


def test_from_photos_to_an_edit(shards: Path, assets: Path, photos: Path, tmp_path: Path) -> None:
    data = ShardDataset(shards, assets)
    torch.manual_seed(0)
    backbone = DiffAE(**debug_config())
    with torch.no_grad():  # a fresh network's last layers are zero: nothing would pass them
        for p in backbone.parameters():
            p.add_(0.05 * torch.randn(p.shape))
    backbone.save_pretrained(tmp_path / "backbone")
    with pytest.raises(UserError, match="data are of the head model 'flame' and the config says head: open"):
        train(settings(), data, tmp_path / "wrong", tmp_path / "backbone")
    weights = train(settings(head="flame"), data, tmp_path / "run", tmp_path / "backbone")
    assert ExpFaceNet.from_pretrained(weights).spec == SnapshotSpec("flame", PAPER_MAPS)

    # a preset of the two, on FLAME
    preset = tmp_path / "preset"
    backbone.save_pretrained(preset / "diffae")
    ExpFaceNet.from_pretrained(weights).save_pretrained(preset / "exp_facenet")
    values = {"name": "small", "head": "flame", "start": "noise", "strength": 1.0, "steps": 2}
    (preset / "preset.json").write_text(json.dumps(values))
    editor = Editor.load(preset, cache=tmp_path / "cache", assets=assets)
    person = editor.read(photos / "0.png")
    assert person.parameters.head == "flame"
    target = person.parameters.edit(expression={"jawOpen": 0.8}, yaw=person.parameters.yaw + 15)
    result = editor.edit(person, target)
    assert result.record["head"] == "flame"
    assert (np.asarray(result.image)[result.mask] != person.photo.array[result.mask]).any()

    # the same weights are an asset of the paper preset, and no part of a preset with the open head
    assert import_asset(weights, tmp_path / "store").asset.key == "exp_facenet"
    (preset / "preset.json").write_text(json.dumps({**values, "head": "open"}))
    with pytest.raises(UserError, match="trained on snapshots of the head model 'flame', and the preset's is 'open'"):
        Editor.load(preset, cache=tmp_path / "cache")


def test_held_out_edits_of_shards_are_of_their_head(shards: Path, assets: Path) -> None:
    edits = ShardEdits(shards, 2)
    (numbers,) = edits.batches()
    reader = Reader.load("flame", SIZE, assets)
    (trial, *_) = edits.make(numbers, Bench(reader, reader.geometry, SIZE, PAPER_MAPS)).trials
    assert trial.edit.snapshot.spec == SnapshotSpec("flame", PAPER_MAPS)
    reader = Reader.load("open", SIZE)
    with pytest.raises(UserError, match="are of the head model 'flame', and the preset's is 'open'; run prepare with --head open"):
        edits.make(numbers, Bench(reader, reader.geometry, SIZE, PAPER_MAPS))


def test_a_person_of_another_head_is_refused(assets: Path, photos: Path, tmp_path: Path) -> None:
    """Only who asks for it (reader=, --head) gets one head model's snapshots into another's networks."""
    editor = Editor.load("open", cache=tmp_path)
    person = Reader.flame(assets, editor.size).read(photos / "0.png")
    with pytest.raises(UserError, match=r"reads snapshots with .* of the head model 'open', not with .* of the head model 'flame'"):
        editor.edit(person, person.parameters)
