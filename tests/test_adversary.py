"""The patch discriminator: its norm, who learns from what, and that it tells a smear from a photo where squared error cannot."""

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers.blocks import make_blocks

from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import SnapshotSpec
from discontrolface.nets.noise_process import TRAIN_TIMESTEPS
from discontrolface.nets.patch_discriminator import PatchDiscriminator, SpectralConv
from discontrolface.training.adversary import ALONE, RAMP, Adversary
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import Batch, PairDataset
from discontrolface.training.log import read_log
from discontrolface.training.state import load_state
from discontrolface.training.train import train

TINY = TrainConfig(stage="diffae", network="debug", steps=24, batch=4, lr=1e-3, ema=0.9, mask_patch=8, mask_share=0.5, checkpoint_minutes=0)
SPEC = SnapshotSpec("open", ("normals", "lambertian", "preview", "visibility"))


def batch(target: torch.Tensor, t: torch.Tensor) -> Batch:
    n, _, size, _ = target.shape
    return Batch(
        source=target,
        target=target,
        snapshot=torch.zeros(n, SPEC.channels, size, size),
        weight=torch.ones(n, 1, size, size),
        mask=torch.zeros(n, 1, size, size, dtype=torch.bool),
        t=t,
        noise=torch.zeros_like(target),
    )


def test_the_norm_is_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    layer = SpectralConv(6, 8, 4, 2)
    x = torch.randn(2, 6, 16, 16)
    for _ in range(60):
        layer(x)
    largest = torch.linalg.svdvals(layer.weight.flatten(1))[0]
    assert torch.allclose(layer(x), F.conv2d(x, layer.weight / largest, layer.bias, 2, 1), atol=1e-4)


def test_each_side_learns_from_its_own_term_only() -> None:
    torch.manual_seed(0)
    adversary = Adversary(SPEC)
    adversary.age.fill_(ALONE + RAMP)
    target = torch.randn(3, 3, 32, 32)
    predicted = torch.zeros(3, 3, 32, 32, requires_grad=True)
    t = torch.tensor([TRAIN_TIMESTEPS - 1, 500, TRAIN_TIMESTEPS - 1])
    loss = adversary(predicted, batch(target, t))
    loss.generator.sum().backward(retain_graph=True)
    assert all(p.grad is None for p in adversary.parameters())
    assert predicted.grad is not None
    assert predicted.grad[0].any()
    assert not predicted.grad[1].any(), "at the middle noise levels a denoiser predicts the mean"
    predicted.grad = None
    loss.discriminator.sum().backward()
    assert predicted.grad is None
    assert all(p.grad is not None for p in adversary.parameters())


def test_it_learns_alone_at_first() -> None:
    torch.manual_seed(0)
    adversary, target = Adversary(SPEC), torch.randn(2, 3, 32, 32)
    loss = adversary(torch.zeros_like(target), batch(target, torch.full((2,), TRAIN_TIMESTEPS - 1)))
    assert not loss.generator.any()
    assert loss.discriminator.all()
    assert float(adversary.age) == 1
    adversary.eval()
    adversary(torch.zeros_like(target), batch(target, torch.full((2,), TRAIN_TIMESTEPS - 1)))
    assert float(adversary.age) == 1


def test_it_prefers_a_texture_in_the_wrong_place_to_the_mean() -> None:
    """Stripes of random phase: the mean of what is possible is grey, whose squared error is half that of stripes at a random place."""
    torch.manual_seed(0)
    x = torch.arange(32) * (2 * torch.pi / 8)

    def stripes(n: int) -> torch.Tensor:
        return torch.sin(x + torch.rand(n, 1, 1, 1) * 2 * torch.pi).expand(n, 3, 32, 32)

    adversary, t = Adversary(SPEC), torch.full((8,), TRAIN_TIMESTEPS - 1)
    optimizer = torch.optim.Adam(adversary.parameters(), 1e-3, betas=(0.5, 0.99))
    for _ in range(60):
        optimizer.zero_grad()
        adversary(torch.zeros(8, 3, 32, 32), batch(stripes(8), t)).discriminator.mean().backward()
        optimizer.step()
    with torch.no_grad():
        adversary.eval()
        condition = torch.zeros(8, 7, 32, 32)
        other, grey = (adversary.discriminator(p, condition)[0].mean() for p in (stripes(8), torch.zeros(8, 3, 32, 32)))
    truth = stripes(64)
    assert (truth - stripes(64)).square().mean() > 1.5 * truth.square().mean()
    assert other > grey + 0.5


def test_a_run_with_an_adversary_resumes_exactly(tmp_path: Path) -> None:
    data = PairDataset(make_blocks(tmp_path / "blocks"))
    backbone = train(TINY, data, tmp_path / "backbone", stop_after=0)
    config = dataclasses.replace(
        TINY, stage="expfacenet", steps=6, mask_share=1.0, snapshot_maps=SPEC.maps, preview_gate="visibility", first_share=0.5,
        own_share=0.3, adversary_weight=0.1,
    )  # fmt: skip
    train(config, data, tmp_path / "whole", backbone)
    for _ in range(3):
        train(config, data, tmp_path / "parts", backbone, stop_after=0)
    train(config, data, tmp_path / "parts", backbone)
    whole, parts = (load_state(tmp_path / name / "state.pt") for name in ("whole", "parts"))
    assert whole is not None
    assert parts is not None
    for key in ("network", "adversary"):
        assert all(torch.equal(value, parts[key][name]) for name, value in whole[key].items())
    assert float(whole["adversary"]["age"]) == 6
    assert [line["loss"] for line in read_log(tmp_path / "whole" / "log.jsonl")] == [
        line["loss"] for line in read_log(tmp_path / "parts" / "log.jsonl")
    ]


def test_without_the_pictures_it_counts_on_it_is_refused() -> None:
    with pytest.raises(UserError, match="first_share"):
        TrainConfig(adversary_weight=0.1)
    with pytest.raises(UserError, match="stage expfacenet"):
        TrainConfig(stage="diffae", adversary_weight=0.1, first_share=0.5)


def test_scores_are_of_patches() -> None:
    network = PatchDiscriminator()
    score, features = network(torch.zeros(1, 3, 64, 64), torch.zeros(1, 7, 64, 64))
    assert score.shape == (1, 1, 8, 8)
    assert len(features) == 4
