"""Training and fine-tuning draw from generators of their own: the same numbers whatever other threads draw, and nobody's state is moved."""

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from discontrolface.common.errors import UserError
from discontrolface.editing.personal import low_rank
from discontrolface.nets import DiffAE
from discontrolface.nets.blocks import run_block
from discontrolface.nets.presets import CONFIGS, debug_config
from discontrolface.nets.randomness import Dropout, SeededWeights, seed_dropout
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import CHANNELS, PairDataset, describe_pairs
from discontrolface.training.log import read_log
from discontrolface.training.measured import LateNumbers
from discontrolface.training.state import load_state
from discontrolface.training.train import train


@pytest.fixture
def untouched() -> Iterator[None]:
    """The process's generator and threads are as before."""
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    yield
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


class Noisy:
    """A thread that draws from the process's generator all the time."""

    def __enter__(self) -> None:
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.draw)
        self.thread.start()

    def draw(self) -> None:
        while not self.stop.wait(0.0005):
            torch.randn(100)

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def test_initial_weights_are_those_of_the_seed() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = DiffAE(**debug_config()).state_dict()
    with Noisy(), SeededWeights(5):
        ours = DiffAE(**debug_config()).state_dict()
    assert all(torch.equal(ours[name], value) for name, value in expected.items())


@pytest.mark.usefixtures("untouched")
def test_initial_weights_leave_the_process_alone() -> None:
    with SeededWeights(6):
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(3, 4), nn.Embedding(3, 4), nn.MultiheadAttention(4, 1))
        nn.init.kaiming_normal_(torch.empty(3, 4))


@pytest.mark.usefixtures("untouched")
def test_dropout_keeps_the_mean_and_follows_its_seed() -> None:
    network = nn.Sequential(Dropout(0.25), nn.Identity(), Dropout(0.25)).train()
    x = torch.ones(200, 200)
    seed_dropout(network, 1)
    first = network[0](x)
    assert first.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (first == 0).float().mean() == pytest.approx(0.25, abs=0.01)
    assert first.mean() == pytest.approx(1, abs=0.01)
    assert torch.equal(network[0](x), first)
    assert not torch.equal(network[2](x), first), "each layer has a mask of its own"
    seed_dropout(network, 2)
    assert not torch.equal(network[0](x), first)
    assert network.eval()[0](x) is x


@pytest.mark.usefixtures("untouched")
def test_a_block_that_is_computed_again_drops_the_same_values() -> None:
    with SeededWeights(0):
        block = nn.Sequential(nn.Linear(8, 64), Dropout(0.5), nn.Linear(64, 8)).train()
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
    gradients = []
    for checkpointed in (False, True):
        seed_dropout(block, 3)
        block.zero_grad()
        run_block(block, checkpointed, x).square().sum().backward()
        gradients.append([p.grad.clone() for p in block.parameters()])
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("shape", [(40, 90), (90, 40)])
def test_low_rank_is_the_truncated_svd(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = (
        torch.randn(shape[0], 40, generator=generator)
        @ torch.diag(0.7 ** torch.arange(40.0))
        @ torch.randn(40, shape[1], generator=generator)
    )
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    up, down = low_rank(matrix, 8, torch.Generator().manual_seed(1))
    assert (up.shape, down.shape) == ((shape[0], 8), (8, shape[1]))
    best = u[:, :8] @ torch.diag(s[:8]) @ v[:8]
    assert (up @ down - best).norm() < 1e-3 * best.norm()
    again = low_rank(matrix, 8, torch.Generator().manual_seed(1))
    assert torch.equal(up, again[0])


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blocks")
    pictures = torch.randint(0, 256, (12, CHANNELS, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    np.save(folder / "block_0.npy", pictures.repeat_interleave(8, 2).repeat_interleave(8, 3).numpy())
    describe_pairs(folder, "open")
    return folder


CONFIG = TrainConfig(stage="diffae", network="dropping", steps=6, batch=4, lr=1e-3, ema=0.9, mask_patch=8, colour_jitter=0.1)


@pytest.fixture
def _dropping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONFIGS, "dropping", lambda: {**debug_config(), "dropout": 0.3})


def weights_and_losses(output: Path) -> tuple[list[torch.Tensor], list[float]]:
    state = load_state(output / "state.pt")
    assert state is not None
    return list(state["network"].values()), [line["loss"] for line in read_log(output / "log.jsonl")]


@pytest.mark.usefixtures("_dropping")
def test_training_beside_other_threads_gives_the_same_bits(blocks: Path, tmp_path: Path) -> None:
    train(CONFIG, PairDataset(blocks), tmp_path / "alone")
    with Noisy():
        train(CONFIG, PairDataset(blocks), tmp_path / "disturbed")
    (wa, la), (wb, lb) = weights_and_losses(tmp_path / "alone"), weights_and_losses(tmp_path / "disturbed")
    assert la == lb
    assert all(torch.equal(a, b) for a, b in zip(wa, wb, strict=True))
    train(dataclasses.replace(CONFIG, seed=1), PairDataset(blocks), tmp_path / "other")
    assert weights_and_losses(tmp_path / "other")[1] != la


@pytest.mark.usefixtures("_dropping", "untouched")
def test_training_leaves_the_process_alone(blocks: Path, tmp_path: Path) -> None:
    train(CONFIG, PairDataset(blocks), tmp_path)


@pytest.mark.usefixtures("_dropping")
def test_a_loss_that_is_not_finite_ends_the_run_and_reaches_no_checkpoint(blocks: Path, tmp_path: Path) -> None:
    train(CONFIG, PairDataset(blocks), tmp_path, stop_after=0)
    state = (tmp_path / "state.pt").read_bytes()
    network = load_state(tmp_path / "state.pt")
    assert network is not None
    network["network"]["unet.head.bias"].fill_(float("nan"))
    torch.save(network, tmp_path / "state.pt")
    bad = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(UserError, match="the loss is nan at step 1"):
        train(CONFIG, PairDataset(blocks), tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == bad != state
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [0]


def test_numbers_come_one_step_late_and_all_when_asked() -> None:
    late = LateNumbers()
    seen = []
    for step in range(3):
        late.put(step, 0.5, 1e-4, torch.tensor(float(step)), torch.tensor(10.0 + step))
        seen += [(n.step, n.values()) for n in late.take()]
    assert seen == [(0, (0.0, 10.0)), (1, (1.0, 11.0))]
    assert [n.step for n in late.take(all_of_them=True)] == [2]
    assert not late.waiting
