"""Eyes: their colours, and the shading of an eyeball's pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.render.compiled import lean_inlined
from discontrolface.synthetic.anatomy import EYE_CENTRE, Array
from discontrolface.synthetic.materials import Material
from discontrolface.synthetic.noise import sample_noise


class Eyes(NamedTuple):
    """iris, sclera: (3,) linear colours. ring: darkness of the iris' edge. pupil: radius, in radii of the iris. radius: of the iris, metres.
    pattern: contrast of its streaks. glow: around the pupil. shift: of the noise, in cells."""

    iris: Array
    sclera: Array
    ring: np.float32
    pupil: np.float32
    radius: np.float32
    pattern: np.float32
    glow: np.float32
    shift: np.float32


class Posture(NamedTuple):
    """What eyes need of the pose, view space. up: (3,) the head's up direction. gaze: (2, 3) where the left and the right eye look."""

    up: Array
    gaze: Array


def make_eyes(rng: np.random.Generator, melanin: float) -> Eyes:
    """Draw a pair of eyes; dark skins have brown ones."""
    irises = np.array([[52, 32, 20], [80, 52, 32], [104, 76, 44], [92, 96, 66], [84, 104, 120], [98, 118, 134], [92, 98, 102]]) / 255
    odds = np.array([1 + 6 * melanin, 1.5, 0.8, 0.8, 0.9, 0.7, 0.4]) * np.array([1, 1, *[max(0.03, 1 - 1.5 * melanin)] * 5])
    iris = (irises[rng.choice(7, p=odds / odds.sum())] * rng.uniform(0.8, 1.25)) ** 2.2
    white = np.array([0.84, 0.80, 0.77]) * rng.uniform(0.9, 1.05)
    ring, pupil, radius = rng.uniform(0.5, 0.9), rng.uniform(0.25, 0.5), rng.uniform(0.0056, 0.0063)
    pattern, glow, shift = rng.uniform(0.3, 0.9), rng.uniform(0, 0.8), rng.uniform(0, 30)
    return Eyes(
        iris=iris.astype(np.float32),
        sclera=(white**2.2).astype(np.float32),
        ring=np.float32(ring),
        pupil=np.float32(pupil),
        radius=np.float32(radius),
        pattern=np.float32(pattern),
        glow=np.float32(glow),
        shift=np.float32(shift),
    )


@lean_inlined
def eye_material(eyes, posture, tile, place, scratch):  # type: ignore[no-untyped-def]
    """An eyeball: sclera with veins, iris with streaks, pupil, under a cornea. eyes: Eyes. posture: Posture."""
    base, n4, m4 = scratch.base, scratch.coarse, scratch.fine
    tx, ty, tz, nx, ny, nz = place.tx, place.ty, place.tz, place.nx, place.ny, place.nz
    ex, ey, ez = (tx - EYE_CENTRE if tx > 0 else tx + EYE_CENTRE), ty, tz
    rr = np.sqrt(ex * ex + ey * ey)
    side = 1.0 if tx > 0 else -1.0
    angle = np.arctan2(ey, ex * side)
    edge = 1 / (1 + np.exp((rr - eyes.radius) / 0.00028)) if ez > 0 else 0.0
    sample_noise(tile, tx * 260 + eyes.shift, ty * 260, tz * 260, n4)
    vein = max(0.0, n4[0] - 0.25) * min(1.0, rr / 0.013)
    for q in range(3):
        base[q] = eyes.sclera[q] * (1 - (0.10 + 0.25 * vein) * (0.0 if q == 0 else 1.0))
    if edge > 0.001:
        t = rr / eyes.radius
        sample_noise(tile, np.cos(angle) * 5 + eyes.shift, np.sin(angle) * 5, t * 1.2, n4)
        sample_noise(tile, np.cos(angle) * 11 + eyes.shift, np.sin(angle) * 11, t * 2 + 7, m4)
        streak = 1 + eyes.pattern * (0.8 * n4[0] + 0.7 * m4[0])
        ring = 1 - eyes.ring * max(0.0, (t - 0.72) / 0.28) ** 1.5
        inner = max(0.0, 1 - abs(t - 0.45) / 0.25) * eyes.glow
        pupil = 1 / (1 + np.exp((t - eyes.pupil) / 0.03))
        upper = 1 - 0.25 * max(0.0, ey / eyes.radius)  # the lid's shade, and light gathers below
        for q in range(3):
            colour = eyes.iris[q] * streak * ring * upper * (1 + inner * (0.8 if q < 2 else 0.2)) * (1 - pupil) + 0.004 * pupil
            base[q] = base[q] * (1 - edge) + max(0.002, colour) * edge
    up = nx * posture.up[0] + ny * posture.up[1] + nz * posture.up[2]
    shade = min(1.0, max(0.0, (up + 0.02) / 0.2))
    bulge = 0.95 * edge  # the cornea is twice as curved as the eyeball
    g = 0 if tx > 0 else 1
    gaze = posture.gaze
    bx, by, bz = nx + bulge * (nx - gaze[g, 0]), ny + bulge * (ny - gaze[g, 1]), nz + bulge * (nz - gaze[g, 2])
    return Material(gloss=0.0, power=20.0, sheen=0.0, soft=0.0, wet=1.0, occlusion=0.98 - 0.42 * shade * shade, bx=bx, by=by, bz=bz)
