"""Similarity of pictures against independent figures."""

import numpy as np
import pytest

from discontrolface.evaluation.similarity import psnr, ssim, ssim_map


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
