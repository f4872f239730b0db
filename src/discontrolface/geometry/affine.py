"""Sample a picture through an affine map without aliasing.

Everything that looks at a part of a photo (the landmark models, the crop) goes through here, so that all of them agree on
where a pixel lies: continuous coordinates, pixel centres at +0.5 (docs/conventions.md).
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.geometry.shrink import by_pillow


def invert_affine(matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    """The inverse of a (2, 3) affine map, as (2, 3) float64."""
    linear = np.linalg.inv(np.asarray(matrix, dtype=np.float64)[:, :2])
    return np.concatenate([linear, -linear @ np.asarray(matrix, dtype=np.float64)[:, 2:]], axis=1)


def apply_affine(matrix: NDArray[np.floating], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Map points (..., 2) through a (2, 3) affine map."""
    m = np.asarray(matrix, dtype=np.float64)
    return np.asarray(points, dtype=np.float64) @ m[:, :2].T + m[:, 2]


def affine_scale(matrix: NDArray[np.floating]) -> float:
    """The length that one unit of input has in the output (exact for similarities, the geometric mean otherwise)."""
    return math.sqrt(abs(float(np.linalg.det(np.asarray(matrix, dtype=np.float64)[:, :2]))))


def cut(image: NDArray[np.uint8], left: int, top: int, right: int, bottom: int, mirror: bool = False) -> NDArray[np.uint8]:
    """The rectangle [top:bottom, left:right] of a picture; beyond its border the edge pixels repeat, or the picture is mirrored."""
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return image[top:bottom, left:right]
    rows, columns = _inside(np.arange(top, bottom), height, mirror), _inside(np.arange(left, right), width, mirror)
    return image[rows[:, None], columns[None, :]]


def _inside(index: NDArray[np.integer], length: int, mirror: bool) -> NDArray[np.integer]:
    if not mirror:
        return np.clip(index, 0, length - 1)
    folded = np.mod(index, 2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def sample_affine(
    image: NDArray[np.uint8],
    output_to_image: NDArray[np.floating],
    size: tuple[int, int],
    fine: bool = False,
    mirror: bool = False,
) -> NDArray[np.uint8]:
    """Fill a (height, width, C) picture of `size` = (width, height) with image[output_to_image(x, y)].

    The plain way (for the input of a model) is bilinear, after a box reduction by a whole number. `fine` (for what people see) brings
    the picture to two pixels per output pixel with a Lanczos filter, interpolates bicubically and averages the two. Beyond the image
    its edge repeats, or with `mirror` the image itself does, mirrored. image: (H, W, 3) or (H, W), uint8.
    """
    width, height = size
    matrix = np.asarray(output_to_image, dtype=np.float64)
    shrink = affine_scale(matrix)
    margin = math.ceil(3 * max(shrink, 1))
    corners = apply_affine(matrix, np.array([[0, 0], [width, 0], [0, height], [width, height]], dtype=np.float64))
    left, top = (math.floor(v) - margin for v in corners.min(axis=0))
    right, bottom = (math.ceil(v) + margin for v in corners.max(axis=0))
    reduction = 1 if fine else max(1, int(shrink))
    right += -(right - left) % reduction
    bottom += -(bottom - top) % reduction
    window = cut(image, left, top, right, bottom, mirror)
    if reduction > 1:
        window = by_pillow(window, lambda plane: plane.reduce(reduction))
    elif fine and shrink > 2:
        smaller = (math.ceil((right - left) * 2 / shrink), math.ceil((bottom - top) * 2 / shrink))
        window = by_pillow(window, lambda plane: plane.resize(smaller, Image.Resampling.LANCZOS, reducing_gap=3.0))
    source = Image.fromarray(np.ascontiguousarray(window))
    supersampling = 2 if fine and shrink > 1.25 else 1
    to_source = matrix.copy()
    to_source[:, :2] /= supersampling
    to_source[:, 2] -= (left, top)
    to_source *= np.array([[source.width / (right - left)], [source.height / (bottom - top)]])
    resample = Image.Resampling.BICUBIC if fine else Image.Resampling.BILINEAR
    out = source.transform(
        (width * supersampling, height * supersampling), Image.Transform.AFFINE, tuple(to_source.ravel()), resample=resample
    )
    if supersampling > 1:
        out = out.reduce(supersampling)
    return np.asarray(out)
