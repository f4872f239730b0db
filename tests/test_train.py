"""Training: exact resume after kills, many processes like one, checkpoints that survive a full disk, configs."""

import dataclasses
import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.blocks import make_blocks

from discontrolface.baselines import register_stages
from discontrolface.cli.train import network_folder
from discontrolface.common.configs import PACKAGED, load_dataclass
from discontrolface.common.errors import UserError
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.training.config import TrainConfig, load_config
from discontrolface.training.dataset import PairDataset, StepData
from discontrolface.training.draws import draw
from discontrolface.training.log import read_log
from discontrolface.training.state import load_state, save_state
from discontrolface.training.train import learning_rate, train
from discontrolface.weights.manifest import preset_folder

TINY = TrainConfig(
    stage="diffae", network="debug", steps=24, batch=4, lr=1e-3, warmup=4, final_lr=0.1, ema=0.9, mask_patch=8, mask_share=0.5,
    colour_jitter=0.1, checkpoint_minutes=0,
)  # fmt: skip
CONFIGS = PACKAGED
register_stages()


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_blocks(tmp_path_factory.mktemp("blocks"))


def outcome(output: Path) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses of all steps, final weights and averages."""
    state = load_state(output / "state.pt")
    assert state is not None
    log = read_log(output / "log.jsonl")
    assert [line["step"] for line in log] == list(range(len(log)))
    return [line["loss"] for line in log], {**state["network"], **{f"average {k}": v for k, v in enumerate(state["average"])}}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def run_child(config: TrainConfig, data: Path, output: Path) -> None:
    torch.set_num_threads(1)
    train(config, PairDataset(data), output)


def test_killed_at_any_moment_it_goes_on_as_if_nothing_had_happened(blocks: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["discontrolface.training.train", "discontrolface.nets.exp_facenet", "accelerate"])
    config = dataclasses.replace(TINY, steps=40)

    def start(output: Path) -> multiprocessing.process.BaseProcess:
        child = context.Process(target=run_child, args=(config, blocks, output))
        child.start()
        return child

    whole = start(tmp_path / "whole")
    whole.join()
    assert whole.exitcode == 0
    chance = random.Random(5)
    kills = 0
    for until in (chance.randint(2, 9), chance.randint(12, 20), chance.randint(23, 34)):
        child = start(tmp_path / "killed")
        log = tmp_path / "killed" / "log.jsonl"
        while child.is_alive() and (not log.exists() or log.read_bytes().count(b"\n") < until):
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.02))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        kills += child.exitcode == -signal.SIGKILL
    assert kills == 3
    last = start(tmp_path / "killed")
    last.join()
    assert last.exitcode == 0
    (losses, weights), (expected_losses, expected_weights) = outcome(tmp_path / "killed"), outcome(tmp_path / "whole")
    assert losses == expected_losses
    assert len(losses) == 40
    assert same(weights, expected_weights)


def test_a_cut_line_in_the_log_is_written_again(blocks: Path, tmp_path: Path) -> None:
    train(TINY, PairDataset(blocks), tmp_path / "a")
    train(TINY, PairDataset(blocks), tmp_path / "b", stop_after=0)
    with (tmp_path / "b" / "log.jsonl").open("a") as f:
        f.write('{"step": 1, "loss"')
    train(TINY, PairDataset(blocks), tmp_path / "b")
    (la, wa), (lb, wb) = outcome(tmp_path / "a"), outcome(tmp_path / "b")
    assert la == lb
    assert same(wa, wb)


def test_micro_batches_are_the_same_step(blocks: Path, tmp_path: Path) -> None:
    train(TINY, PairDataset(blocks), tmp_path / "a")
    train(dataclasses.replace(TINY, batch=2, accumulate=2), PairDataset(blocks), tmp_path / "b")
    (la, wa), (lb, wb) = outcome(tmp_path / "a"), outcome(tmp_path / "b")
    assert np.allclose(la, lb, rtol=1e-4)
    assert all(torch.allclose(wa[k], wb[k], atol=1e-3) for k in wa)


def test_parts_of_a_step_are_disjoint_and_complete(blocks: Path) -> None:
    data = PairDataset(blocks)
    whole = StepData(data, TINY)[3][0]
    half = dataclasses.replace(TINY, batch=2)
    parts = [StepData(data, half, process, 2)[3][0] for process in range(2)]
    for name in ("source", "target", "snapshot", "mask", "t", "noise", "weight"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(p, name) for p in parts]))


def test_draws_differ_between_steps_and_seeds() -> None:
    a, b = draw(TINY, 0, 8, 100, 32), draw(TINY, 1, 8, 100, 32)
    assert not torch.equal(a.index, b.index)
    assert not torch.equal(a.seed, draw(dataclasses.replace(TINY, seed=1), 0, 8, 100, 32).seed)
    assert torch.equal(a.noise(32), draw(TINY, 0, 8, 100, 32).noise(32))
    assert abs(float(a.noise(32).mean())) < 0.05
    assert a.mask.flatten(1).float().mean(1).max() <= 0.75


def as_yaml(config: TrainConfig) -> str:
    return "".join(f"{k}: {json.dumps(v)}\n" for k, v in dataclasses.asdict(config).items())


def launch(processes: int, *arguments: str | Path) -> None:
    """`accelerate launch` on the CPU."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes), "--num_machines", "1"]
    command += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "-m", "discontrolface", "train"]
    done = subprocess.run(
        [*command, *map(str, arguments), "--device", "cpu"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.heavy
def test_two_processes_do_what_one_does_with_twice_the_batch(blocks: Path, tmp_path: Path) -> None:
    data = PairDataset(blocks)
    backbone = train(TINY, data, tmp_path / "backbone")
    config = dataclasses.replace(
        TINY, stage="expfacenet", steps=12, snapshot_maps=("normals", "lambertian", "preview", "visibility"), preview_gate="visibility"
    )
    train(config, data, tmp_path / "one", backbone)
    (tmp_path / "half.yaml").write_text(as_yaml(dataclasses.replace(config, batch=2)))
    launch(2, "expfacenet", "--config", tmp_path / "half.yaml", "--data", blocks, "--backbone", backbone, "-o", tmp_path / "two")
    (la, wa), (lb, wb) = outcome(tmp_path / "one"), outcome(tmp_path / "two")
    assert len(la) == 12
    assert np.allclose(la, lb, rtol=1e-4)
    assert all(torch.allclose(wa[k], wb[k], atol=1e-3) for k in wa)


@pytest.mark.heavy
def test_the_debug_run_reaches_its_bar_within_three_minutes(tmp_path: Path) -> None:
    begin = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "discontrolface",
        "train",
        "expfacenet",
        "--config",
        str(CONFIGS / "debug.yaml"),
        "-o",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr  # 2 when the loss is not below loss_bar
    assert time.monotonic() - begin < 180
    assert load_config(CONFIGS / "debug.yaml").loss_bar > 0


def test_full_disk_is_a_clear_error_and_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.pt"
    save_state({"step": 1, "x": torch.ones(3)}, path)

    def full(state: object, f: object) -> None:
        f.write(b"half of it")  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(UserError, match="No space left on device"):
            save_state({"step": 2}, path)
    assert load_state(path)["step"] == 1  # type: ignore[index]
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


def test_a_really_full_disk(tmp_path: Path) -> None:
    """PyTorch's own writer where files must not grow beyond 100 kB."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"the checkpoint .* cannot be written"):
            save_state({"step": 2, "x": torch.zeros(1000, 1000)}, tmp_path / "state.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_another_run_and_damaged_checkpoints_are_refused(blocks: Path, tmp_path: Path) -> None:
    data = PairDataset(blocks)
    train(TINY, data, tmp_path, stop_after=0)
    with pytest.raises(UserError, match="lr differ"):
        train(dataclasses.replace(TINY, lr=2e-3), data, tmp_path)
    train(dataclasses.replace(TINY, checkpoint_minutes=1.0), data, tmp_path, stop_after=0)
    with pytest.raises(UserError, match="wants 32"):
        train(TINY, PairDataset(make_blocks(tmp_path / "large", size=64)), tmp_path / "c")
    (tmp_path / "state.pt").write_bytes(b"PK nonsense")
    with pytest.raises(UserError, match="cannot read the checkpoint"):
        train(TINY, data, tmp_path)


def test_control_trains_beside_a_frozen_backbone(blocks: Path, tmp_path: Path) -> None:
    from discontrolface.nets.exp_facenet import ExpFaceNet

    data = PairDataset(blocks)
    backbone = train(TINY, data, tmp_path / "backbone", stop_after=0)
    config = dataclasses.replace(
        TINY,
        stage="expfacenet",
        steps=12,
        mask_share=1.0,
        snapshot_maps=("normals", "lambertian", "preview", "visibility"),
        preview_gate="visibility",
    )
    with pytest.raises(UserError, match="--backbone"):
        train(config, data, tmp_path / "none")
    weights = train(config, data, tmp_path / "run", backbone, pictures=6)
    control = ExpFaceNet.from_pretrained(weights)
    assert tuple(control.config.snapshot_maps) == config.snapshot_maps
    without = train(config, data, tmp_path / "plain", backbone, workers=1)
    assert same(outcome(tmp_path / "run")[1], outcome(tmp_path / "plain")[1]), "looking at pictures changed the training"
    assert json.loads((without / "config.json").read_text())["_class_name"] == "ExpFaceNet"
    events = list((tmp_path / "run" / "tensorboard").iterdir())
    assert sum(e.stat().st_size for e in events) > 10_000


@pytest.mark.parametrize("precision", ["bf16"])
def test_mixed_precision_learns_too(blocks: Path, tmp_path: Path, precision: str) -> None:
    train(dataclasses.replace(TINY, precision=precision), PairDataset(blocks), tmp_path / "mixed")
    train(TINY, PairDataset(blocks), tmp_path / "full")
    mixed, full = outcome(tmp_path / "mixed")[0], outcome(tmp_path / "full")[0]
    assert mixed != full
    assert np.allclose(mixed, full, rtol=0.05)


def test_learning_rate_warms_up_and_falls() -> None:
    config = dataclasses.replace(TINY, steps=100, warmup=10, final_lr=0.1)
    rates = [learning_rate(config, step, step / 100) for step in range(101)]
    assert rates[0] == pytest.approx(config.lr * 0.1, rel=0.01)
    assert max(rates) == rates[9]
    assert rates[100] == pytest.approx(config.lr * 0.1)
    assert learning_rate(TrainConfig(), 400_000, 0.9) == 1e-4


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_configs_are_valid(path: Path) -> None:
    if path.stem.startswith("oneshot"):
        from discontrolface.editing.personalize import load_one_shot

        load_one_shot(path)
    elif path.stem.startswith("latent_"):  # the latent DPM's; latents_ and latent512_ are of networks on autoencoder latents
        from discontrolface.training.latent import LatentTraining

        load_dataclass(path, LatentTraining())
    elif path.stem.startswith("open_super_resolution"):
        from discontrolface.training.super_resolution import SuperResolutionTraining

        load_dataclass(path, SuperResolutionTraining())
    else:
        load_config(path)


def test_paper_config_has_table_1(tmp_path: Path) -> None:
    paper = load_config(CONFIGS / "paper_expfacenet.yaml")
    assert (paper.lr, paper.batch, paper.steps, paper.ema, paper.mask_patch) == (1e-4, 32, 437_500, 0.9999, 16)
    assert (paper.mask_low, paper.mask_high, paper.pairs, paper.network, paper.mask_share) == (0.25, 0.75, "self", "ffhq256", 1.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stage: other", "'other' is not known"),
        ("lrr: 1", "unknown key 'lrr'"),
        ("batch: many", "must be a int"),
        ("batch: true", "must be a int"),
        ("lr: fast", "must be a number"),
        ("- a\n- b", "must be a list of"),
        ("a: [", "not valid YAML"),
        ("steps: 0", "at least 1"),
        ("precision: yes", "'yes' is not known"),
        ("mask_low: 0.9", "above mask_high"),
        ("snapshot_maps: normals", "must be a list"),
    ],
)
def test_bad_configs_are_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load_config(tmp_path / "c.yaml")
    with pytest.raises(UserError, match="no training config"):
        load_config(tmp_path / "missing.yaml")
    with pytest.raises(UserError, match=r"give a YAML file, or one of the package's by name: .*debug, .*paper_expfacenet"):
        load_config(Path("unheard-of"))


def test_the_packages_own_configs_and_networks_go_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any folder; a file of the user's goes before."""
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("paper_expfacenet")).batch == 32  # the paper's
    assert network_folder(Path("open"), "diffae", None) == preset_folder("open") / "diffae"
    assert (preset_folder("open") / "diffae" / "config.json").is_file()
    (tmp_path / "open").mkdir()
    (tmp_path / "paper_expfacenet").write_text("batch: 3")
    assert load_config(Path("paper_expfacenet")).batch == 3
    assert network_folder(Path("open"), "diffae", None) == Path("open")
    assert network_folder(Path("elsewhere"), "diffae", None) == Path("elsewhere")
    assert network_folder(None, "diffae", None) is None


def test_unknown_devices_are_one_sentence(blocks: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not known to PyTorch"):
        train(TINY, PairDataset(blocks), tmp_path, device="toaster")
    with pytest.raises(UserError, match="leave --device out"):
        train(TINY, PairDataset(blocks), tmp_path, device="meta")


@pytest.mark.heavy
def test_compiled_training_is_the_same_up_to_float_noise(blocks: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, steps=6)
    train(config, PairDataset(blocks), tmp_path / "plain")
    train(dataclasses.replace(config, compile=True), PairDataset(blocks), tmp_path / "compiled")
    (la, wa), (lb, wb) = outcome(tmp_path / "plain"), outcome(tmp_path / "compiled")
    assert np.allclose(la, lb, rtol=1e-3)
    assert wa.keys() == wb.keys()


def test_squares_near_the_face_and_weight_on_hidden_pixels(blocks: Path) -> None:
    """A crop cuts target, snapshot, weight and noise at one place, on the networks' grid; the source stays whole."""
    maps = ("normals", "lambertian", "preview", "visibility")
    whole = TrainConfig(network="debug", batch=3, steps=9, snapshot_maps=maps, hidden_weight=2.0)
    data = PairDataset(blocks)
    full = StepData(data, whole)[4][0]
    cut = StepData(data, dataclasses.replace(whole, crop=16))[4][0]
    assert torch.equal(full.weight, 1 + 2 * (1 - full.snapshot[:, 9:10]))
    assert torch.equal(cut.source, full.source)
    for name in ("target", "snapshot", "weight", "noise"):
        small, large = getattr(cut, name), getattr(full, name)
        assert small.shape[-2:] == (16, 16)
        places = [(r, c) for r in range(0, 17, 8) for c in range(0, 17, 8) if torch.equal(small[0], large[0, :, r : r + 16, c : c + 16])]
        assert places


def test_a_run_can_start_from_earlier_weights(blocks: Path, tmp_path: Path) -> None:
    config = TrainConfig(stage="diffae", network="debug", batch=2, steps=2, lr=1e-3)
    first = train(config, PairDataset(blocks), tmp_path / "a")
    second = train(dataclasses.replace(config, lr=0.0), PairDataset(blocks), tmp_path / "b", start_from=first)
    saved = [DiffAE.from_pretrained(folder).state_dict() for folder in (first, second)]
    assert all(torch.allclose(saved[0][k], saved[1][k], atol=1e-6) for k in saved[0])
    with pytest.raises(UserError, match="cannot start from"):
        train(config, PairDataset(blocks), tmp_path / "c", start_from=tmp_path / "nothing")


def test_earlier_weights_may_lack_what_starts_at_zero(blocks: Path, tmp_path: Path) -> None:
    config = TrainConfig(stage="diffae", network="debug", batch=2, steps=1)
    backbone = train(config, PairDataset(blocks), tmp_path / "backbone")
    maps = ("normals", "lambertian", "preview", "visibility")
    config = dataclasses.replace(config, stage="expfacenet", snapshot_maps=maps, preview_gate="visibility", lr=0.0)
    plain = train(config, PairDataset(blocks), tmp_path / "plain", backbone)
    config = dataclasses.replace(config, preview_correction=True)
    richer = ExpFaceNet.from_pretrained(train(config, PairDataset(blocks), tmp_path / "richer", backbone, start_from=plain))
    saved = ExpFaceNet.from_pretrained(plain).state_dict()
    assert all(torch.allclose(value, saved.get(name, torch.zeros(())), atol=1e-6) for name, value in richer.state_dict().items())
    with pytest.raises(UserError, match="cannot start from"):  # the other way round something would be lost
        train(
            dataclasses.replace(config, preview_correction=False),
            PairDataset(blocks),
            tmp_path / "poorer",
            backbone,
            start_from=tmp_path / "richer" / "weights",
        )


def test_relative_weights_ask_for_a_smaller_error_than_the_previews_of_every_picture_alike(blocks: Path) -> None:
    """A prediction equal to the preview loses 1 + hidden_weight on each picture, hard or easy (a little less by the floor)."""
    config = dataclasses.replace(
        TINY, snapshot_maps=("normals", "lambertian", "preview", "visibility"), relative_floor=1e-9, hidden_weight=0.5
    )
    batch = StepData(PairDataset(blocks), config)[0][0]
    preview, visible = batch.snapshot[:, 6:9], batch.snapshot[:, 9:]
    square = (preview - batch.target).square()
    loss = (batch.weight * square).mean((1, 2, 3))
    enough = ((1 - visible).mean((1, 2, 3)) > 0.005) & ((square * (1 - visible)).mean((1, 2, 3)) > 1e-5)
    assert enough.any()
    assert loss[enough].numpy() == pytest.approx(1.5, abs=1e-3)
    assert (loss[~enough] <= 1.5 + 1e-3).all()
    halved = (batch.weight * ((preview + batch.target) / 2 - batch.target).square()).mean((1, 2, 3))
    assert halved.numpy() == pytest.approx(loss.numpy() / 4, rel=1e-4)
    with pytest.raises(UserError, match="add preview and visibility"):
        dataclasses.replace(TINY, relative_floor=1e-3)
    with pytest.raises(UserError, match="relative_floor is -1"):
        dataclasses.replace(config, relative_floor=-1.0)
