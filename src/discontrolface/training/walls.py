"""A head off a plain wall: the wall's colours as a smooth surface, a soft matte from the difference, another place behind the head.

Sets of people photographed before one wall teach a network that wall. A plain wall gives its matte for nothing, hair included:

    photo = head + (1 - alpha) wall      ->      head + (1 - alpha) place
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt, gaussian_filter, label, maximum_filter

from discontrolface.common.pixels import to_float, to_uint8
from discontrolface.face.crop import cut_square

FloatArray = NDArray[np.float32]

DEGREE = 3  # of the polynomial in x and y that stands for the wall
PLAIN = 0.02  # mean difference to that polynomial, of 1, up to which a wall is plain
NOISE, DIFFERENT = 0.02, 0.045  # largest difference of a channel that is noise; from which a pixel is not the wall
RIM, CURL = 0.012, 0.029  # of the photo's side: how far a mixed pixel lies from the wall; one of the wall seen through hair


@dataclass(frozen=True)
class Head:
    """A photo without its wall. colours: (H, W, 3) uint8, already times alpha; alpha: (H, W, 3) uint8, the same three times."""

    colours: NDArray[np.uint8]
    alpha: NDArray[np.uint8]

    def before(self, place: FloatArray, photo_to_crop: NDArray[np.float64]) -> FloatArray:
        """The crop (S, S, 3) in [0, 1] that the similarity (2, 3) cuts, before another place (S, S, 3)."""
        size = place.shape[0]
        colours = to_float(cut_square(self.colours, photo_to_crop, size).image)
        alpha = to_float(cut_square(self.alpha, photo_to_crop, size).image)
        return np.clip(colours + (1 - alpha) * place, 0, 1)


def cut_out(photo: NDArray[np.uint8]) -> Head | None:
    """The head of a photo (H, W, 3) uint8; None where its wall is not plain. The head must not touch the photo's upper corners."""
    wall, seen = fitted_wall(photo)
    image = to_float(photo)
    difference = gaussian_filter(np.abs(image - wall).max(-1), 0.6)
    if not seen.any() or difference[seen].mean() > PLAIN:
        return None
    side = max(photo.shape[:2])
    background = _connected(difference < DIFFERENT)
    away = distance_transform_edt(~background) / side
    # How different a pixel is, as a share of what the head beside it is: dark hair differs more from a light wall than skin does.
    contrast = gaussian_filter(maximum_filter(difference, 2 * round(0.0095 * side) + 1), 0.0033 * side)
    share = np.clip((difference - NOISE) / np.maximum(0.75 * contrast - NOISE, 0.05), 0, 1)
    inside = np.clip((away - np.where(difference < 0.06, CURL, RIM)) * side / 4, 0, 1)
    alpha = np.where(background, np.minimum(share, 0.25 * (difference > NOISE)), np.maximum(share, inside)).astype(np.float32)
    colours = image - (1 - alpha[..., None]) * wall
    return Head(to_uint8(colours), to_uint8(np.repeat(alpha[..., None], 3, axis=2)))


def fitted_wall(photo: NDArray[np.uint8]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """The wall behind a head, (H, W, 3) in [0, 1], and where along the top and the upper sides it was looked at first, (H, W)."""
    height, width = photo.shape[:2]
    step = max(1, min(height, width) // 150)
    small = to_float(np.asarray(Image.fromarray(photo).resize((width // step, height // step), Image.Resampling.BOX)))
    terms, x, y = _terms(*small.shape[:2])
    colours = small.reshape(-1, 3)
    # First from the border, then from all that looks like it.
    chosen = ((np.abs(x) > 0.75) & (y < 0.1)) | (y < -0.9)
    for tolerance, reach in ((0.06, 0.4), (0.06, 0.4), (0.06, 0.0), (0.035, 0.0), (0.035, 0.0)):
        fit = np.linalg.lstsq(terms[chosen], colours[chosen], rcond=None)[0]
        near = np.abs(colours - terms @ fit).max(1) < tolerance
        chosen = near & ((np.abs(x) > reach) | (y < -reach))
        if chosen.sum() < 10 * terms.shape[1]:
            return np.zeros((height, width, 3), np.float32), np.zeros((height, width), bool)
    full, x, y = _terms(height, width)
    seen = ((np.abs(x) > 0.9) & (y < 0)) | (y < -0.95)
    return np.clip(full @ fit, 0, 1).reshape(height, width, 3).astype(np.float32), seen.reshape(height, width)


def _terms(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The polynomial's terms (H W, n), and x and y in [-1, 1], (H W) each."""
    rows, columns = np.mgrid[0:height, 0:width]
    x, y = ((columns + 0.5) / width * 2 - 1).ravel(), ((rows + 0.5) / height * 2 - 1).ravel()
    return np.stack([x**i * y**j for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)], 1), x, y


def _connected(like_wall: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those pixels that hang together with the top border or the upper part of the sides."""
    regions, _ = label(like_wall)
    upper = int(0.6 * len(regions))
    border = np.concatenate([regions[0], regions[:upper, 0], regions[:upper, -1]])
    large = np.bincount(regions.ravel()) > 2.5e-4 * regions.size
    return np.isin(regions, [k for k in np.unique(border[border > 0]) if large[k]])
