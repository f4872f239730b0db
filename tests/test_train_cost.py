"""Counted before it is spent: parameters and floating-point operations against known numbers, the dry run, the command's refusals."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.common.configs import PACKAGED
from discontrolface.common.errors import UserError
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.presets import debug_config
from discontrolface.training.config import TrainConfig, load_config
from discontrolface.training.cost import count, describe
from discontrolface.training.run import Sitting, run_training, stage_config

CONFIGS = PACKAGED


def test_the_papers_numbers() -> None:
    """The official autoencoder: 168,492,291 parameters, U-Net 0.554 and encoder 0.071 TFLOP a forward; Exp-FaceNet is a second U-Net."""
    cost = count(load_config(CONFIGS / "paper_expfacenet.yaml"))
    assert cost.frozen == 168_492_291
    assert cost.trained == pytest.approx(138_341_891, rel=0.03)
    assert cost.forward == pytest.approx((2 * 0.554 + 0.071) * 1e12, rel=0.03)
    assert 2 * cost.forward < cost.step < 3 * cost.forward, "backward passes the control network and the frozen decoder only"
    backbone = count(TrainConfig(stage="diffae", network="ffhq256"))
    assert (backbone.trained, backbone.frozen) == (168_492_291, 0)
    assert backbone.forward == pytest.approx((0.554 + 0.071) * 1e12, rel=0.01)
    assert backbone.step == pytest.approx(3 * backbone.forward, rel=0.02)


def test_counts_are_of_the_real_networks() -> None:
    config = TrainConfig(stage="diffae", network="debug")
    cost = count(config)
    assert cost.trained == sum(p.numel() for p in DiffAE(**debug_config()).parameters())
    convolution = 2 * 12 * 8 * 9 * 16 * 16  # the first layer alone: 12 to 8 channels, 3x3, 16x16
    assert cost.forward > convolution
    assert count(TrainConfig(stage="diffae", network="debug", precision="bf16")).activations == round(cost.activations / 2)


def test_dry_run_prints_and_trains_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["train", "expfacenet", "--config", str(CONFIGS / "debug.yaml"), "-o", str(tmp_path / "out"), "--dry-run", "--device", "cpu"]
    )
    assert result.exit_code == 0, result.output
    for word in ("parameters", "GFLOP", "memory", "pictures/s", "hours"):
        assert word in result.output
    assert not (tmp_path / "out").exists()
    assert "bf16" in describe(TrainConfig(stage="diffae", network="debug", precision="bf16"), "cpu")


def test_what_the_command_refuses(tmp_path: Path) -> None:
    def run(stage: str, config: Path, **given: Path) -> None:
        options = {"data": None, "output": tmp_path / "out", "backbone": None, "start_from": None, **given}
        run_training(stage, config, device="cpu", sitting=Sitting(), say=lambda text: None, **options)  # type: ignore[arg-type]

    with pytest.raises(UserError, match="is for stage 'expfacenet'"):
        stage_config(CONFIGS / "debug.yaml", "diffae")
    with pytest.raises(UserError, match="needs data"):
        run("diffae", CONFIGS / "open_diffae.yaml")
    with pytest.raises(UserError, match=r"no block_\*\.npy"):
        run("diffae", CONFIGS / "open_diffae.yaml", data=tmp_path)
    with pytest.raises(UserError, match=r"no index\.json"):
        run("expfacenet", CONFIGS / "paper_expfacenet.yaml", data=tmp_path)
    result = CliRunner().invoke(app, ["train", "oneshot", "--config", str(CONFIGS / "oneshot_open.yaml")])
    assert result.exit_code == 2
