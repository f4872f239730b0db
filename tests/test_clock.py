"""Runs by the clock: what counts as training, when the learning rate falls, stopping after minutes, going on from pieces of a state."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from discontrolface.common.errors import UserError
from discontrolface.training import pieces as pieces_module
from discontrolface.training.clock import Clock
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import CHANNELS, PairDataset, describe_pairs
from discontrolface.training.log import read_log
from discontrolface.training.pieces import read_pieces, write_pieces
from discontrolface.training.state import load_state
from discontrolface.training.train import learning_rate, train

TINY = TrainConfig(
    stage="diffae", network="debug", steps=24, batch=4, lr=1e-3, warmup=4, final_lr=0.1, ema=0.9, mask_patch=8, checkpoint_minutes=4
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PairDataset:
    folder = tmp_path_factory.mktemp("blocks")
    describe_pairs(folder, "open")
    coarse = np.random.default_rng(0).integers(0, 256, (12, CHANNELS, 4, 4)).astype(np.uint8)
    np.save(folder / "block_0.npy", coarse.repeat(8, 2).repeat(8, 3))
    return PairDataset(folder)


def test_compilation_is_no_part_of_the_minutes() -> None:
    clock = Clock(dataclasses.replace(TINY, minutes=1.0))
    clock.tick(75.0)  # the first step compiles
    assert (clock.seconds, clock.uncounted) == (0.0, 75.0)
    for _ in range(30):
        clock.tick(0.5)
    clock.tick(40.0)  # another shape: compiled again
    assert clock.seconds == pytest.approx(15.5)
    assert clock.uncounted == pytest.approx(75 + 39.5)
    clock.tick(1.0)  # a slow step is a step
    assert clock.seconds == pytest.approx(16.5)
    assert clock.done(1_000_000) == pytest.approx(16.5 / 60)


def test_a_machine_that_becomes_slower_counts_as_slower() -> None:
    clock = Clock(dataclasses.replace(TINY, minutes=10.0), seconds=5.0)
    for seconds in [0.0] + [1.0] * 20 + [3.0] * 20:
        clock.tick(seconds)
    assert clock.seconds == pytest.approx(5 + 20 + 60)


def test_a_run_that_must_end_is_complete_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("discontrolface.training.clock.time.monotonic", lambda: now)
    clock = Clock(dataclasses.replace(TINY, minutes=10.0), ends_at=now + 100)
    shares = []
    for seconds in [30.0] + [1.0] * 71:  # compilation takes 30 of the 100 seconds
        shares.append(clock.done(0))
        clock.tick(seconds)
        now += seconds
    assert shares[:2] == [0.0, 0.0]
    assert shares[36] == pytest.approx(0.5)
    assert np.allclose(np.diff(shares[1:]), 1 / 70)
    assert clock.over(0)
    with pytest.raises(UserError, match="minutes in the config"):
        Clock(TINY, ends_at=now)


def test_the_learning_rate_falls_with_the_minutes() -> None:
    config = dataclasses.replace(TINY, minutes=2.0, warmup=0)
    clock = Clock(config)
    rates = []
    for step in range(61):
        rates.append(learning_rate(config, step, clock.done(step)))
        clock.tick(2.0)
    assert rates[0] == rates[1] == config.lr  # the first step did not count
    assert rates[31] == pytest.approx(config.lr * 0.55)
    assert clock.over(61)
    assert not Clock(TINY).over(23)
    assert Clock(TINY).over(24)


def test_a_run_by_the_clock_stops_and_goes_on_with_its_time(data: PairDataset, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, minutes=4 / 60, steps=1, checkpoint_minutes=0)
    said: list[str] = []

    def stop(step: int, loss: float, seconds: float) -> None:
        if step == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, data, tmp_path, progress=stop, say=said.append)
    state = load_state(tmp_path / "state.pt")
    assert state is not None
    assert 0 < state["seconds"] < 4
    assert any("no part of the minutes" in text for text in said)
    first = state["step"]
    assert first == 8
    train(config, data, tmp_path, say=said.append)
    state = load_state(tmp_path / "state.pt")
    assert state is not None
    assert state["seconds"] >= 4
    log = read_log(tmp_path / "log.jsonl")
    assert [line["step"] for line in log] == list(range(state["step"]))
    assert log[first]["lr"] <= log[4]["lr"], "it went on where it was"
    assert log[-1]["lr"] == pytest.approx(config.lr * config.final_lr, rel=0.3)
    before = (tmp_path / "state.pt").read_bytes()
    train(config, data, tmp_path)
    assert (tmp_path / "state.pt").read_bytes() == before, "over is over"


def test_a_run_goes_on_from_pieces_without_a_jump(data: PairDataset, tmp_path: Path) -> None:
    train(TINY, data, tmp_path / "whole")
    train(TINY, data, tmp_path / "first", stop_after=0.0, export_state=tmp_path / "pieces")
    state = load_state(tmp_path / "first" / "state.pt")
    assert state is not None
    weights = train(TINY, data, tmp_path / "then", import_state=tmp_path / "pieces")
    whole, then = (load_state(tmp_path / name / "state.pt") for name in ("whole", "then"))
    assert whole is not None
    assert then is not None
    assert then["step"] == TINY.steps
    for key, value in whole["network"].items():
        assert torch.allclose(then["network"][key], value, atol=2e-3), key
    losses = {name: [line["loss"] for line in read_log(tmp_path / name / "log.jsonl")] for name in ("whole", "then")}
    assert losses["then"] == pytest.approx(losses["whole"][state["step"] :], rel=0.02)
    assert weights.is_dir()
    with pytest.raises(UserError, match="lr differ"):
        train(dataclasses.replace(TINY, lr=0.5), data, tmp_path / "other", import_state=tmp_path / "pieces")


def a_state() -> dict[str, object]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(300, 40), (7,), (64, 3, 3, 3)]
    values = [torch.randn(s, generator=generator) for s in shapes]
    moments = {k: {"step": torch.tensor(70_001.0), "exp_avg": 1e-4 * v, "exp_avg_sq": 1e-9 * v**2} for k, v in enumerate(values)}
    return {
        "config": {"snapshot_maps": ("a", "b"), "lr": 1e-4},
        "network": {f"layer.{k}": v for k, v in enumerate(values)},
        "average": [0.1 * v for v in values],
        "optimizer": {"state": moments, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "params": [0, 1, 2]}]},
        "scaler": None,
        "step": 70_001,
    }


def test_pieces_hold_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces_module, "LIMIT", 40_000)
    state: dict = a_state()
    write_pieces(state, tmp_path / "pieces")
    files = list((tmp_path / "pieces").iterdir())
    assert len([f for f in files if f.name.startswith("weights")]) == 2
    assert all(f.stat().st_size < 40_000 for f in files)
    back = read_pieces(tmp_path / "pieces")
    assert {k: v for k, v in back.items() if k not in ("network", "average", "optimizer")} == {
        k: v for k, v in state.items() if k not in ("network", "average", "optimizer")
    }
    assert back["optimizer"]["param_groups"] == state["optimizer"]["param_groups"]
    for key, value in state["network"].items():
        assert torch.allclose(back["network"][key], value, rtol=2**-16, atol=0), key
    for one, other in zip(back["average"], state["average"], strict=True):
        assert torch.allclose(one, other, rtol=2**-10, atol=1e-7)
    for k, moments in state["optimizer"]["state"].items():
        own = back["optimizer"]["state"][k]
        assert own["step"] == moments["step"]
        assert torch.allclose(own["exp_avg_sq"], moments["exp_avg_sq"], rtol=2**-7, atol=0)
        assert torch.allclose(own["exp_avg"], moments["exp_avg"], rtol=2**-3, atol=1e-9)
    for file in files:
        if file.name.startswith("moments"):
            file.unlink()
    said: list[str] = []
    assert read_pieces(tmp_path / "pieces", said.append)["optimizer"] is None
    assert "begins anew" in said[0]


def test_damaged_pieces_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--export-state"):
        read_pieces(tmp_path / "nowhere")
    write_pieces(a_state(), tmp_path)
    about = json.loads((tmp_path / "state.json").read_text())
    for change in ({"version": 9}, {"files": {}}, {"files": {**about["files"], "weights": ["../weights-9of9.safetensors"]}}):
        (tmp_path / "state.json").write_text(json.dumps({**about, **change}))
        with pytest.raises(UserError, match="does not hold the pieces"):
            read_pieces(tmp_path)
