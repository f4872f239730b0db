"""Our Gaussian blur is SciPy's."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from discontrolface.render.blur import gaussian


@pytest.mark.parametrize(
    ("shape", "sigma"), [((40, 31, 5), 3.3), ((25, 40), 1.0), ((5, 7, 2), 9.0), ((1, 3), 2.0), ((8, 8, 1), 0.0), ((8, 8), 0.1)]
)
def test_it_is_scipys(shape: tuple[int, ...], sigma: float) -> None:
    planes = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    ours = gaussian(planes, sigma)
    assert ours.dtype == np.float32
    assert ours is not planes
    assert np.abs(ours - gaussian_filter(planes, (sigma, sigma, 0)[: planes.ndim])).max() < 1e-6
