"""Sample a picture through an affine map without aliasing.

Everything that looks at a part of a photo (the landmark models, the crop) goes through here, so that all of them agree on
where a pixel lies: continuous coordinates, pixel centres at +0.5 (docs/conventions.md).
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image


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


def cut(image: NDArray[np.uint8], left: int, top: int, right: int, bottom: int) -> NDArray[np.uint8]:
    """The rectangle [top:bottom, left:right] of a picture; beyond its border the edge pixels repeat."""
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return image[top:bottom, left:right]
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    return image[rows[:, None], columns[None, :]]


def sample_affine(
    image: NDArray[np.uint8],
    output_to_image: NDArray[np.floating],
    size: tuple[int, int],
    fine: bool = False,
) -> NDArray[np.uint8]:
    """Fill a (height, width, C) picture of `size` = (width, height) with image[output_to_image(x, y)].

    Shrinking averages the area under each output pixel: whole-number box reduction first, then interpolation of what is left.
    `fine` interpolates bicubically and supersamples the rest (for pictures that people see); the plain way is bilinear
    (for the input of a model). Beyond the image its edge repeats. image: (H, W, 3) or (H, W), uint8.
    """
    width, height = size
    matrix = np.asarray(output_to_image, dtype=np.float64)
    shrink = affine_scale(matrix)
    reduction = max(1, int(shrink / 2 if fine else shrink))
    margin = 3 * reduction
    corners = apply_affine(matrix, np.array([[0, 0], [width, 0], [0, height], [width, height]], dtype=np.float64))
    left, top = (math.floor(v) - margin for v in corners.min(axis=0))
    right, bottom = (math.ceil(v) + margin for v in corners.max(axis=0))
    right += -(right - left) % reduction
    bottom += -(bottom - top) % reduction
    source = Image.fromarray(np.ascontiguousarray(cut(image, left, top, right, bottom)))
    if reduction > 1:
        source = source.reduce(reduction)
    supersampling = math.ceil(shrink / reduction - 1e-6) if fine and shrink > 1 else 1
    to_source = matrix.copy()
    to_source[:, :2] /= supersampling
    to_source[:, 2] -= (left, top)
    to_source /= reduction
    resample = Image.Resampling.BICUBIC if fine else Image.Resampling.BILINEAR
    out = source.transform(
        (width * supersampling, height * supersampling), Image.Transform.AFFINE, tuple(to_source.ravel()), resample=resample
    )
    if supersampling > 1:
        out = out.reduce(supersampling)
    return np.asarray(out)
