"""Black-and-white and toned photos (sepia, cyanotype): a colour for each brightness. An edit of one stays in its tones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
GREY: Final = 2  # levels of 255 by which the channels of a black-and-white photo differ at most
TONED: Final = 5  # levels by which nearly all pixels of a toned photo lie from the colour of their brightness
NEARLY_ALL: Final = 0.995
SMOOTH: Final = 3.0  # levels: standard deviation of the smoothing of the tones
FEW: Final = 4  # pixels


@dataclass(frozen=True)
class Toning:
    """tones: (256, 3) in [0, 1], the colour of each brightness; None: grey, R = G = B."""

    tones: NDArray[np.float32] | None

    @classmethod
    def of(cls, picture: NDArray[np.uint8]) -> Toning | None:
        """The toning of a photo (H, W, 3); None for a photo in colours."""
        values = picture.reshape(-1, 3).astype(np.int32)
        if int((values.max(1) - values.min(1)).max(initial=0)) <= GREY:
            return cls(None)
        level = np.rint(values @ LUMA).astype(np.int64)
        count = np.bincount(level, minlength=256).astype(np.float64)
        sums = np.stack([np.bincount(level, values[:, c], 256) for c in range(3)], 1)
        levels = np.arange(256)
        near = np.exp(-0.5 * ((levels[:, None] - levels) / SMOOTH) ** 2)  # (256, 256), Gaussian weights
        weight = near @ count
        around = (near @ sums) / np.maximum(weight, 1e-9)[:, None]
        tones = (sums + FEW * around) / (count + FEW)[:, None]  # where few pixels have a brightness, their neighbours' say more
        seen = weight > 1e-3
        filled = np.stack([np.interp(levels, np.flatnonzero(seen), tones[seen, c]) for c in range(3)], 1)
        distance = np.abs(values - filled[level]).max(1)
        return cls((filled / 255).astype(np.float32)) if np.quantile(distance, NEARLY_ALL) <= TONED else None

    def apply(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """A picture (H, W, 3) in [0, 1] in these tones: its brightness stays."""
        brightness = picture @ LUMA  # (H, W)
        if self.tones is None:
            return np.repeat(brightness[..., None], 3, -1)
        place = np.clip(brightness, 0, 1) * 255
        levels = np.arange(256)
        return np.stack([np.interp(place, levels, self.tones[:, c]) for c in range(3)], -1).astype(np.float32)
