"""The networks against the official code's figures (tests/goldens/README_networks.md)."""

import json

import pytest
import torch
from helpers.goldens import GOLDENS, close_to_golden, diffae_io
from helpers.official_recipe import recipe_state_dict
from torch import Tensor

from discontrolface.nets import DiffAE
from discontrolface.nets.blocks import timestep_embedding
from discontrolface.weights import import_diffae
from discontrolface.weights.official import official_key, our_key, read_config


@pytest.fixture(scope="module")
def model() -> DiffAE:
    shapes = json.loads((GOLDENS / "diffae_tiny.json").read_text())["lit_keys"]
    return import_diffae(recipe_state_dict(shapes, "ema_model."))


@pytest.fixture(scope="module")
def io() -> dict[str, Tensor]:
    return diffae_io()


@pytest.fixture(scope="module")
def full() -> dict:
    return json.loads((GOLDENS / "diffae_ffhq256.json").read_text())


def close(ours: Tensor, official: Tensor, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(ours, official, atol=tolerance, rtol=0)


def test_time_embedding(io: dict[str, Tensor]) -> None:
    close(timestep_embedding(io["t"], 32), io["temb"], 1e-5)


@torch.no_grad()
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_encoder_and_unet(model: DiffAE, io: dict[str, Tensor], memory_format: torch.memory_format) -> None:
    model = model.to(memory_format=memory_format)
    z = model.encode(io["x_start"])
    close(z, io["z_sem"])
    close(model.stylespace(z), io["stylespace"])
    close(model(io["x_t"], io["t"], io["z_sem"]), io["eps"])


@torch.no_grad()
def test_every_decoder_feature(model: DiffAE, io: dict[str, Tensor]) -> None:
    features: dict[int, Tensor] = {}
    model.unet(model.stem(io["x_t"][:1]), io["t"][:1], io["z_sem"][:1], collect=features)
    assert len(features) == 12
    for k, feature in features.items():
        close_to_golden(feature, io, f"feat.out_{k:02d}", 1e-4)


def test_same_result_while_recording_gradients(model: DiffAE, io: dict[str, Tensor]) -> None:
    """Without gradients SiLU and sums work in place; that must not change a bit."""
    x, t, z = io["x_t"], io["t"], io["z_sem"]
    with torch.no_grad():
        fast = model(x, t, z)
    assert torch.equal(fast, model(x, t, z).detach())


def test_full_network_has_every_official_key_and_shape(full: dict) -> None:
    shapes = {key: tuple(shape) for key, shape in full["keys"].items()}
    config = read_config(shapes)
    with torch.device("meta"):
        model, default = DiffAE(**config), DiffAE()
    ours = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    mapped = {our_key(key): shape for key, shape in shapes.items()}
    assert len(mapped) == len(shapes)  # one to one
    assert mapped.keys() == ours.keys()
    squeezed = {key: tuple(n for n in shape if n != 1) for key, shape in mapped.items()}
    assert squeezed == {key: tuple(n for n in shape if n != 1) for key, shape in ours.items()}
    assert ours == {key: tuple(value.shape) for key, value in default.state_dict().items()}  # DiffAE() is the official FFHQ256 network


def test_full_network_counts(full: dict) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        model = DiffAE().eval()
        x, t, z = torch.zeros(1, 3, 256, 256), torch.zeros(1, dtype=torch.long), torch.zeros(1, 512)
    assert sum(p.numel() for p in model.parameters()) == full["params_total"] == 168_492_291
    assert sum(p.numel() for p in model.unet.parameters()) == full["params_unet"]
    for call, official in ((lambda: model(x, t, z), full["unet_flops"]), (lambda: model.encode(x), full["enc_flops"])):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            call()
        assert counter.get_total_flops() == pytest.approx(official, rel=0.01)


@torch.no_grad()
def test_full_network_decoder_shapes(full: dict) -> None:
    with torch.device("meta"):
        model = DiffAE().eval()
        features: dict[int, Tensor] = {}
        x, t, z = torch.zeros(1, 3, 256, 256), torch.zeros(1, dtype=torch.long), torch.zeros(1, 512)
        model.unet(model.stem(x), t, z, collect=features)
    official = [block["out_shape"] for block in full["blocks"] if block["name"].startswith("output_blocks.")]
    assert [list(features[k].shape[1:]) for k in sorted(features)] == official


@pytest.mark.parametrize("name", ["celeba64_config", "ffhq128_config", "ffhq256_config"])
def test_configuration_is_read_back_from_official_keys(name: str) -> None:
    """Keys and shapes of every official configuration lead back to it; the reverse map is taken from the network itself."""
    from discontrolface.nets import presets

    config = getattr(presets, name)()
    with torch.device("meta"):
        model = DiffAE(**config)
    ours = model.state_dict()
    found = read_config({official_key(key, ours): tuple(value.shape) for key, value in ours.items()}, config.get("image_size", 256))
    for key, value in found.items():
        expected = model.config[key]
        assert (tuple(expected) if isinstance(expected, list | tuple) else expected) == value, key
