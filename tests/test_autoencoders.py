"""Autoencoders: ours begins as a cosine transform, theirs are what diffusers computes, folders are read both ways, refusals are one sentence."""

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.nets.autoencoders import AUTOENCODERS, autoencoder_class, make_autoencoder
from discontrolface.nets.face_autoencoder import FaceAutoencoder, lowest_waves
from discontrolface.nets.presets import autoencoder_debug_config
from discontrolface.nets.tiny_autoencoder import AutoencoderTiny
from discontrolface.weights.autoencoders import autoencoder_description, find_autoencoder, load_autoencoder

TINY = {
    "encoder_block_out_channels": (8, 8, 8),
    "decoder_block_out_channels": (12, 12, 12),
    "num_encoder_blocks": (1, 2, 1),
    "num_decoder_blocks": (2, 1, 1),
    "latent_channels": 5,
}


def random_weights(network: nn.Module, seed: int, spread: float = 0.2) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(spread * torch.randn(p.shape, generator=generator))


def pictures(count: int, size: int) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_ours_begins_as_the_lowest_frequencies() -> None:
    """What SciPy's transform keeps of 8x8 patches in brightness and two colour differences, and nothing else."""
    network, x = FaceAutoencoder(), pictures(2, 32)
    colours = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
    chosen = lowest_waves(16, 8)
    assert sum(c == 0 for c, _, _ in chosen) == 10
    patches = np.einsum("kc,bchiwj->bkhiwj", colours, x.double().numpy().reshape(2, 3, 4, 8, 4, 8))
    waves = scipy.fft.dctn(patches, axes=(3, 5), norm="ortho")
    kept = np.zeros_like(waves)
    for c, u, v in chosen:
        kept[:, c, :, u, :, v] = waves[:, c, :, u, :, v]
    back = np.einsum("kc,bkhiwj->bchiwj", colours, scipy.fft.idctn(kept, axes=(3, 5), norm="ortho")).reshape(2, 3, 32, 32)
    with torch.no_grad():
        latents = network.encode(x)
        np.testing.assert_allclose(network.decode(latents).numpy(), back, atol=1e-5)
    assert latents.shape == (2, 16, 4, 4)
    with pytest.raises(UserError, match="too many"):
        FaceAutoencoder(latent_channels=200)


def test_latents_that_stay_waves() -> None:
    """Without a learned encoder what an encoder makes of a picture is what it was, whatever the decoder has learned."""
    network, x = FaceAutoencoder(learned_encoder=False), pictures(2, 32)
    for parameter in network.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    full = FaceAutoencoder()
    with torch.no_grad():
        torch.testing.assert_close(network.encode(x), full.encode(x))
        assert (network.decode(network.encode(x)) - full.decode(full.encode(x))).abs().max() > 0.1
        torch.testing.assert_close(network.mirrored(network.encode(x)), network.encode(x.flip(-1)), atol=1e-5, rtol=1e-4)
        seen = full.encode(x)
        torch.testing.assert_close(full.mirrored(seen), full.encode(full.decode(seen).flip(-1)))
    assert sum(p.numel() for p in network.parameters()) < 0.65 * sum(p.numel() for p in full.parameters())


def test_squares_of_pictures_have_squares_of_latents() -> None:
    """No normalisation: what is far away (more than five latents from the encoder, seven from the decoder) does not count."""
    network, x = FaceAutoencoder(), pictures(1, 192)
    random_weights(network, 0, 0.05)
    with torch.no_grad():
        whole, part = network.encode(x), network.encode(x[..., 48:144, 48:144])  # 24 and 12 latents
        torch.testing.assert_close(part[..., 5:-5, 5:-5], whole[..., 11:13, 11:13], atol=1e-5, rtol=1e-4)
        square = network.decode(whole[..., 4:20, 4:20])[..., 56:72, 56:72]
        torch.testing.assert_close(square, network.decode(whole)[..., 88:104, 88:104], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_tiny_is_diffusers(tmp_path: Path, activation: str) -> None:
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.AutoencoderTiny(**TINY, act_fn=activation).eval()
    random_weights(theirs, 2)
    theirs.save_pretrained(tmp_path / "theirs")
    ours, x = load_autoencoder(tmp_path / "theirs"), pictures(2, 16)
    assert isinstance(ours, AutoencoderTiny)
    with torch.no_grad():
        latents = theirs.encode(x).latents
        assert latents.shape == (2, 5, 4, 4)
        torch.testing.assert_close(ours.encode(x), latents)
        torch.testing.assert_close(ours.decode(latents), theirs.decode(latents).sample)
    ours.save_pretrained(tmp_path / "ours")
    again = diffusers.AutoencoderTiny.from_pretrained(str(tmp_path / "ours"))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in theirs.state_dict().items())
    default = {name: tuple(p.shape) for name, p in diffusers.AutoencoderTiny().state_dict().items()}
    assert {name: tuple(p.shape) for name, p in AutoencoderTiny().state_dict().items()} == default


def test_kl_is_diffusers_behind_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    diffusers = pytest.importorskip("diffusers")
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    theirs = diffusers.AutoencoderKL(block_out_channels=(8, 16), layers_per_block=1, latent_channels=4, norm_num_groups=4, **blocks).eval()
    random_weights(theirs, 3, 0.1)
    theirs.save_pretrained(tmp_path)
    ours, x = load_autoencoder(tmp_path), pictures(1, 16)
    assert (ours.latent_channels, ours.stride) == (4, 2)
    with torch.no_grad():
        latents = theirs.encode(x).latent_dist.mode()
        torch.testing.assert_close(ours.encode(x), latents)
        torch.testing.assert_close(ours.decode(latents), theirs.decode(latents).sample)
    again = make_autoencoder(autoencoder_description(tmp_path))
    again.load_state_dict(ours.state_dict())
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UserError, match=r"discontrolface\[latent\]"):
        load_autoencoder(tmp_path)


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in AUTOENCODERS:
        assert autoencoder_class(name).__name__ == name
    with pytest.raises(UserError, match="'VQModel' is not known; choose one of FaceAutoencoder, AutoencoderTiny"):
        make_autoencoder({"_class_name": "VQModel"})
    with pytest.raises(UserError, match="give one width, the same"):
        AutoencoderTiny(**{**TINY, "encoder_block_out_channels": (8, 16, 16)})
    with pytest.raises(UserError, match="undo each other"):
        AutoencoderTiny(**{**TINY, "num_decoder_blocks": (1, 1), "decoder_block_out_channels": (8, 8)})
    with pytest.raises(UserError, match=r"no config.json in .*; give the folder of an autoencoder"):
        find_autoencoder(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"some/where is no folder, and fetching it .*'discontrolface\[latent\]"):
        find_autoencoder("some/where")
    network = make_autoencoder(autoencoder_debug_config())
    network.save_pretrained(tmp_path)
    (tmp_path / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UserError, match="no diffusion_pytorch_model"):
        load_autoencoder(tmp_path)
