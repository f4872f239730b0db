"""Official checkpoints in: every shape of file they come in, and files that want to do harm."""

import argparse
import collections
import json
import os
import pickle
import struct
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.goldens import GOLDENS
from helpers.official_recipe import recipe_state_dict, recipe_tensor
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.weights import import_attributes, import_diffae, import_latent
from discontrolface.weights.checkpoint import open_checkpoint
from discontrolface.weights.official import CELEBA_ATTRIBUTES, official_key, our_key

SHAPES: dict[str, list[int]] = json.loads((GOLDENS / "diffae_tiny.json").read_text())["lit_keys"]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """A Lightning state dict: `model.*` wrong on purpose, `ema_model.*` the weights."""
    wrong = {key: torch.full(shape, 0.125) for key, shape in SHAPES.items() if key.startswith("model.")}
    right = {f"ema_model.{key}": value for key, value in recipe_state_dict(SHAPES, "ema_model.").items()}
    return {"x_T": torch.zeros(4, 3, 64, 64), **wrong, **right}


@pytest.fixture
def lightning(state: dict[str, Tensor]) -> Iterator[dict[str, Any]]:
    """A checkpoint as Lightning 1.4 wrote them: a class as a key of `callbacks`, and objects of several kinds beside the tensors."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    modules = {".".join(name.split(".")[:n]): types.ModuleType(".".join(name.split(".")[:n])) for n in (1, 2, 3)}
    model_checkpoint = type("ModelCheckpoint", (), {"__module__": name})
    modules[name].ModelCheckpoint = model_checkpoint  # type: ignore[attr-defined]
    sys.modules.update(modules)
    ordered = collections.OrderedDict(state)
    ordered._metadata = collections.OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    yield {
        "epoch": 3,
        "global_step": 7,
        "pytorch-lightning_version": "1.4.5",
        "state_dict": ordered,
        "callbacks": {model_checkpoint: {"best_model_score": torch.ones(()), "seen": {1, 2}, "n": np.float64(3), "a": np.arange(3)}},
        "optimizer_states": [{"state": {0: {"step": 1, "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999)}]}],
        "lr_schedulers": [],
        "hyper_parameters": argparse.Namespace(lr=1e-4, path=Path("x")),
    }
    for module in modules:
        del sys.modules[module]


def weights_of(model: torch.nn.Module) -> list[Tensor]:
    return list(model.state_dict().values())


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(weights_of(a), weights_of(b), strict=True))


@pytest.mark.parametrize("zip_format", [True, False])
def test_lightning_files_that_weights_only_refuses(
    tmp_path: Path, lightning: dict[str, Any], state: dict[str, Tensor], zip_format: bool
) -> None:
    path = tmp_path / "last.ckpt"
    torch.save(lightning, path, _use_new_zipfile_serialization=zip_format)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    model = import_diffae(path)
    assert same(model, import_diffae(state))
    assert not any((p == 0.125).all() for p in model.parameters())
    assert model.config.image_size == 64
    assert model.config.encoder_mult == (1, 1, 2, 2, 2)
    assert not model.training


def test_every_kind_of_source_gives_the_same_model(tmp_path: Path, state: dict[str, Tensor]) -> None:
    model = import_diffae(state)
    bare = {key.removeprefix("ema_model."): value for key, value in state.items() if key.startswith("ema_model.")}
    assert same(import_diffae(bare), model)
    torch.save(bare, tmp_path / "bare.pt")
    assert same(import_diffae(str(tmp_path / "bare.pt")), model)
    half = {key: value.half() for key, value in bare.items()}  # the recipe's numbers are exact in half precision
    torch.save(half, tmp_path / "half.pt")
    assert same(import_diffae(tmp_path / "half.pt"), model)
    shared = torch.arange(8.0)  # a view of a larger storage, as optimizers flatten them
    torch.save({"a": shared[2:6].view(2, 2).T}, tmp_path / "view.pt")
    assert torch.equal(open_checkpoint(tmp_path / "view.pt").read("a"), torch.tensor([[2.0, 4.0], [3.0, 5.0]]))


def test_weights_before_averaging_can_be_chosen(state: dict[str, Tensor]) -> None:
    assert all((p == 0.125).all() for p in import_diffae(state, weights="model").parameters())


def test_missing_and_unexpected_keys_are_named(state: dict[str, Tensor]) -> None:
    broken = {key: value for key, value in state.items() if not key.startswith("model.")}
    del broken["ema_model.out.2.bias"], broken["ema_model.encoder.out.3.weight"]
    broken["ema_model.surprise.weight"] = torch.zeros(3)
    broken["ema_model.input_blocks.1.1.norm.weight"] = torch.zeros(32)
    with pytest.raises(UserError) as error:
        import_diffae(broken)
    missing, unexpected = str(error.value).split("unexpected")
    assert "'ema_model.out.2.bias'" in missing
    assert "'ema_model.encoder.out.3.weight'" in missing
    assert "'ema_model.surprise.weight'" in unexpected
    assert "'ema_model.input_blocks.1.1.norm.weight'" in unexpected
    assert str(error.value).count("ema_model") == 4


def test_key_map_inverts() -> None:
    ours = {our_key(key.removeprefix("ema_model.")): key.removeprefix("ema_model.") for key in SHAPES if key.startswith("ema_model.")}
    assert {key: official_key(key, ours) for key in ours} == ours


def test_wrong_shapes_and_numbers_are_named(state: dict[str, Tensor]) -> None:
    with pytest.raises(UserError, match=r"out\.2\.weight \[3, 32, 1, 1\] instead of \[3, 32, 3, 3\]"):
        import_diffae({**state, "ema_model.out.2.weight": torch.zeros(3, 32, 1, 1)})
    for bad in (float("nan"), float("inf")):
        poisoned = state["ema_model.middle_block.0.in_layers.2.weight"].clone()
        poisoned[1, 2, 0, 1] = bad
        with pytest.raises(UserError, match=r"middle_block\.0\.in_layers\.2\.weight .* NaN or infinite"):
            import_diffae({**state, "ema_model.middle_block.0.in_layers.2.weight": poisoned})
    with pytest.raises(UserError, match="not the keys of an official Diff-AE"):
        import_diffae({"ema_model.input_blocks.0.0.weight": torch.zeros(32, 3, 3, 3)})
    with pytest.raises(UserError, match="has no key"):
        import_diffae({"something": torch.zeros(3)})


class Bomb:
    """Unpickling this creates a file: proof of execution."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


class Evaluated(Bomb):
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"open({str(self.path)!r}, 'w')",)


class Attribute(Bomb):
    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (str, "upper")


@pytest.mark.parametrize("kind", [Bomb, Evaluated, Attribute])
@pytest.mark.parametrize("zip_format", [True, False])
def test_code_is_refused_and_not_executed(tmp_path: Path, state: dict[str, Tensor], kind: type[Bomb], zip_format: bool) -> None:
    path, proof = tmp_path / "evil.ckpt", tmp_path / "proof"
    torch.save({"state_dict": state, "callbacks": {"x": kind(proof)}}, path, _use_new_zipfile_serialization=zip_format)
    with pytest.raises(UserError, match=r"it names \w+\.\w+, which no checkpoint of weights needs; nothing in it was executed") as error:
        import_diffae(path)
    assert str(path) in str(error.value)
    assert not proof.exists()


def test_a_bare_pickle_is_refused(tmp_path: Path) -> None:
    path, proof = tmp_path / "evil.pkl", tmp_path / "proof"
    path.write_bytes(pickle.dumps(Bomb(proof)))
    with pytest.raises(UserError, match="nothing in it was executed"):
        import_diffae(path)
    assert not proof.exists()


@pytest.mark.parametrize("zip_format", [True, False])
def test_truncated_files_are_refused(tmp_path: Path, state: dict[str, Tensor], zip_format: bool) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=zip_format)
    data = path.read_bytes()
    for share in (0.0, 0.0005, 0.01, 0.5, 0.9, 0.999):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(UserError):
            import_diffae(path)


def test_arbitrary_damage_is_refused_or_harmless(tmp_path: Path) -> None:
    """Random bytes overwritten in a small file: a UserError or a readable tensor, never another exception."""
    path = tmp_path / "x.pt"
    rng = np.random.default_rng(0)
    for zip_format in (True, False):
        torch.save({"state_dict": {"a": torch.zeros(4)}}, path, _use_new_zipfile_serialization=zip_format)
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        for _ in range(300):
            damaged = data.copy()
            damaged[rng.integers(len(data), size=3)] = rng.integers(256, size=3)
            path.write_bytes(damaged.tobytes())
            try:
                checkpoint = open_checkpoint(path)
                for key in checkpoint:
                    checkpoint.read(key)
            except UserError:
                pass


def rewrite(path: Path, out: Path, pickle_bytes: bytes | None = None, compression: int = zipfile.ZIP_STORED) -> None:
    """The same zip with another data.pkl or compressed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", compression) as new:
        for member in old.infolist():
            data = old.read(member)
            new.writestr(member.filename, pickle_bytes if pickle_bytes and member.filename.endswith("data.pkl") else data)


def test_zip_bombs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"a": torch.zeros(4_000_000)}, path)
    rewrite(path, tmp_path / "bomb.pt", compression=zipfile.ZIP_DEFLATED)
    assert (tmp_path / "bomb.pt").stat().st_size < 100_000
    with pytest.raises(UserError, match="compressed or claims to be larger"):
        import_diffae(tmp_path / "bomb.pt")


@pytest.mark.parametrize(
    ("shape", "stride"),
    [
        ((1 << 40,), (0,)),
        ((1 << 27,), (0,)),
        ((4, 5), (5, 1)),
        ((2, 3), (0, 2)),
        ((-1,), (1,)),
        ((2, 2), (1,)),
        (("4",), (1,)),
        ((4,), (10**30,)),
        ((4,), (-1,)),
    ],
)
def test_tensors_larger_than_their_numbers_are_refused(tmp_path: Path, shape: tuple[Any, ...], stride: tuple[int, ...]) -> None:
    """A tensor that claims what the file does not hold (an expanded one would fill the memory)."""

    class Liar:
        def __reduce__(self) -> tuple[Any, ...]:
            return torch._utils._rebuild_tensor_v2, (torch.zeros(4).storage(), 0, shape, stride, False, collections.OrderedDict())

    path = tmp_path / "x.pt"
    torch.save({"a": Liar()}, path)
    with pytest.raises(UserError):
        open_checkpoint(path).read("a")


@pytest.mark.parametrize("zip_format", [True, False])
def test_any_stride_within_the_numbers_is_read(tmp_path: Path, zip_format: bool) -> None:
    """Expanded tensors (stride 0), overlapping windows, transposed and shifted views, as other people's code saves them."""
    base = torch.arange(12.0)
    tensors = {
        "expanded": base[3:4].expand(5, 7),
        "rows": base[:4].expand(3, 4),
        "columns": base[:4, None].expand(4, 3),
        "scalar": torch.tensor(2.5).expand(1000),
        "windows": base.as_strided((4, 4), (2, 1), 1),
        "turned": base.view(3, 4).t(),
        "every other": base[1::2],
        "last": base[11:],
        "empty": base[:0].expand(4, 0),
    }
    torch.save({"state_dict": tensors}, tmp_path / "x.pt", _use_new_zipfile_serialization=zip_format)
    checkpoint = open_checkpoint(tmp_path / "x.pt")
    for key, tensor in tensors.items():
        assert torch.equal(checkpoint.read(key), tensor), key
        assert checkpoint.read(key).is_contiguous()


def test_many_expanded_tensors_do_not_fill_the_memory(tmp_path: Path) -> None:
    torch.save({str(n): torch.zeros(1).expand(1 << 24) for n in range(8)}, tmp_path / "x.pt")
    checkpoint = open_checkpoint(tmp_path / "x.pt")
    assert checkpoint.read("0").shape == (1 << 24,)
    for key in "123":
        checkpoint.read(key)
    with pytest.raises(UserError, match=r"x\.pt is refused: its expanded tensors"):
        checkpoint.read("4")


@pytest.mark.parametrize("wrap", ["module.{}", "_orig_mod.{}", "module._orig_mod.{}", "_orig_mod.module.{}", "inner"])
def test_names_of_wrappers_are_left_out(tmp_path: Path, state: dict[str, Tensor], wrap: str) -> None:
    """DataParallel's and torch.compile's, around all or around a network within."""

    def wrapped(key: str) -> str:
        if wrap == "inner":
            return key.replace("ema_model.encoder.", "ema_model._orig_mod.encoder.module.").replace(
                "ema_model.out.", "ema_model.module.out."
            )
        return wrap.format(key)

    torch.save({"state_dict": {wrapped(key): value for key, value in state.items()}}, tmp_path / "x.ckpt")
    assert same(import_diffae(tmp_path / "x.ckpt"), import_diffae(state))
    twice = {**state, "module.ema_model.out.2.bias": state["ema_model.out.2.bias"]}
    with pytest.raises(UserError, match=r"has ema_model\.out\.2\.bias and module\.ema_model\.out\.2\.bias"):
        import_diffae(twice)


def test_other_prefixes_are_named(state: dict[str, Tensor]) -> None:
    ema = {key: value for key, value in state.items() if key.startswith("ema_model.")}
    with pytest.raises(UserError, match=r"begin with 'trainer\.ema_model\.', where 'ema_model\.' or nothing is known; remove this prefix"):
        import_diffae({f"trainer.{key}": value for key, value in ema.items()})
    with pytest.raises(UserError, match=r"begin with 'net\.'"):
        import_diffae({key.replace("ema_model.", "net."): value for key, value in ema.items()})
    only = {key: value for key, value in state.items() if key.startswith("model.")}
    with pytest.raises(UserError, match=r"no weights 'ema_model', only 'model'; give weights='model'"):
        import_diffae(only)


def test_files_of_another_kind_are_named(state: dict[str, Tensor]) -> None:
    latent = {f"ema_model.latent_net.layers.{n}.linear.weight": torch.zeros(4, 4) for n in range(2)}
    classifier = {"classifier.weight": torch.zeros(40, 4), "classifier.bias": torch.zeros(40)}
    autoencoder = {key: value for key, value in state.items() if key.startswith("ema_model.")}
    with pytest.raises(UserError, match=r"is a latent DPM without its autoencoder; import_latent reads it"):
        import_diffae(latent)
    with pytest.raises(UserError, match=r"is an autoencoder without a latent DPM; import_diffae reads it"):
        import_latent(autoencoder)
    for read in (import_diffae, import_latent):
        with pytest.raises(UserError, match=r"is an attribute classifier; import_attributes reads it"):
            read(classifier)
    with pytest.raises(UserError, match=r"not an official attribute classifier.*is an autoencoder without a latent DPM"):
        import_attributes(autoencoder)
    bare = {key.removeprefix("ema_model."): value for key, value in autoencoder.items()}
    with pytest.raises(UserError, match="is an autoencoder without a latent DPM"):
        import_latent(bare)


def test_a_checked_tensor_cannot_be_altered_afterwards(tmp_path: Path) -> None:
    """A pickle may give any object a state after it was made; that would undo the checks of a tensor's description."""

    class Altered:
        def __reduce__(self) -> tuple[Any, ...]:
            description = (torch.zeros(4).storage(), 0, (4,), (1,), False, collections.OrderedDict())
            return torch._utils._rebuild_tensor_v2, description, {"shape": (1 << 40,)}

    torch.save({"a": Altered()}, tmp_path / "x.pt")
    with pytest.raises(UserError, match="alters an object"):
        open_checkpoint(tmp_path / "x.pt")


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    torch.save(3, tmp_path / "number.pt")
    torch.save({"state_dict": {"a": 1}}, tmp_path / "no_tensor.pt")
    (tmp_path / "legacy").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C) + pickle.dumps(1001) + struct.pack("<q", 1))
    for path in (*tmp_path.iterdir(), tmp_path / "missing.ckpt", tmp_path):
        with pytest.raises(UserError, match=path.name):
            import_diffae(path)


def test_latent_checkpoint(tmp_path: Path) -> None:
    full = json.loads((GOLDENS / "latent_ffhq256.json").read_text())["keys"]
    smaller = {512: 64, 2048: 128, 2560: 192, 64: 64}
    weights = {f"ema_model.{key}": recipe_tensor(key, tuple(smaller[n] for n in shape)) for key, shape in full.items()}
    state = {**weights, "conds_mean": torch.full((1, 64), 0.5), "conds_std": torch.full((1, 64), 2.0)}
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    net = import_latent(tmp_path / "last.ckpt")
    assert net.config.hidden_channels == 128
    assert net.config.skip_layers == tuple(range(1, 10))
    assert torch.equal(net.denormalize(torch.ones(1, 64)), torch.full((1, 64), 2.5))
    assert torch.equal(net.layers[3].condition.weight, state["ema_model.latent_net.layers.3.cond_layers.1.weight"])
    net.save_pretrained(tmp_path / "saved")
    assert same(type(net).from_pretrained(tmp_path / "saved"), net)
    with pytest.raises(UserError, match="has no conds_mean"):
        import_latent(weights)
    del state["ema_model.latent_net.layers.2.norm.bias"]
    with pytest.raises(UserError, match=r"missing \['ema_model.latent_net.layers.2.norm.bias'\]"):
        import_latent(state)
    with pytest.raises(UserError, match="has no key"):
        import_latent({"x": torch.zeros(2)})


def test_attribute_classifier(tmp_path: Path) -> None:
    """The file shape of `ffhq256_autoenc_cls/last.ckpt`, and the official formula: z_norm + amount sqrt(Z) w / |w|."""
    torch.manual_seed(0)
    state = {
        "conds_mean": torch.randn(1, 512),
        "conds_std": torch.rand(1, 512) + 0.5,
        "classifier.weight": torch.randn(40, 512),
        "classifier.bias": torch.randn(40),
        "ema_classifier.weight": torch.randn(40, 512),
        "ema_classifier.bias": torch.randn(40),
    }
    torch.save({"state_dict": state}, tmp_path / "cls.ckpt")
    directions = import_attributes(tmp_path / "cls.ckpt")
    assert directions.names == CELEBA_ATTRIBUTES
    assert len(CELEBA_ATTRIBUTES) == 40
    assert CELEBA_ATTRIBUTES[31] == "Smiling"
    z = torch.randn(2, 512)
    normalized = (z - state["conds_mean"]) / state["conds_std"]
    moved = normalized + 0.3 * 512**0.5 * torch.nn.functional.normalize(state["classifier.weight"][31][None], dim=1)
    torch.testing.assert_close(directions.move(z, "Smiling", 0.3), moved * state["conds_std"] + state["conds_mean"])
    with pytest.raises(UserError, match="not an official attribute classifier: it has no conds_mean"):
        import_attributes({key: value for key, value in state.items() if key != "conds_mean"})
