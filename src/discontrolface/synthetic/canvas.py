"""What a portrait is drawn on, and what its pixels may show."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discontrolface.synthetic.anatomy import Array

BACKGROUND, FACE, BODY, CLOTH, HAIR, THING = range(6)  # labels of pixels
SUPERSAMPLE = 2


class Canvas(NamedTuple):
    """Drawn on in place. image: (H, W, 3) linear. depth: (H, W) view z in metres, -inf where only the background is. labels: (H, W) uint8."""

    image: Array
    depth: Array
    labels: NDArray[np.uint8]

    @classmethod
    def before(cls, background: Array) -> Canvas:
        """Nothing but a background (size, size, 3), linear, SUPERSAMPLE times as large."""
        image = np.ascontiguousarray(np.repeat(np.repeat(background, SUPERSAMPLE, 0), SUPERSAMPLE, 1))
        side = len(image)
        return cls(image=image, depth=np.full((side, side), -np.inf, np.float32), labels=np.zeros((side, side), np.uint8))


def halved(field: NDArray[np.floating]) -> Array:
    """(2 H, 2 W, ...) to (H, W, ...): means over 2 x 2 pixels."""
    return (0.25 * (field[::2, ::2] + field[1::2, ::2] + field[::2, 1::2] + field[1::2, 1::2])).astype(np.float32)
