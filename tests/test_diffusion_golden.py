"""Sampling, inversion, losses and the latent DPM against the official code's figures (tests/goldens/README_networks.md)."""

import json

import pytest
import torch
from helpers.goldens import GOLDENS, close_to_golden, diffae_ddim, diffae_io, load_golden
from helpers.official_recipe import recipe_state_dict
from torch import Tensor

from discontrolface.diffusion import diffusion_loss, invert, sample
from discontrolface.diffusion.latent import latent_loss, sample_latent
from discontrolface.diffusion.sampling import Step
from discontrolface.diffusion.schedule import spaced_timesteps
from discontrolface.nets import DiffAE, MLPSkipNet
from discontrolface.nets.noise_process import NoiseProcess
from discontrolface.weights import import_diffae, import_latent

TIMESTEPS = json.loads((GOLDENS / "ddim_timesteps.json").read_text())


@pytest.fixture(scope="module")
def model() -> DiffAE:
    shapes = json.loads((GOLDENS / "diffae_tiny.json").read_text())["lit_keys"]
    return import_diffae(recipe_state_dict(shapes, "ema_model."))


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return diffae_ddim()


@pytest.fixture(scope="module")
def latent() -> dict[str, Tensor]:
    return load_golden("diffae_tiny_latent")


def latent_keys() -> dict[str, list[int]]:
    """Key -> shape of the tiny latent net: the full one's keys with 64 code channels and 128 hidden ones."""
    full = json.loads((GOLDENS / "latent_ffhq256.json").read_text())["keys"]
    smaller = {512: 64, 2048: 128, 2560: 192, 64: 64}
    return {key: [smaller[n] for n in shape] for key, shape in full.items()}


@pytest.fixture(scope="module")
def latent_net(latent: dict[str, Tensor]) -> MLPSkipNet:
    weights = {f"ema_model.{key}": value for key, value in recipe_state_dict(latent_keys()).items()}
    return import_latent({**weights, "conds_mean": latent["conds_mean"], "conds_std": latent["conds_std"]})


def close(ours: Tensor, official: Tensor, tolerance: float = 1e-3) -> None:
    torch.testing.assert_close(ours, official, atol=tolerance, rtol=0)


def every_second_pixel(steps: list[Step], name: str) -> Tensor:
    return torch.cat([getattr(step, name) for step in steps])[..., ::2, ::2]


def test_schedules(golden: dict[str, Tensor], latent: dict[str, Tensor]) -> None:
    linear, const = (torch.tensor(NoiseProcess(name).alphas_cumprod, dtype=torch.float64) for name in ("linear", "const"))
    close(linear, golden["sched1000.alphas_cumprod"], 1e-12)
    close(linear[golden["timestep_map"]], golden["sched20.alphas_cumprod"], 1e-12)
    close(const, latent["sched1000.alphas_cumprod"], 1e-12)


@pytest.mark.parametrize("steps", [int(n) for n in TIMESTEPS["ddim_timestep_maps"]])
def test_timesteps(steps: int) -> None:
    assert spaced_timesteps(steps) == TIMESTEPS["ddim_timestep_maps"][str(steps)]


def test_timesteps_where_the_official_code_has_none() -> None:
    for steps in range(1, 1001):
        timesteps = spaced_timesteps(steps)
        assert len(timesteps) == steps
        assert timesteps == sorted(set(timesteps))
        assert timesteps[-1] < 1000
    assert spaced_timesteps(1) == [999]
    assert spaced_timesteps(300)[:4] == [0, 3, 6, 10]


def test_ddim(model: DiffAE, golden: dict[str, Tensor]) -> None:
    steps: list[Step] = []
    final = sample(model, golden["noise"], golden["cond"], steps=20, callback=steps.append)
    close(final, golden["ddim20.final"])
    close_to_golden(every_second_pixel(steps, "sample"), golden, "ddim20.sample_t", 1e-3)
    close_to_golden(every_second_pixel(steps, "x0"), golden, "ddim20.pred_xstart_t", 1e-3)
    assert [step.t for step in steps] == golden["timestep_map"].flip(0).tolist()


def test_ddim_without_clipping(model: DiffAE, golden: dict[str, Tensor]) -> None:
    """Values reach 356 here, so the tolerance is relative."""
    final = sample(model, golden["noise"], golden["cond"], steps=20, clip=False)
    torch.testing.assert_close(final, golden["ddim20_noclip.final"], rtol=1e-4, atol=1e-3)


def test_inversion_and_back(model: DiffAE, golden: dict[str, Tensor]) -> None:
    steps: list[Step] = []
    x_t = invert(model, golden["reverse20.x0"], golden["cond"], steps=20, callback=steps.append)
    close(x_t, golden["reverse20.final"])
    close_to_golden(every_second_pixel(steps, "sample"), golden, "reverse20.sample_t", 1e-3)
    # the last x0 are noise divided by sqrt(alpha-bar) = 0.009: there the official code, run again with one thread, moves by 1.7e-3 itself
    x0 = every_second_pixel(steps, "x0")
    close_to_golden(x0[:15], golden, "reverse20.xstart_t", 1e-3, slice(15))
    close_to_golden(x0[15:], golden, "reverse20.xstart_t", 3e-3, slice(15, None))
    close(sample(model, x_t, golden["cond"], steps=20), golden["recon20.final"])


def test_training_loss(model: DiffAE, golden: dict[str, Tensor]) -> None:
    x0 = diffae_io()["x_start"]
    close_to_golden(model.noise_process.add_noise(x0, golden["train.noise"], golden["train.t"]), golden, "train.x_t", 1e-6)
    with torch.no_grad():
        loss = diffusion_loss(model, x0, t=golden["train.t"], noise=golden["train.noise"])
    close(loss.per_sample, golden["train.loss"], 1e-4)
    close(loss.loss, golden["train.loss"].mean(), 1e-4)


@torch.no_grad()
def test_latent_forward_and_loss(latent_net: MLPSkipNet, latent: dict[str, Tensor]) -> None:
    close(latent_net(latent["fwd.z"], latent["fwd.t"]), latent["fwd.out"], 1e-4)
    z = latent_net.denormalize(latent["train.z_norm"])
    close(latent_loss(latent_net, z, latent["fwd.t"], latent["train.noise"]), latent["train.loss_l1"], 1e-4)


def test_latent_sampling(latent_net: MLPSkipNet, latent: dict[str, Tensor]) -> None:
    z = sample_latent(latent_net, latent["ddim20.noise"], steps=20)
    close(z, latent["ddim20.denormalised"])
    close(latent_net.normalize(z), latent["ddim20.final"])


def test_full_latent_net() -> None:
    full = json.loads((GOLDENS / "latent_ffhq256.json").read_text())
    with torch.device("meta"):
        net = MLPSkipNet()
    assert sum(p.numel() for p in net.parameters()) == full["params_unique"]
