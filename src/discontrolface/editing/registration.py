"""Lay a true picture on the preview of the same edit: what is left between two readings of one person is a pixel or two.

A network that learns from truths which lie now here, now there, learns to blur what the preview shows sharply. Lucas and Kanade's least squares
over a window, repeated, on pictures without their local brightness and contrast; a smooth field that never moves a pixel further than a limit,
and only where the photo showed what the preview shows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from discontrolface.common.pixels import channel_sum
from discontrolface.render.blur import gaussian
from discontrolface.render.flow import linearly_moved_by

FloatArray = NDArray[np.float32]

# Lengths are shares of the picture's side.
WINDOW = 0.014  # standard deviation over which a motion is one
SMOOTH = 0.02  # of the resulting field
LIMIT = 0.016  # a larger motion is not a reading's error
ROUNDS = 6
SHOWN = 0.6  # the preview's visibility, from which it is trusted


def registered(truth: FloatArray, preview: FloatArray, visibility: FloatArray) -> FloatArray:
    """The truth (S, S, 3), moved by at most LIMIT S pixels so that it lies on the preview where the photo showed it (visibility (S, S))."""
    return displaced(truth, motion(truth, preview, visibility))


def motion(
    truth: FloatArray, preview: FloatArray, visibility: FloatArray, window: float = WINDOW, limit: float = LIMIT, rounds: int = ROUNDS
) -> FloatArray:
    """(S, S, 2) pixels (x right, y down): the registered picture at p is the truth at p + motion. window, limit, rounds: as WINDOW, LIMIT, ROUNDS."""
    side = truth.shape[0]
    trust = gaussian((visibility > SHOWN).astype(np.float32), 0.008 * side)
    wanted, moving = _structure(preview), _structure(truth)
    field = np.zeros((side, side, 2), np.float32)
    for _ in range(rounds):
        now = linearly_moved_by(moving[..., None], field)[..., 0]
        down, across = np.gradient(now)
        missing = wanted - now
        products = (across * across, across * down, down * down, across * missing, down * missing)
        xx, xy, yy, bx, by = np.moveaxis(gaussian(trust[..., None] * np.stack(products, -1), window * side), -1, 0)
        xx, yy = xx + 1e-4, yy + 1e-4
        determinant = np.maximum(xx * yy - xy * xy, 1e-8)
        step = np.stack([(yy * bx - xy * by) / determinant, (xx * by - xy * bx) / determinant], -1)
        field = field + np.clip(step, -1, 1).astype(np.float32)
    return _smooth(field, trust, limit)


def displaced(picture: FloatArray, field: FloatArray) -> FloatArray:
    """(H, W, C) at p + field(p), by cubic splines: as sharp as a truth should stay."""
    rows, columns = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32)
    where = [rows + field[..., 1], columns + field[..., 0]]
    out = np.stack([map_coordinates(picture[..., c], where, order=3, mode="nearest") for c in range(picture.shape[-1])], -1)
    return np.clip(out, picture.min(), picture.max()).astype(np.float32)


def _structure(picture: FloatArray) -> FloatArray:
    """(H, W): brightness without its local mean, over its local spread."""
    side = picture.shape[0]
    level = picture @ np.array([0.3, 0.59, 0.11], np.float32)
    rest = level - gaussian(level, 0.03 * side)
    return np.asarray(rest / np.sqrt(gaussian(rest**2, 0.047 * side) + 2e-4), np.float32)


def _smooth(field: FloatArray, trust: FloatArray, limit: float) -> FloatArray:
    """Without motions that are too large or unlike their neighbours', carried a little way into what is not trusted, then fading."""
    side = len(field)
    unlike = channel_sum(np.abs(gaussian(field, 0.023 * side) - field))
    good = trust * (np.hypot(field[..., 0], field[..., 1]) < limit * side) * np.exp(-((unlike / 2) ** 2))
    blurred = gaussian(np.dstack([field * good[..., None], good]), SMOOTH * side)
    return np.asarray(blurred[..., :2] / (blurred[..., 2:] + 0.03), np.float32)
