"""Read a picture between its pixels, and change its light."""

from __future__ import annotations

import numpy as np

from discontrolface.render.compiled import compiled, inlined
from discontrolface.render.raster import FloatArray


def shrink(image: FloatArray, factor: int) -> FloatArray:
    """Mean over blocks of factor x factor pixels (the rest at the right and bottom is left out)."""
    return image if factor == 1 else _shrink(image, factor)


@compiled
def _shrink(image, factor):  # type: ignore[no-untyped-def]
    height, width = image.shape[0] // factor, image.shape[1] // factor
    out = np.zeros((height, width, 3), np.float32)
    scale = np.float32(1.0) / np.float32(factor * factor)
    for i in range(height * factor):
        row = i // factor
        for j in range(width):
            for k in range(j * factor, (j + 1) * factor):
                out[row, j, 0] += image[i, k, 0]
                out[row, j, 1] += image[i, k, 1]
                out[row, j, 2] += image[i, k, 2]
    return out * scale


@compiled
def cubic(t):  # type: ignore[no-untyped-def]
    """Catmull-Rom weights of the four samples around a point t in [0, 1) after the second."""
    half, square = np.float32(0.5), t * t
    cube = square * t
    return (
        square - half * (cube + t),
        np.float32(1.5) * cube - np.float32(2.5) * square + np.float32(1.0),
        np.float32(2.0) * square + half * t - np.float32(1.5) * cube,
        half * (cube - square),
    )


@compiled
def sample(image, x, y):  # type: ignore[no-untyped-def]
    """Colour (r, g, b) of the picture (H, W, 3) at column x and row y (pixel centres at integers), bicubic, edges repeated."""
    height, width, _ = image.shape
    floor_x, floor_y = np.floor(x), np.floor(y)
    col, row = int(floor_x), int(floor_y)
    u0, u1, u2, u3 = cubic(np.float32(x - floor_x))
    if col >= 1 and col < width - 2 and row >= 1 and row < height - 2:
        j0, j1, j2, j3 = (
            np.uint64(col - 1),
            np.uint64(col),
            np.uint64(col + 1),
            np.uint64(col + 2),
        )  # unsigned: no test for counting from the end
    else:
        j0, j1 = np.uint64(max(col - 1, 0)), np.uint64(min(max(col, 0), width - 1))
        j2, j3 = np.uint64(min(max(col + 1, 0), width - 1)), np.uint64(min(col + 2, width - 1))
    red, green, blue = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for a, v in enumerate(cubic(np.float32(y - floor_y))):
        i = np.uint64(min(max(row - 1 + a, 0), height - 1))
        red += v * (u0 * image[i, j0, 0] + u1 * image[i, j1, 0] + u2 * image[i, j2, 0] + u3 * image[i, j3, 0])
        green += v * (u0 * image[i, j0, 1] + u1 * image[i, j1, 1] + u2 * image[i, j2, 1] + u3 * image[i, j3, 1])
        blue += v * (u0 * image[i, j0, 2] + u1 * image[i, j1, 2] + u2 * image[i, j2, 2] + u3 * image[i, j3, 2])
    return red, green, blue


@compiled
def relit(value, ratio):  # type: ignore[no-untyped-def]
    """A picture value in new light: value * ratio, with a shoulder above 0.8 where it gets brighter, so that highlights keep their drawing."""
    bright = value * ratio
    if ratio <= 1:
        return bright
    return value + shoulder(bright) - shoulder(value)


@compiled
def shoulder(value):  # type: ignore[no-untyped-def]
    """The identity up to 0.8, then bending to 1."""
    over = value - np.float32(0.8)
    if over <= 0:
        return value
    return np.float32(0.8) + np.float32(0.2) * (np.float32(1.0) - np.exp(-np.float32(5.0) * over))


@inlined
def brightest(light, i, j):  # type: ignore[no-untyped-def]
    """How far a pixel's ratios of shadings (H, W, 3) are from 1, at most."""
    one = np.float32(1.0)
    return max(abs(light[i, j, 0] - one), abs(light[i, j, 1] - one), abs(light[i, j, 2] - one))
