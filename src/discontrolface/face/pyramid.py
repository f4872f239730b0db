"""A photo and its halves: models that look at large parts of a large photo sample a smaller copy of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discontrolface.geometry.affine import affine_scale, apply_affine, sample_affine
from discontrolface.geometry.shrink import by_pillow


class Pyramid:
    """Copies of a photo (H, W, 3) uint8, each half as large as the one before, made when they are needed."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.copies = [image]

    @property
    def image(self) -> NDArray[np.uint8]:
        """The photo."""
        return self.copies[0]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the photo."""
        return self.image.shape[1], self.image.shape[0]

    def sample(self, to_photo: NDArray[np.float64], size: int, black: bool = False) -> NDArray[np.uint8]:
        """A picture (size, size, 3) of the photo through the (2, 3) map of its pixels to the photo's.

        The copy still has two to four pixels for one of the picture. black: what lies beyond the photo's border is black; else its edge repeats.
        """
        halvings = max(0, int(np.log2(max(affine_scale(to_photo), 1))) - 1)
        while len(self.copies) <= halvings and min(self.copies[-1].shape[:2]) > 1:
            self.copies.append(by_pillow(self.copies[-1], lambda plane: plane.reduce(2)))
        halvings = min(halvings, len(self.copies) - 1)
        pixels = sample_affine(self.copies[halvings], to_photo / 2**halvings, (size, size))
        corners = apply_affine(to_photo, np.array([[0, 0], [size, 0], [0, size], [size, size]], dtype=np.float64))
        if not black or bool(np.all((corners >= 0) & (corners <= self.size))):
            return pixels
        grid = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1)
        where = apply_affine(to_photo, grid)
        inside: NDArray[np.bool_] = np.all((where >= 0) & (where <= self.size), axis=-1, keepdims=True)
        return np.where(inside, pixels, np.uint8(0))
