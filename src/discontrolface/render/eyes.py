"""Eyeballs behind the lids: the photo's iris turns with the eye; what the photo hides is filled in by radial symmetry.

An eye is, nearly, a function of the angle to its axis: pupil, iris, limbus, sclera. That function is measured on what the photo shows.
"""

from __future__ import annotations

import numpy as np

from discontrolface.render.pixels import relit, sample
from discontrolface.render.raster import compiled
from discontrolface.render.rig import EYE

BINS = 32  # of the angle to the axis,
WIDEST = 64.0  # from 0 to this many degrees
PUPIL, IRIS = 8.0, 21.0  # degrees, on the open head's eyeballs (16 mm): where a photo shows no eye
IRIS_COLOUR = (0.30, 0.21, 0.15)


@compiled
def angle_sums(image, triangle, barycentric, faces, direction, owner, cover, eye):  # type: ignore[no-untyped-def]
    """The photo's pixels of one eye by the angle to its axis: sums of colours (BINS, 3), and of their weights (BINS,).

    direction: (V, 3) of eyeball vertices, unit, in the eye's own axes (z is where it looks). owner: (V,) 1 or 2, whose eyeball. cover: (H, W)
    soft mask of the openings.
    """
    height, width = triangle.shape
    total = np.zeros((BINS, 3), np.float32)
    weight = np.zeros(BINS, np.float32)
    for i in range(height):
        for j in range(width):
            f = triangle[i, j]
            if f < 0 or cover[i, j] < 0.75:
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            if owner[a] != eye or owner[b] != eye or owner[c] != eye:
                continue
            w = (cover[i, j] - np.float32(0.7)) ** 2
            k = angle_bin(barycentric[i, j], direction, a, b, c)
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
            out[n] = out[last]
    return out


@compiled
def angle_bin(weights, direction, a, b, c):  # type: ignore[no-untyped-def]
    """Where a point on an eyeball's triangle lies among the bins (float)."""
    x = weights[0] * direction[a, 0] + weights[1] * direction[b, 0] + weights[2] * direction[c, 0]
    y = weights[0] * direction[a, 1] + weights[1] * direction[b, 1] + weights[2] * direction[c, 1]
    z = weights[0] * direction[a, 2] + weights[1] * direction[b, 2] + weights[2] * direction[c, 2]
    angle = np.arctan2(np.sqrt(x * x + y * y), z) * np.float32(57.29578)
    return angle * np.float32(BINS / WIDEST)


# fmt: off
@compiled
def draw_eyes(  # type: ignore[no-untyped-def]
    image, layer, triangle, barycentric, faces, mesh_flow, skin_flow, trust, light, cover, room, direction, owner, profiles,
    layer_before, top, left, inside, seen, touched, drawn,
):
    # fmt: on
    """Colours of all target pixels that show an eyeball, in the window that starts at top, left: into `inside` (h, w, 3); visibility, change
    and where, into seen, touched, drawn.

    cover, room: soft masks of the openings in the photo and in the target (the eye is darker close to its lids). profiles: (3, BINS, 3), rows
    1 and 2 are those of the two eyes. Otherwise as `mouth.draw_mouth`.
    """
    height, width = triangle.shape
    one, zero = np.float32(1.0), np.float32(0.0)
    model, photo = np.empty(3, np.float32), np.empty(3, np.float32)
    for i in range(top, top + drawn.shape[0]):
        for j in range(left, left + drawn.shape[1]):
            if layer[i, j] != EYE:
                continue
            f = triangle[i, j]
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            which = owner[a]
            k = min(max(angle_bin(barycentric[i, j], direction, a, b, c) - np.float32(0.5), zero), np.float32(BINS - 1.001))
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
                if moved + abs(skin_flow[i, j, 0]) + abs(skin_flow[i, j, 1]) < np.float32(0.5) and layer_before[row, col] == EYE:
                    known = one
                if known > 0:
                    photo[0], photo[1], photo[2] = sample(image, x, y)
                    for m in range(3):
                        model[m] += known * (photo[m] - model[m])
            drawn[i - top, j - left] = True
            seen[i - top, j - left] = known
            brightest = max(abs(light[i, j, 0] - one), abs(light[i, j, 1] - one), abs(light[i, j, 2] - one))
            for m in range(3):
                inside[i - top, j - left, m] = min(max(relit(model[m], light[i, j, m]), zero), one)
            touched[i - top, j - left] = min(
                max(
                    (moved - np.float32(0.04)) * np.float32(4.0),
                    (brightest - np.float32(0.004)) * np.float32(50.0),
                    (one - known) * np.float32(2.0),
                    zero,
                ),
                one,
            )
