"""Pictures read along a motion: bilinear as SciPy reads them, bicubic exact for parabolas, the border repeated, nothing read beside them."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from discontrolface.render.flow import linearly_moved_by, moved_by

SIZE = 40
Reading = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]


@pytest.fixture
def picture() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((SIZE, SIZE, 5)).astype(np.float32)


@pytest.fixture
def flow() -> NDArray[np.float32]:
    """Up to 12 pixels either way: some beyond every border."""
    return np.random.default_rng(1).uniform(-12, 12, (SIZE, SIZE, 2)).astype(np.float32)


def test_bilinear_reads_as_scipy_does(picture: NDArray[np.float32], flow: NDArray[np.float32]) -> None:
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    where = [np.clip(rows + flow[..., 1], 0, SIZE - 1), np.clip(columns + flow[..., 0], 0, SIZE - 1)]
    expected = np.stack([map_coordinates(picture[..., c], where, order=1, mode="nearest") for c in range(5)], -1)
    assert np.abs(linearly_moved_by(picture, flow) - expected).max() < 1e-5


def test_bicubic_is_exact_for_parabolas() -> None:
    """Catmull-Rom's kernel reproduces polynomials of the second degree (Keys, 1981)."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)

    def parabola(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.stack([0.2 + 0.01 * x - 0.003 * x * y + 4e-4 * y**2, 3e-4 * x**2 - 0.01 * y], -1).astype(np.float32)

    flow = np.random.default_rng(2).uniform(-3, 3, (SIZE, SIZE, 2)).astype(np.float32)
    inner = np.s_[6:-6, 6:-6]
    out = moved_by(parabola(rows, columns), flow)
    assert np.abs(out - parabola(rows + flow[..., 1], columns + flow[..., 0]))[inner].max() < 1e-4


@pytest.mark.parametrize("reading", [moved_by, linearly_moved_by])
def test_no_motion_gives_the_picture_and_beyond_it_its_border_goes_on(
    reading: Reading, picture: NDArray[np.float32], flow: NDArray[np.float32]
) -> None:
    assert np.array_equal(reading(picture, 0 * flow), picture)
    far = np.full_like(flow, 3 * SIZE)
    assert np.allclose(reading(picture, far), picture[-1, -1], atol=1e-6)
    assert np.allclose(reading(picture, -far), picture[0, 0], atol=1e-6)


@pytest.mark.parametrize("reading", [moved_by, linearly_moved_by])
def test_a_motion_that_is_no_number_spoils_its_own_pixel_alone(
    reading: Reading, picture: NDArray[np.float32], flow: NDArray[np.float32]
) -> None:
    broken = flow.copy()
    broken[3, 4], broken[5, 6], broken[7, 8] = np.nan, np.inf, -np.inf
    sound = np.ones((SIZE, SIZE), bool)
    sound[3, 4] = sound[5, 6] = sound[7, 8] = False
    assert np.array_equal(reading(picture, broken)[sound], reading(picture, flow)[sound])
