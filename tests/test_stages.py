"""A network that the package does not know is registered as a stage of training and trained by the loop, without touching another file."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from discontrolface.baselines import PEERS, register_stages
from discontrolface.common.errors import UserError
from discontrolface.nets.backbone import Space
from discontrolface.nets.network import Network
from discontrolface.training.config import TrainConfig
from discontrolface.training.cost import count
from discontrolface.training.dataset import CHANNELS, Batch, PairDataset, describe_pairs
from discontrolface.training.log import read_log
from discontrolface.training.objective import Losses, Objective
from discontrolface.training.stages import STAGES, Stage, register_stage
from discontrolface.training.train import train


class Copier(Network):
    """Guesses the target from the source and the snapshot by one convolution."""

    __call__: Callable[..., Tensor]

    def __init__(self, image_size: int = 32, width: int = 3) -> None:
        super().__init__()
        self.image_size, self.space = image_size, Space(3, image_size)
        self.mix = nn.Conv2d(3 + 6, width, 3, padding=1)

    def forward(self, source: Tensor, snapshot: Tensor) -> Tensor:
        return self.mix(torch.cat([source, snapshot], 1))


class CopierObjective(Objective):
    """Its squared error."""

    def forward(self, batch: Batch) -> Losses:
        return Losses.alone((self.model(batch.source, batch.snapshot) - batch.target).square().mean((1, 2, 3)))


def new_copier(config: TrainConfig, backbone: Any) -> Objective:
    assert backbone is None
    return CopierObjective(Copier())


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    register_stage("copier", Stage(f"{__name__}:new_copier"))
    yield
    del STAGES["copier"]


def test_a_stage_of_ones_own_is_trained(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "block_0.npy", rng.integers(0, 256, (6, CHANNELS, 4, 4)).astype(np.uint8).repeat(8, 2).repeat(8, 3))
    describe_pairs(tmp_path, "open")
    config = TrainConfig(stage="copier", network="debug", steps=30, batch=3, lr=2e-2, mask_patch=8, ema=0.5)
    weights = train(config, PairDataset(tmp_path), tmp_path / "run")
    losses = [line["loss"] for line in read_log(tmp_path / "run" / "log.jsonl")]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert isinstance(Copier.from_pretrained(weights), Copier)
    assert count(config).trained == sum(p.numel() for p in Copier().parameters())


def test_the_peers_are_known_and_a_wrong_name_is_one_sentence() -> None:
    register_stages()
    for peer in PEERS.values():
        assert peer.label
        for stage in peer.stages:
            TrainConfig(stage=stage)
    with pytest.raises(UserError, match=r"stage 'nothing' is not known; choose one of .*copier"):
        dataclasses.replace(TrainConfig(), stage="nothing")
