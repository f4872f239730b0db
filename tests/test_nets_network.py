"""Folders of networks: the layout is diffusers', both ways; damaged and foreign folders are refused in one sentence."""

import copy
import inspect
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from discontrolface.common.errors import UserError
from discontrolface.nets import DiffAE, ExpFaceNet
from discontrolface.nets.network import CONFIG, INDEX, WEIGHTS, Network
from discontrolface.nets.presets import debug_config


def same(a: Network, b: Network) -> bool:
    """Class, config and every weight."""
    ours, theirs = a.state_dict(), b.state_dict()
    return type(a) is type(b) and dict(a.config) == dict(b.config) and all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.fixture
def saved(tmp_path: Path) -> tuple[DiffAE, Path]:
    torch.manual_seed(0)
    model = DiffAE(**debug_config())
    model.save_pretrained(tmp_path / "model")
    return model, tmp_path / "model"


def test_config_is_every_argument_by_name_and_by_item() -> None:
    model = DiffAE(128, 2, model_channels=8, encoder_channels=8)
    assert model.config.image_size == model.config["image_size"] == 128
    assert model.config.patch == 2
    assert model.config.prediction_type == "epsilon"
    assert model.config["channel_mult"] == (1, 1, 2, 2, 4, 4)
    assert DiffAE(**model.config).config == model.config
    with pytest.raises(AttributeError, match="nothing"):
        _ = model.config.nothing
    with pytest.raises(TypeError):
        model.config["patch"] = 4  # type: ignore[index]
    with pytest.raises(TypeError, match="unexpected keyword"):
        DiffAE(colour=3)


def test_folder_and_back(saved: tuple[DiffAE, Path]) -> None:
    model, folder = saved
    assert sorted(path.name for path in folder.iterdir()) == sorted([CONFIG, WEIGHTS])
    assert json.loads((folder / CONFIG).read_text())["_class_name"] == "DiffAE"
    state = torch.get_rng_state()
    again = DiffAE.from_pretrained(folder)
    assert torch.equal(torch.get_rng_state(), state)  # the weights of the file, not random ones first
    assert same(again, model)
    assert not again.training
    for other in (copy.deepcopy(again), pickle.loads(pickle.dumps(again))):
        assert same(other, model)


def test_halves_are_read_as_float32(saved: tuple[DiffAE, Path]) -> None:
    model, folder = saved
    save_file({name: value.half() for name, value in model.state_dict().items()}, folder / WEIGHTS, {"format": "pt"})
    for name, value in DiffAE.from_pretrained(folder).state_dict().items():
        assert torch.equal(value, model.state_dict()[name].half().float())
        assert value.dtype == torch.float32


def test_weights_in_several_files(saved: tuple[DiffAE, Path]) -> None:
    model, folder = saved
    tensors, where = load_file(folder / WEIGHTS), {}
    for k, part in enumerate((slice(None, None, 2), slice(1, None, 2))):
        name = f"diffusion_pytorch_model-0000{k + 1}-of-00002.safetensors"
        names = sorted(tensors)[part]
        save_file({n: tensors[n] for n in names}, folder / name)
        where |= dict.fromkeys(names, name)
    (folder / WEIGHTS).unlink()
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": where}))
    assert same(DiffAE.from_pretrained(folder), model)
    (folder / name).unlink()
    with pytest.raises(UserError, match="-of-00002"):
        DiffAE.from_pretrained(folder)


def test_diffusers_reads_and_writes_the_same_folders(saved: tuple[DiffAE, Path], tmp_path: Path) -> None:
    """A network of the same constructor on diffusers' own base classes."""
    diffusers = pytest.importorskip("diffusers")
    from diffusers.configuration_utils import register_to_config

    def build(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        super(theirs, self).__init__()
        for name, child in DiffAE(*args, **kwargs).named_children():
            self.add_module(name, child)

    build.__signature__ = inspect.signature(DiffAE.__init__)  # type: ignore[attr-defined]
    model, folder = saved
    theirs = type("DiffAE", (diffusers.ModelMixin, diffusers.ConfigMixin), {"__init__": register_to_config(build)})
    network = theirs.from_pretrained(folder, low_cpu_mem_usage=False)
    assert (network.config.patch, network.config.image_size, network.config.prediction_type) == (2, 32, "sample")
    for name, value in network.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    network.save_pretrained(tmp_path / "theirs")
    assert "_diffusers_version" in json.loads((tmp_path / "theirs" / CONFIG).read_text())
    assert same(DiffAE.from_pretrained(tmp_path / "theirs"), model)


def change_config(**values: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / CONFIG).write_text(json.dumps(json.loads((folder / CONFIG).read_text()) | values))

    return change


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / CONFIG).unlink(), "no config.json"),
        (lambda folder: (folder / CONFIG).write_text("{"), "cannot be read"),
        (lambda folder: (folder / CONFIG).write_text("[]"), "cannot be read"),
        (change_config(_class_name="ExpFaceNet"), "holds a ExpFaceNet, not a DiffAE"),
        (change_config(colour=3), "gives 'colour'"),
        (change_config(model_channels=16), "not those of a DiffAE"),
        (change_config(model_channels="many"), "not those of a DiffAE"),
        (lambda folder: (folder / WEIGHTS).unlink(), f"no {WEIGHTS}"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"x" * 100), "damaged"),
        (lambda folder: save_file({"a": torch.zeros(2)}, folder / WEIGHTS), "not those of a DiffAE"),
        (lambda folder: (folder / INDEX).write_text("[]"), "cannot be read"),
    ],
)
def test_a_damaged_folder_is_one_sentence(saved: tuple[DiffAE, Path], damage: Callable[[Path], object], sentence: str) -> None:
    _, folder = saved
    damage(folder)
    with pytest.raises(UserError, match=sentence) as error:
        DiffAE.from_pretrained(folder)
    assert "\n" not in str(error.value)


def test_another_network_is_refused(saved: tuple[DiffAE, Path]) -> None:
    with pytest.raises(UserError, match="holds a DiffAE, not a ExpFaceNet"):
        ExpFaceNet.from_pretrained(saved[1])
