"""What kernels pass around at a pixel: where it lies, its colour and noise, how its surface shines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discontrolface.synthetic.anatomy import Array


class Place(NamedTuple):
    """A place on the mesh. tx, ty, tz: on the template, metres. nx, ny, nz: its unit normal, view space."""

    tx: float
    ty: float
    tz: float
    nx: float
    ny: float
    nz: float


class Scratch(NamedTuple):
    """Filled anew at each pixel. base: (3,) float64 linear colour. coarse, fine: (4,) noises."""

    base: NDArray[np.float64]
    coarse: Array
    fine: Array

    @classmethod
    def empty(cls) -> Scratch:
        """Not filled yet."""
        return cls(base=np.empty(3), coarse=np.empty(4, np.float32), fine=np.empty(4, np.float32))


class Material(NamedTuple):
    """How a place answers light. gloss, power: strength and sharpness of its highlight. sheen: of its rim. soft: 0..1, how far light travels inside.
    wet: strength of a water film's highlight. occlusion: 0..1, light that reaches it. bx, by, bz: its normal with relief, not yet unit."""

    gloss: float
    power: float
    sheen: float
    soft: float
    wet: float
    occlusion: float
    bx: float
    by: float
    bz: float
