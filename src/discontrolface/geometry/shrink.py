"""Large pictures made smaller by Pillow without a copy of the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LARGE: Final = 1 << 25  # bytes of a picture from which memory counts more than time


def by_pillow(picture: NDArray[np.uint8], change: Callable[[Image.Image], Image.Image]) -> NDArray[np.uint8]:
    """A picture (H, W, C) or (H, W) uint8, made smaller by Pillow.

    A large one channel after the other, which gives the same values: at once Pillow copies four bytes a pixel, of a large photo most of a gigabyte.
    """
    if picture.ndim == 3 and picture.size > LARGE:
        return np.stack([by_pillow(picture[..., c], change) for c in range(picture.shape[2])], axis=-1)
    return np.asarray(change(Image.fromarray(np.ascontiguousarray(picture))))
