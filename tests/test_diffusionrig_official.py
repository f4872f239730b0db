"""DiffusionRig against its official code's figures (tests/goldens/README_peers.md), its checkpoints, and files that want to do harm."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.flame_synthetic import write_all
from helpers.goldens import GOLDENS, ROOT3, close_to_golden, golden_input, load_golden
from helpers.official_recipe import recipe_tensor
from torch import Tensor

from discontrolface.baselines.diffusionrig import Posed, sample_rig, sample_rig_ancestral
from discontrolface.baselines.rig_objective import PersonalObjective
from discontrolface.common.errors import UserError
from discontrolface.diffusion.ancestral import section_timesteps
from discontrolface.diffusion.sampling import sample
from discontrolface.face.deca_buffers import deca_buffers
from discontrolface.face.heads.base import HeadModel
from discontrolface.nets.diffusion_rig import DiffusionRig
from discontrolface.training.dataset import Batch
from discontrolface.weights import import_diffae, import_diffusionrig
from discontrolface.weights.assets import import_asset
from discontrolface.weights.diffusionrig import official, ours, read_config

NETWORKS: dict[str, Any] = json.loads((GOLDENS / "diffusionrig.json").read_text())
OPTIONS: dict[str, dict[str, Any]] = {"tiny": {}, "sigma": {}, "resnet50": {"num_heads": 2}}


def official_state(name: str) -> dict[str, Tensor]:
    """A state dict as the official code saves it, with the recipe's weights."""

    def tensor(key: str, shape: list[int]) -> Tensor:
        return torch.zeros((), dtype=torch.int64) if key.endswith("num_batches_tracked") else recipe_tensor(key, tuple(shape))

    return {key: tensor(key, shape) for key, shape in NETWORKS[name]["keys"].items()}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return official_state("tiny")


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_golden("diffusionrig")


@pytest.fixture(scope="module")
def rigs(state: dict[str, Tensor]) -> dict[str, DiffusionRig]:
    return {name: import_diffusionrig(state if name == "tiny" else official_state(name), **OPTIONS[name]) for name in OPTIONS}


def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x_t, t, physical, x_start."""
    x_t, physical = golden_input("rig.x_t", (2, 3, 64, 64), 1.7), golden_input("rig.physical", (2, 9, 64, 64))
    x_start = golden_input("rig.x_start", (2, 3, 64, 64))
    return x_t, torch.tensor([950, 50]), physical, x_start


@pytest.mark.parametrize("name", OPTIONS)
@torch.no_grad()
def test_forward(name: str, rigs: dict[str, DiffusionRig], golden: dict[str, Tensor]) -> None:
    rig, (x_t, t, physical, x_start) = rigs[name], inputs()
    code = rig.encode(x_start)
    torch.testing.assert_close(code, golden[f"{name}.code"], atol=1e-5, rtol=0)
    out = rig(x_t, t, physical, code=code)
    close_to_golden(out, golden, f"{name}.out", 1e-4)
    assert torch.equal(out, rig(x_t, t, physical, x_start=x_start))
    assert out.shape[1] == (6 if name == "sigma" else 3)
    with pytest.raises(UserError, match="and not both"):
        rig(x_t, t, physical)


@pytest.mark.parametrize("name", ["tiny", "sigma"])
def test_sampling_of_20_steps(name: str, rigs: dict[str, DiffusionRig], golden: dict[str, Tensor]) -> None:
    """DDIM and DDPM, without and with learned variances."""
    _, _, physical, x_start = (part[:1] for part in inputs())
    noise = golden_input("rig.noise", (1, 3, 64, 64), ROOT3)
    made = sample_rig(rigs[name], x_start, physical, noise, 20)
    close_to_golden(made, golden, f"{name}.ddim20", 1e-3)
    posed = Posed(rigs[name], physical)
    assert torch.equal(made, sample(posed, noise, posed.encode(x_start), steps=20)), "a backbone as any other"
    drawn = sample_rig_ancestral(rigs[name], x_start, physical, noise, 20, torch.Generator().manual_seed(7))
    close_to_golden(drawn, golden, f"{name}.ddpm20", 1e-3)
    other = sample_rig_ancestral(rigs[name], x_start, physical, noise, 20, torch.Generator().manual_seed(8))
    assert (other - drawn).abs().mean() > 0.01


def test_timesteps_of_sections() -> None:
    assert section_timesteps(20)[:4] == [0, 53, 105, 158]
    assert section_timesteps(1000) == list(range(1000))
    assert section_timesteps(1) == [0]
    with pytest.raises(UserError, match="between 1 and 1000"):
        section_timesteps(0)


def test_p2_loss(rigs: dict[str, DiffusionRig], golden: dict[str, Tensor]) -> None:
    _, _, physical, x_start = inputs()
    noise, ones = golden_input("rig.train_noise", (2, 3, 64, 64), ROOT3), torch.ones(2, 1, 64, 64)
    batch = Batch(x_start, x_start, physical, ones, mask=ones > 2, t=torch.tensor([700, 20]), noise=noise)
    with torch.no_grad():
        loss = PersonalObjective(rigs["tiny"], p2=True).eval()(batch).per_sample
    torch.testing.assert_close(loss, golden["tiny.p2_loss"], atol=1e-5, rtol=1e-4)


def test_buffers_are_decas(golden: dict[str, Tensor], tmp_path: Path) -> None:
    write_all(tmp_path, networks=False)
    files = [tmp_path / name for name in ("generic_model.pkl", "landmark_embedding.npy", "head_template.obj")]
    head = HeadModel.from_flame(*files)
    pose = torch.zeros(2, 5, 3)
    pose[1, 0], pose[1, 2, 0] = torch.tensor([0.1, 0.4, 0.05]), 0.2
    light, texture = golden_input("rig.light", (2, 9, 3), 0.5), golden_input("rig.texture", (2, 3, 256, 256), 0.5) + 0.5
    light[:, 0] += 3
    vertices = head(shape=golden_input("rig.shape", (2, 100), 2.0), pose=pose).vertices
    drawn = deca_buffers(head, vertices, golden["buffers.camera"], light, texture, 64)
    close_to_golden(drawn, golden, "buffers", 1e-3)
    with pytest.raises(UserError, match="no texture coordinates"):
        deca_buffers(HeadModel.from_flame(*files[:2]), vertices, golden["buffers.camera"], light, texture, 64)


# ---- keys, shapes, configurations


@pytest.mark.parametrize("name", NETWORKS)
def test_every_key_and_shape_and_the_parameters(name: str) -> None:
    shapes = {key: tuple(shape) for key, shape in NETWORKS[name]["keys"].items()}
    with torch.device("meta"):
        rig = DiffusionRig(**read_config(shapes, name))
    mapped = {ours(key): tuple(n for n in shape if n != 1) for key, shape in shapes.items()}
    assert len(mapped) == len(shapes), "one to one"
    assert mapped == {key: tuple(n for n in value.shape if n != 1) for key, value in rig.state_dict().items()}
    assert {official(mine, {*mapped}) for mine in mapped if mine} == {*shapes}
    assert sum(p.numel() for p in rig.parameters()) == NETWORKS[name]["parameters"]
    assert rig.config["learned_variance"] == (name == "sigma")


def test_the_defaults_are_the_official_network() -> None:
    shapes = {key: tuple(shape) for key, shape in NETWORKS["full"]["keys"].items()}
    with torch.device("meta"):
        default = DiffusionRig()
    assert sum(p.numel() for p in default.parameters()) == 144_610_179
    read = read_config(shapes, "x")
    assert {name: default.config[name] for name in read} == read
    other = {**shapes, "denoisingUNet.out.2.weight": (6, 128, 3, 3), "denoisingUNet.out.2.bias": (6,)}
    assert read_config(other, "x")["learned_variance"]
    assert read_config(shapes, "x", image_size=512)["attention_resolutions"] == (32,)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "ema.", "model.module."])
def test_prefixes(prefix: str, state: dict[str, Tensor], rigs: dict[str, DiffusionRig], tmp_path: Path) -> None:
    torch.save({prefix + key: value for key, value in state.items()}, tmp_path / "model.pt")
    same(import_diffusionrig(tmp_path / "model.pt"), rigs["tiny"])


def test_counts_of_batches_may_be_missing(state: dict[str, Tensor], rigs: dict[str, DiffusionRig]) -> None:
    """As of a mapping of floating-point tensors alone; where they are there they are kept."""
    same(import_diffusionrig({key: value for key, value in state.items() if value.is_floating_point()}), rigs["tiny"])
    counted = import_diffusionrig(state | {"encoder.bn1.num_batches_tracked": torch.tensor(7)})
    assert int(counted.state_dict()["encoder.bn1.num_batches_tracked"]) == 7


@pytest.mark.parametrize("zip_format", [True, False])
def test_files_and_folders(zip_format: bool, state: dict[str, Tensor], rigs: dict[str, DiffusionRig], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "model050000.pt", _use_new_zipfile_serialization=zip_format)
    same(import_diffusionrig(tmp_path / "model050000.pt"), rigs["tiny"])
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "wrapped.pt", _use_new_zipfile_serialization=zip_format)
    same(import_diffusionrig(str(tmp_path / "wrapped.pt")), rigs["tiny"])
    status = import_asset(tmp_path / "model050000.pt", tmp_path / "store")
    assert (status.asset.key, status.state) == ("diffusionrig", "ok")
    same(DiffusionRig.from_pretrained(status.path), rigs["tiny"])


def same(a: DiffusionRig, b: DiffusionRig) -> None:
    assert dict(a.config) == dict(b.config)
    assert not a.training
    for (name, mine), value in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(mine, value), name


# ---- refused


def without(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if k != key}


UNET, STEM, FC = "denoisingUNet.", "denoisingUNet.input_blocks.0.0.weight", "encoder.fc.weight"
State = dict[str, Tensor]
WRONG: dict[str, tuple[Callable[[State], State], str]] = {
    "a key is missing": (
        lambda s: without(s, "encoder.layer3.0.bn1.running_mean"),
        r"missing \['encoder\.layer3\.0\.bn1\.running_mean'\]",
    ),
    "a U-Net key is missing": (
        lambda s: without(s, UNET + "middle_block.1.qkv.bias"),
        r"missing \['denoisingUNet\.middle_block\.1\.qkv\.bias'\]",
    ),
    "a key is too many": (lambda s: s | {"encoder.layer9.bias": s["encoder.fc.bias"]}, r"unexpected \['encoder\.layer9\.bias'\]"),
    "a U-Net key is too many": (
        lambda s: s | {UNET + "label_emb.weight": s[FC]},
        r"unexpected \['denoisingUNet\.label_emb\.weight'\]",
    ),
    "a shape": (lambda s: s | {"encoder.bn1.bias": torch.zeros(3)}, r"wrong shapes: encoder\.bn1\.bias \[3\] instead of \[64\]"),
    "a NaN": (lambda s: s | {"encoder.bn1.bias": torch.full((64,), torch.nan)}, r"encoder\.bn1\.bias .*NaN or infinite"),
    "whole numbers": (lambda s: s | {"encoder.bn1.bias": torch.zeros(64, dtype=torch.int32)}, r"encoder\.bn1\.bias .*int32"),
    "other buffers": (lambda s: s | {STEM: torch.zeros(32, 9, 3, 3)}, "sees 9 channels, not the 12"),
    "another output": (lambda s: s | {UNET + "out.2.weight": torch.zeros(5, 32, 3, 3)}, "gives 5 channels, not 3"),
    "another code": (
        lambda s: s | {FC: torch.zeros(64, 512), "encoder.fc.bias": torch.zeros(64)},
        "an encoder of 64 numbers and ResBlocks that take 16",
    ),
    "no encoder": (lambda s: {k: v for k, v in s.items() if not k.startswith("encoder.")}, r"'encoder\.fc\.weight' does not fit"),
    "two networks": (lambda s: s | {f"ema.{k}": v for k, v in s.items()}, r"holds 2 DiffusionRig networks, under '', 'ema\.'"),
    "something beside it": (
        lambda s: {f"ema.{k}": v for k, v in s.items()} | {"step": torch.ones(1)},
        r"has the key step beside those of 'ema\.denoisingUNet\.'",
    ),
    "resblock_updown": (lambda s: s | {UNET + "input_blocks.2.0.op.weight": torch.zeros(32, 32, 3, 3)}, "resblock_updown False"),
    "scale_shift": (lambda s: s | {UNET + "input_blocks.1.0.emb_layers.1.weight": torch.zeros(32, 128)}, "use_scale_shift_norm False"),
    "guided-diffusion": (
        lambda s: {"time_embed.0.weight": s[FC], "input_blocks.0.0.weight": s[STEM]},
        "an ADM network without DiffusionRig's encoder",
    ),
    "a class-conditional one": (lambda s: {"label_emb.weight": s[FC], "input_blocks.0.0.weight": s[STEM]}, "a class-conditional ADM"),
    "Diff-AE": (lambda s: {"model.time_embed.time_embed.0.weight": s[FC]}, "a Diff-AE autoencoder, which import_diffae reads"),
    "nothing": (lambda s: {}, "has no key denoisingUNet"),
}


@pytest.mark.parametrize("case", WRONG)
def test_other_contents_are_named(case: str, state: dict[str, Tensor]) -> None:
    change, words = WRONG[case]
    with pytest.raises(UserError, match=words):
        import_diffusionrig(change(state))


def test_a_diffae_reader_says_that_it_is_another_network(state: dict[str, Tensor]) -> None:
    with pytest.raises(UserError, match=r"begin with 'denoisingUNet\.'"):
        import_diffae(state)


class Bomb:
    """Runs a command where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def small_state() -> dict[str, Tensor]:
    return {STEM: torch.zeros(32, 12, 3, 3), FC: torch.zeros(16, 512)}


def optimizer_state(path: Path) -> None:
    torch.save({"state": {0: {"step": 1, "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4}]}, path)


def compressed(path: Path) -> None:
    torch.save(small_state(), path)
    with zipfile.ZipFile(path) as old:
        members = [(m.filename, old.read(m)) for m in old.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in members:
            new.writestr(name, data)


def expanded(path: Path) -> None:
    torch.save(small_state() | {"x": torch.zeros(1).expand(1 << 40)}, path)


HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "code in a checkpoint": (lambda p: torch.save(small_state() | {"x": Bomb(p.with_suffix(".proof"))}, p), "nothing in it was executed"),
    "code in an old checkpoint": (
        lambda p: torch.save(small_state() | {"x": Bomb(p.with_suffix(".proof"))}, p, _use_new_zipfile_serialization=False),
        "nothing in it was executed",
    ),
    "code as a bare pickle": (lambda p: p.write_bytes(pickle.dumps(Bomb(p.with_suffix(".proof")))), "nothing in it was executed"),
    "an optimizer's state": (optimizer_state, "no tensors that have a name"),
    "a zip bomb": (compressed, "compressed or claims to be larger"),
    "an expanded tensor of 4 TB": (expanded, r"model\.pt"),
    "a page of HTML": (lambda p: p.write_text("<!DOCTYPE html><title>Google Drive - Quota exceeded</title>"), r"model\.pt"),
    "nothing": (lambda p: p.write_bytes(b""), r"model\.pt"),
    "another zip": (lambda p: zipfile.ZipFile(p, "w").writestr("a.txt", "x"), r"model\.pt"),
    "no file": (lambda p: None, "does not exist"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_by_name(case: str, tmp_path: Path) -> None:
    write, words = HOSTILE[case]
    path = tmp_path / "model.pt"
    write(path)
    with pytest.raises(UserError, match=words) as error:
        import_diffusionrig(path)
    assert "model.pt" in str(error.value)
    assert not path.with_suffix(".proof").exists()


@pytest.mark.parametrize("zip_format", [True, False])
def test_truncated_files_are_refused(zip_format: bool, state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(state, path, _use_new_zipfile_serialization=zip_format)
    data = path.read_bytes()
    for share in (0.0001, 0.01, 0.5, 0.9, 0.999):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(UserError, match=r"model\.pt"):
            import_diffusionrig(path)
    rng, names = np.random.default_rng(0), []
    for _ in range(20):  # damage anywhere: refused, or a number that is another
        damaged = np.frombuffer(data, np.uint8).copy()
        damaged[rng.integers(2000, size=3)] = rng.integers(256, size=3)
        path.write_bytes(damaged.tobytes())
        try:
            import_diffusionrig(path)
        except UserError as error:
            names.append("model.pt" in str(error))
    assert all(names)
