"""Eyeballs behind the lids: the photo's iris turns with the eye; what the photo hides is filled in by radial symmetry.

An eye is, nearly, a function of the angle to its axis: pupil, iris, limbus, sclera. That function is measured on what the photo shows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.render.compiled import compiled, inlined
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import EYE
from discontrolface.render.sampling import brightest, relit, sample
from discontrolface.render.surface import channel, point_at

BINS = 32  # of the angle to the axis,
WIDEST = 64.0  # from 0 to this many degrees
PUPIL, IRIS = 8.0, 21.0  # degrees, on the open head's eyeballs (16 mm): where a photo shows no eye
IRIS_COLOUR = (0.30, 0.21, 0.15)


@compiled
def angle_sums(image, surface, cover, direction, owner, eye):  # type: ignore[no-untyped-def]
    """The photo's pixels of one eye (1 or 2) by the angle to its axis: sums of colours (BINS, 3), and of their weights (BINS,).

    cover: (H, W) soft mask of the openings. direction: (V, 3), owner: (V,) as `PreviewRig.eye_axes`.
    """
    triangle = surface.triangle
    height, width = triangle.shape
    total = np.zeros((BINS, 3), np.float32)
    weight = np.zeros(BINS, np.float32)
    for i in range(height):
        for j in range(width):
            f = triangle[i, j]
            if f < 0 or cover[i, j] < 0.75:
                continue
            point = point_at(surface, i, j)
            if owner[point.a] != eye or owner[point.b] != eye or owner[point.c] != eye:
                continue
            w = (cover[i, j] - np.float32(0.7)) ** 2
            k = angle_bin(point, direction)
            n = min(int(k), BINS - 1)
            if k * np.float32(WIDEST / BINS) > IRIS + 2.0:  # among the white, the brightest pixels: not lashes, not the lids' shadow
                light = image[i, j, 0] + image[i, j, 1] + image[i, j, 2]
                w *= light * light
            weight[n] += w
            for m in range(3):
                total[n, m] += w * image[i, j, m]
    return total, weight


@compiled
def angle_profile(total, weight, lit, sclera):  # type: ignore[no-untyped-def]
    """(BINS, 3) colour of one eye by the angle to its axis, from `angle_sums`. lit: (3,) what white shows in this light; sclera: (3,) its colour.
    Bins without pixels: a plain brown eye."""
    out = np.empty((BINS, 3), np.float32)
    known = np.empty(BINS, np.float32)
    step = np.float32(WIDEST / BINS)
    for n in range(BINS):
        angle = (np.float32(n) + np.float32(0.5)) * step
        known[n] = weight[n] / (weight[n] + np.float32(0.05))
        white = min(max((angle - np.float32(IRIS - 1.5)) / np.float32(3.0), np.float32(0.0)), np.float32(1.0))
        rim = np.float32(1.0) - np.float32(0.5) * np.exp(-(((angle - np.float32(IRIS - 1.0)) / np.float32(2.5)) ** 2))
        dark = min(max((angle - np.float32(PUPIL - 1.0)) / np.float32(2.0), np.float32(0.08)), np.float32(1.0))
        for m in range(3):
            iris = np.float32(IRIS_COLOUR[m]) * dark * rim
            plain = lit[m] * (iris + white * (sclera[m] - iris))
            seen = total[n, m] / max(weight[n], np.float32(1e-6))
            out[n, m] = plain + known[n] * (seen - plain)
    # Beyond the last angle that was seen, the sclera goes on as it was seen last.
    last = -1
    for n in range(BINS):
        if known[n] > 0.5:
            last = n
    if last * step > IRIS + 4.0:
        for n in range(last + 1, BINS):
            for m in range(3):
                out[n, m] = out[last, m]
    return out


@inlined
def angle_bin(point, direction):  # type: ignore[no-untyped-def]
    """Where a point on an eyeball's triangle lies among the bins (float)."""
    x, y, z = channel(direction, 0, point), channel(direction, 1, point), channel(direction, 2, point)
    angle = np.arctan2(np.sqrt(x * x + y * y), z) * np.float32(57.29578)
    return angle * np.float32(BINS / WIDEST)


class Eyeballs(NamedTuple):
    """direction: (V, 3), owner: (V,) as `PreviewRig.eye_axes`. profiles: (3, BINS, 3), rows 1 and 2 are the `angle_profile` of the two eyes."""

    direction: FloatArray
    owner: np.ndarray
    profiles: FloatArray


@compiled
def draw_eyes(opening, eyeballs, canvas):  # type: ignore[no-untyped-def]
    """Draw all target pixels that show an eyeball on the canvas. opening: Opening. An eye is darker close to its lids."""
    image, surface, cover, room, photo_layer = opening.image, opening.surface, opening.cover, opening.room, opening.photo_layer
    layer, light, trust = opening.mesh.layer, opening.moved.light, opening.mesh.sighted
    mesh_flow, skin_flow = opening.mesh.flow, opening.moved.flow
    profiles, owner, direction = eyeballs.profiles, eyeballs.owner, eyeballs.direction
    inside, seen, touched, drawn, top, left = canvas.inside, canvas.seen, canvas.touched, canvas.drawn, canvas.top, canvas.left
    height, width = layer.shape
    one, zero = np.float32(1.0), np.float32(0.0)
    model = np.empty(3, np.float32)
    for i in range(top, top + drawn.shape[0]):
        for j in range(left, left + drawn.shape[1]):
            if layer[i, j] != EYE:
                continue
            point = point_at(surface, i, j)
            which = owner[point.a]
            k = min(max(angle_bin(point, direction) - np.float32(0.5), zero), np.float32(BINS - 1.001))
            n = int(k)
            share = k - np.float32(n)
            shade = np.float32(0.7) + np.float32(0.3) * min(max((room[i, j] - np.float32(0.35)) * np.float32(1.8), zero), one)
            for m in range(3):
                model[m] = shade * (profiles[which, n, m] + share * (profiles[which, n + 1, m] - profiles[which, n, m]))
            flow_x, flow_y = mesh_flow[i, j, 0], mesh_flow[i, j, 1]
            x, y = np.float32(j) + flow_x, np.float32(i) + flow_y
            moved = np.sqrt(flow_x * flow_x + flow_y * flow_y)
            known = zero
            if 1 <= x < width - 2 and 1 <= y < height - 2 and trust[i, j] > 0:
                row, col = int(y + np.float32(0.5)), int(x + np.float32(0.5))
                known = min(max(cover[row, col] * np.float32(3.0) - np.float32(1.5), zero), one)
                if moved + abs(skin_flow[i, j, 0]) + abs(skin_flow[i, j, 1]) < np.float32(0.5) and photo_layer[row, col] == EYE:
                    known = one
                if known > 0:
                    for m, value in enumerate(sample(image, x, y)):
                        model[m] += known * (value - model[m])
            drawn[i - top, j - left] = True
            seen[i - top, j - left] = known
            glow = brightest(light, i, j)
            for m in range(3):
                inside[i - top, j - left, m] = min(max(relit(model[m], light[i, j, m]), zero), one)
            touched[i - top, j - left] = min(
                max(
                    (moved - np.float32(0.04)) * np.float32(4.0),
                    (glow - np.float32(0.004)) * np.float32(50.0),
                    (one - known) * np.float32(2.0),
                    zero,
                ),
                one,
            )
