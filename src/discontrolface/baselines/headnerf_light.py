"""Light of face parameters as HeadNeRF's face model has it: the same shading of every normal, in its own order and signs of the nine functions."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.render.shade import SH_CONSTANTS

# The official `build_color`: its functions are of normals in a camera's space (x right, y down, z away), ours of x right, y up, z towards the viewer.
_A = (math.pi, 2 * math.pi / math.sqrt(3), 2 * math.pi / math.sqrt(8))
_C = (1 / math.sqrt(4 * math.pi), math.sqrt(3 / (4 * math.pi)), 3 * math.sqrt(5 / (12 * math.pi)))
_BAND_1, _BAND_2 = _A[1] * _C[1], _A[2] * _C[2]
# Of each of its functions: which of ours it is (1, x, y, z, xy, xz, yz, x^2 - y^2, 3 z^2 - 1) and its factor.
OFFICIAL = (
    (0, _A[0] * _C[0]),
    (2, _BAND_1),
    (3, -_BAND_1),
    (1, -_BAND_1),
    (4, -_BAND_2),
    (6, -_BAND_2),
    (8, _BAND_2 * 0.5 / math.sqrt(3)),
    (5, _BAND_2),
    (7, _BAND_2 * 0.5),
)


def to_headnerf_light(light: NDArray[np.floating]) -> Tensor:
    """(9,3) of face parameters -> (1,27), the end of HeadNeRF's appearance code."""
    rows = [light[ours] * (SH_CONSTANTS[ours] / factor) for ours, factor in OFFICIAL]
    return torch.from_numpy(np.stack(rows).reshape(1, -1).astype(np.float32))


def from_headnerf_light(code: Tensor) -> Tensor:
    """The inverse: (1,27) of HeadNeRF -> light (1,9,3) as face parameters have it."""
    rows: dict[int, Tensor] = {}
    for row, (ours, factor) in zip(code.unflatten(1, (9, 3)).unbind(1), OFFICIAL, strict=True):
        rows[ours] = row * (factor / SH_CONSTANTS[ours])
    return torch.stack([rows[number] for number in range(9)], 1)
