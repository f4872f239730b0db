"""Learning at the noise levels that an edit of few steps visits, from the network's own predictions, and on detail."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from discontrolface.common.errors import UserError
from discontrolface.nets.backbone import make_backbone
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.presets import CONFIGS
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import CHANNELS, PairDataset, complete, describe_pairs
from discontrolface.training.detail_loss import bands, relative_detail
from discontrolface.training.draws import LATE, TEMPERATURES, Draws, draw
from discontrolface.training.objective import Objective

MAPS = ("normals", "lambertian", "preview", "visibility")
CONFIG = TrainConfig(network="debug", batch=4, snapshot_maps=MAPS, preview_gate="visibility", mask_patch=16)


def drawn(config: TrainConfig, count: int = 400) -> Draws:
    return draw(config, 3, count, 10, 32)


def test_without_shares_everything_is_as_before() -> None:
    plain = drawn(CONFIG)
    assert not plain.own.any()
    assert (plain.spread == 1).all()
    shared = drawn(replace(CONFIG, first_share=0.4, own_share=0.3))
    for name in ("index", "reverse", "mirrored", "gain", "mask", "centre", "seed"):
        assert torch.equal(getattr(plain, name), getattr(shared, name))
    rest = (shared.own == 0) & (shared.spread == 1)
    assert torch.equal(plain.t[rest], shared.t[rest])


def test_shares_visit_the_first_and_the_late_levels() -> None:
    draws = drawn(replace(CONFIG, first_share=0.4, own_share=0.3))
    first, own = draws.spread < 1, draws.own > 0
    assert not (first & own).any()
    assert 0.3 < first.float().mean() < 0.5
    assert 0.2 < own.float().mean() < 0.4
    assert (draws.t[first] == 999).all()
    assert (draws.t[own] < LATE).all()
    for temperature in (draws.spread[first], draws.own[own]):
        assert temperature.min() >= TEMPERATURES[0]
        assert temperature.max() <= TEMPERATURES[1]
    assert abs(float(draws.part(0, 16).noise(32).std((1, 2, 3)).div(draws.spread[:16]).mean()) - 1) < 0.05


def test_shares_above_one_are_refused() -> None:
    with pytest.raises(UserError, match="own_share"):
        TrainConfig(first_share=0.7, own_share=0.5)


def test_own_predictions_take_the_place_of_the_target_where_asked(tmp_path) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    model = make_backbone(CONFIGS["debug"]())
    size = model.image_size
    np.save(tmp_path / "block_0.npy", np.random.default_rng(0).integers(0, 256, (3, CHANNELS, size, size)).astype(np.uint8))
    describe_pairs(tmp_path, "open")
    data = PairDataset(tmp_path)
    control = ExpFaceNet.from_backbone(model, snapshot_maps=MAPS, preview_gate="visibility")
    config = replace(CONFIG, own_share=0.5, batch=8)
    draws = draw(config, 1, 8, len(data), data.size)
    batch = complete(data.batch(draws, config), draws, config, model.space)
    own = draws.own > 0
    assert 0 < own.sum() < 8
    objective = Objective(model, control, pyramid_weight=0.5)
    start = objective.own_predictions(batch, model.encode(batch.source))
    assert start is not None
    assert torch.equal(start[~own], model.to_space(batch.target)[~own])
    assert not torch.equal(start[own], model.to_space(batch.target)[own])
    loss = objective(batch).per_sample
    assert loss.shape == (8,)
    loss.mean().backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in control.parameters())
    assert objective.own_predictions(replace(batch, own=None), model.encode(batch.source)) is None


def test_relative_detail_is_one_for_the_preview_and_none_for_the_truth() -> None:
    torch.manual_seed(1)
    target, preview = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32)
    assert torch.allclose(relative_detail(preview, target, preview), torch.ones(2), atol=0.03)
    assert not relative_detail(target, target, preview).any()
    flat = torch.full((1, 3, 32, 32), 0.7)
    assert all(band.abs().max() < 1e-6 for band in bands(flat))
