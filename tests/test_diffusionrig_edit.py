"""DiffusionRig from an official file to finished edits, on a synthetic FLAME with random weights: import, evaluate, stage 2 on an album, buffers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.peer_files import gif_file, nerf_file, nl_files
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner, Result

from discontrolface.baselines import gif_method, headnerf_method
from discontrolface.baselines.rig_album import read_album
from discontrolface.baselines.rig_buffers import rig_buffers
from discontrolface.cli.app import app
from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.common.snapshot_spec import SnapshotSpec
from discontrolface.editing.reading import Reader
from discontrolface.evaluation import metrics, trials
from discontrolface.face.geometry import DetailGeometry
from discontrolface.nets.diffusion_rig import MAPS, DiffusionRig, physical_buffers
from discontrolface.nets.presets import diffusionrig_debug_config
from discontrolface.weights.assets import import_asset
from discontrolface.weights.diffusionrig import official

PHOTO = example_photo()
SPEC = SnapshotSpec("flame", MAPS)
STAGE_2 = """
stage: diffusionrig-person
network: diffusionrig-debug
head: flame
pairs: self
steps: 3
batch: 2
lr: 1.0e-3
ema: 0.0
p2: true
flip: false
snapshot_maps: [normals, lambertian, albedo]
mask_patch: 4
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def official_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model050000.pt as the official code saves it."""
    torch.manual_seed(0)
    rig = DiffusionRig(**{k: v for k, v in diffusionrig_debug_config().items() if k != "_class_name"})
    with torch.no_grad():
        for p in rig.parameters():
            p.add_(0.05 * torch.randn(p.shape))
    state = rig.state_dict()
    path: Path = tmp_path_factory.mktemp("official") / "model050000.pt"
    torch.save({official(key, {*state}): as_official(key, value) for key, value in state.items()}, path)
    return path


def as_official(key: str, value: Tensor) -> Tensor:
    """Attention's linear layers are convolutions of width 1 there."""
    return value[..., None] if key.endswith(("attention.qkv.weight", "attention.proj.weight")) else value


@pytest.fixture(scope="module")
def store(paper_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper preset with a texture space."""
    folder: Path = tmp_path_factory.mktemp("assets")
    shutil.copytree(paper_folder, folder, dirs_exist_ok=True)
    rng = np.random.default_rng(0)
    texture = folder / "FLAME_texture.npz"
    np.savez(texture, mean=rng.uniform(50, 200, (512, 512, 3)), tex_dir=rng.normal(0, 3, (512, 512, 3, 50)).astype(np.float32))
    assert import_asset(texture, folder).state == "ok"
    texture.unlink()
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos of one person, and a file that is none."""
    folder: Path = tmp_path_factory.mktemp("photos")
    photo = Image.open(PHOTO).convert("RGB")
    photo.save(folder / "a.png")
    Image.fromarray(np.asarray(photo)[:, ::-1] // 2 + 60).save(folder / "b.png")
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three edits, whose pictures of 32 pixels are not read again (test_metrics.py is about that)."""
    monkeypatch.setattr(trials, "EDITS", {"open mouth": {"expression": {"jawOpen": 0.6}}, "turn": {"yaw": 15}, "light": {"light": "left"}})
    monkeypatch.setattr(metrics, "read_picture", lambda *_: None)


def evaluated(out: Path, store: Path, photos: Path, *more: str | Path) -> dict[str, Any]:
    """The content of OUT.json after the command."""
    options = ("--steps", "2", "--processes", "1", "--quiet")
    done = run("evaluate", photos, "-o", out, *options, "--preset", "paper", "--assets-dir", store, *more)
    assert done.exit_code == 0, done.output
    content: dict[str, Any] = json.loads(out.read_text())
    return content


@pytest.mark.heavy
@pytest.mark.usefixtures("quick")
def test_from_the_official_file_to_measured_edits(official_file: Path, store: Path, photos: Path, tmp_path: Path) -> None:
    imported = run("assets", "import", official_file, "--assets-dir", store)
    assert imported.exit_code == 0, imported.output
    assert "model050000.pt: DiffusionRig's network" in imported.output
    one = tmp_path / "one"
    one.mkdir()
    shutil.copy(photos / "a.png", one)
    result = evaluated(tmp_path / "a.json", store, one, "--methods", "photo,warp,ours,diffusionrig")
    assert result["labels"]["diffusionrig"] == "DiffusionRig"
    assert len(result["edits"]) == 3
    for edit in result["edits"]:
        assert edit["methods"]["diffusionrig"]["outside"] == 0
    arrays = np.load(tmp_path / "a.parts" / "first.npz")
    made = arrays["method diffusionrig"]
    assert made.shape == arrays["method ours"].shape
    assert all((a != b).any() for a, b in zip(made, arrays["source"], strict=True))
    assert len({picture.tobytes() for picture in made}) == len(made), "other targets, other pictures"
    given = evaluated(tmp_path / "b.json", store, one, "--methods", "diffusionrig", "--weights", f"diffusionrig={official_file}")
    assert [e["methods"]["diffusionrig"] for e in given["edits"]] == [e["methods"]["diffusionrig"] for e in result["edits"]]
    assert "model050000.pt" in given["settings"]["weights of diffusionrig"]
    broken = tmp_path / "broken.pt"
    broken.write_bytes(official_file.read_bytes()[:-5000])
    command = ("evaluate", one, "-o", tmp_path / "c.json", "--methods", "diffusionrig", "--preset", "paper", "--assets-dir", store)
    refused = run(*command, "--weights", f"diffusionrig={broken}")
    assert refused.exit_code == 2
    assert "broken.pt" in refused.stderr


@pytest.mark.usefixtures("quick")
def test_all_peers_by_one_command(official_file: Path, store: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Imported from small files as their authors save them: the same photo, the same targets, one table."""
    for method in (gif_method, headnerf_method):
        monkeypatch.setattr(method, "ITERATIONS", 3)
    monkeypatch.setattr(headnerf_method, "FACE_STEPS", (3, 3))
    torch.save(gif_file((8, 8, 8, 8)), tmp_path / "294000_1.model")
    torch.save(nerf_file(), tmp_path / "model_Reso32.pth")
    face, _, _ = nl_files(tmp_path)
    files = (official_file, tmp_path / "294000_1.model", tmp_path / "model_Reso32.pth", face)
    imported = run("assets", "import", *files, "--assets-dir", store)
    assert imported.exit_code == 0, imported.output
    one = tmp_path / "one"
    one.mkdir()
    shutil.copy(photos / "a.png", one)
    peers = ("diffusionrig", "gif", "headnerf")
    result = evaluated(tmp_path / "a.json", store, one, "--methods", ",".join(("ours", *peers)))
    assert [result["labels"][name] for name in peers] == ["DiffusionRig", "GIF", "HeadNeRF"]
    arrays = np.load(tmp_path / "a.parts" / "first.npz")
    for name in peers:
        made = arrays[f"method {name}"]
        assert all((a != b).any() for a, b in zip(made, arrays["source"], strict=True)), name
        assert len({picture.tobytes() for picture in made}) == len(made), f"{name}: other targets, other pictures"
        assert [edit["methods"][name]["outside"] for edit in result["edits"]] == [0, 0, 0], f"{name}: nothing beyond the mask"


@pytest.mark.heavy
def test_stage_2_learns_one_person(official_file: Path, store: Path, photos: Path, tmp_path: Path) -> None:
    status, config = import_asset(official_file, store), tmp_path / "stage2.yaml"
    config.write_text(STAGE_2)
    command = ("train", "diffusionrig-person", "--config", config, "--data", photos, "--assets-dir", store, "--device", "cpu")
    without = run(*command, "-o", tmp_path / "without")
    assert without.exit_code == 2
    assert "goes on from trained weights; give their folder with --start-from" in without.stderr
    done = run(*command, "-o", tmp_path / "run", "--start-from", status.path)
    assert done.exit_code == 0, done.output
    assert "2 photos; notes.txt is left out" in done.output
    before, after = (DiffusionRig.from_pretrained(folder) for folder in (status.path, tmp_path / "run" / "weights"))
    for name, value in after.state_dict().items():
        old = before.state_dict()[name]
        if name.startswith("unet.") and name.endswith("weight") and "conv" in name:
            assert not torch.equal(value, old), name
        elif name.startswith("encoder.") and name in dict(after.named_parameters()):
            assert torch.equal(value, old), f"{name}: the encoder's weights stay"
    again = run(*command, "-o", tmp_path / "run", "--start-from", status.path)
    assert again.exit_code == 0, again.output
    same = DiffusionRig.from_pretrained(tmp_path / "run" / "weights").state_dict()
    assert all(torch.equal(value, same[name]) for name, value in after.state_dict().items())
    wrong = run(*command, "-o", tmp_path / "other", "--start-from", store / "diffae")
    assert wrong.exit_code == 2
    assert "holds a DiffAE, not a DiffusionRig" in wrong.stderr


def test_the_album_is_read_with_one_shape(store: Path, photos: Path, tmp_path: Path) -> None:
    reader = Reader.flame(store, 32)
    album = read_album(photos, reader, 32)
    assert (len(album), album.size, album.head, list(album.left_out)) == (2, 32, "flame", ["notes.txt"])
    people = [reader.read(photos / name) for name in ("a.png", "b.png")]
    shape = np.mean([p.parameters.shape for p in people], axis=0)
    for k, person in enumerate(people):
        assert torch.equal(album.physical[k : k + 1], rig_buffers(person.geometry, person.parameters.with_(shape=shape), 32, SPEC))
        assert np.abs(album.pictures[k].permute(1, 2, 0).numpy() * 127.5 + 127.5 - person.crop.resize(32).image).max() < 0.51
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(UserError, match=r"holds no photo with a face .1 files were tried"):
        read_album(tmp_path, reader, 32)
    with pytest.raises(UserError, match=r"holds no photo with a face .0 files were tried"):
        read_album(tmp_path / "nowhere", reader, 32)


def test_buffers_follow_expression_pose_and_light(store: Path) -> None:
    """With the codes' texture, pixel by pixel; each kind of edit changes what it should."""
    person = Reader.flame(store, 64).read(PHOTO)
    assert isinstance(person.geometry, DetailGeometry)
    still = rig_buffers(person.geometry, person.parameters, 64, SPEC)
    plain = physical_buffers(person.geometry.coarse().snapshot(person.parameters, 64, MAPS).image)
    on_head = still[:, 3:6].norm(dim=1, keepdim=True) > 0.5
    colours, regions = (torch.unique(buffers[0, 6:].flatten(1), dim=1).shape[1] for buffers in (still, plain))
    assert colours > 5 * regions, "the texture's pixels, not a colour a region"
    both = (on_head & (plain[:, 3:6].norm(dim=1, keepdim=True) > 0.5)).expand(-1, 3, -1, -1)
    assert (still[:, 3:6] - plain[:, 3:6])[both].abs().mean() < 0.02, "the same head"
    assert not still[(~on_head).expand(-1, 9, -1, -1)].any()
    p = person.parameters
    lit = rig_buffers(person.geometry, p.with_(light=p.light * 0.5), 64, SPEC)
    assert torch.equal(lit[:, 3:], still[:, 3:])
    torch.testing.assert_close(lit[:, :3], still[:, :3] * 0.5)
    for target in (p.edit(yaw=p.yaw + 20), p.edit(expression={"jawOpen": 1.0})):
        moved = rig_buffers(person.geometry, target, 64, SPEC)
        for part in (slice(0, 3), slice(3, 6), slice(6, 9)):
            assert (moved[:, part] - still[:, part]).abs().max() > 0.1
