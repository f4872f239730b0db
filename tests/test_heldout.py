"""Held-out pairs: the figures against independent ones, resuming, and what is refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from discontrolface.editing.personalize import OPEN_ONE_SHOT
from discontrolface.errors import UserError
from discontrolface.evaluation import heldout
from discontrolface.evaluation.similarity import psnr, ssim, ssim_map
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.presets import debug_config
from discontrolface.weights.preset import Preset


@pytest.fixture(scope="module")
def preset() -> Preset:
    torch.manual_seed(0)
    model = DiffAE(**debug_config()).eval()
    control = ExpFaceNet.from_backbone(model, snapshot_maps=("normals", "lambertian", "preview", "visibility"), preview_gate="visibility")
    return Preset("debug", "open", model, control.eval(), "draft", 0.5, 2)


def test_similarity_agrees_with_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics")
    rng = np.random.default_rng(0)
    a = rng.random((40, 44, 3)).astype(np.float32)
    b = np.clip(a + rng.normal(0, 0.1, a.shape), 0, 1).astype(np.float32)
    theirs = metrics.structural_similarity(
        a, b, channel_axis=2, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert ssim(a, b) == pytest.approx(theirs, abs=1e-5)
    assert psnr(a, b) == pytest.approx(metrics.peak_signal_noise_ratio(a, b, data_range=1), abs=1e-4)


def test_a_part_counts_alone() -> None:
    a = np.zeros((20, 20, 3), np.float32)
    b = a.copy()
    b[:10] = 0.1
    upper = np.zeros((20, 20), bool)
    upper[:10] = True
    assert psnr(a, b, upper) == pytest.approx(20.0, abs=1e-4)
    assert psnr(a, b, ~upper) == np.inf
    assert ssim(a, b, ~upper) > ssim(a, b, upper)
    assert ssim_map(a, a).min() == pytest.approx(1.0)


def test_report_resumes_and_repeats(preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heldout, "BATCH", 2)
    whole = heldout.evaluate(preset, tmp_path / "a.json", 4)
    heldout.evaluate(preset, tmp_path / "b.json", 2)
    made: list[int] = []
    make_case = heldout.make_case
    monkeypatch.setattr(heldout, "make_case", lambda seed, *rest: made.append(seed) or make_case(seed, *rest))
    resumed = heldout.evaluate(preset, tmp_path / "b.json", 4)
    assert made == [heldout.HELD_OUT + 2, heldout.HELD_OUT + 3]
    assert resumed == whole == json.loads((tmp_path / "b.json").read_text())
    assert [p["seed"] for p in whole["pairs"]] == [heldout.HELD_OUT + k for k in range(4)]
    means = whole["summary"]["all"]["methods"]
    assert means["warp"]["psnr"] == pytest.approx(np.mean([p["methods"]["warp"]["psnr"] for p in whole["pairs"]]), abs=1e-3)
    assert means["warp"]["mse"] < means["photo"]["mse"]
    assert "| mesh warp |" in (tmp_path / "b.md").read_text()
    assert (tmp_path / "b.png").stat().st_size > 1000
    with pytest.raises(UserError, match="other weights or settings"):
        heldout.evaluate(preset, tmp_path / "b.json", 4, steps=3)


def test_one_shot_rows_come_after(preset: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heldout, "BATCH", 2)
    quick = dataclasses.replace(OPEN_ONE_SHOT, iterations=2, warps=1, mask_patch=4)
    run_personal = heldout.run_personal
    monkeypatch.setattr(heldout, "run_personal", lambda *given: run_personal(*given, settings=quick))
    plain = heldout.evaluate(preset, tmp_path / "a.json", 2)
    assert "personalized" not in plain["summary"]
    report = heldout.evaluate(preset, tmp_path / "a.json", 2, personal=1)
    assert report["summary"]["personalized"]["pairs"] == 1
    assert set(report["summary"]["personalized"]["methods"]) == {*heldout.METHODS, *heldout.PERSONAL}
    assert report["summary"]["all"] == plain["summary"]["all"]
    assert "after one-shot" in (tmp_path / "a.md").read_text()


def test_another_file_is_not_overwritten(preset: Preset, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match="not a report"):
        heldout.evaluate(preset, tmp_path / "x.json", 2)
