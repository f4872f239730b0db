"""Skin: tone on melanin and haemoglobin axes, everything that varies slowly over a face as a colour per vertex, and the shading of its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discontrolface.render.compiled import lean_inlined
from discontrolface.render.surface import channel
from discontrolface.synthetic.anatomy import Array, anatomy
from discontrolface.synthetic.creases import crease_at
from discontrolface.synthetic.materials import Material
from discontrolface.synthetic.noise import noise_at, noise_tile, sample_noise

SCALP, STUBBLE, LIPS = range(3)  # columns of a scene's cover: hair that shows as colour of the scalp, stubble, lips

# sRGB of skin by rising melanin, from photographs' usual mid tones in even light
_TONES = (
    np.array(
        [[243, 207, 184], [233, 189, 161], [219, 170, 138], [199, 147, 113], [170, 119, 88], [136, 92, 67], [104, 69, 51], [78, 53, 42]],
        np.float32,
    )
    / 255
)


@dataclass(frozen=True)
class Skin:
    """albedo: (V, 3) sRGB without beard shadow. oil: specular strength. freckles: 0..1. bump: strength of fine relief. mottle: of fine colour."""

    albedo: Array
    tone: Array  # (3,) sRGB
    oil: float
    freckles: float
    bump: float
    mottle: float


class SkinGrain(NamedTuple):
    """What varies from pixel to pixel. oil, freckles, bump, mottle: as in Skin. shift: of the noise, cells. wetness: of the lips.
    creases: (5,), see creases.py. hair, stubble: (3,) linear colours."""

    oil: np.float32
    freckles: np.float32
    bump: np.float32
    mottle: np.float32
    shift: np.float32
    wetness: np.float32
    creases: Array
    hair: Array
    stubble: Array


def blob(points: Array, centre: tuple[float, float, float], radius: tuple[float, float, float]) -> Array:
    """Gaussian bumps at +-x, in the template's coordinates: (V,), 1 at the centre."""
    side = points.copy()
    side[:, 0] = np.abs(side[:, 0])
    return np.exp(-0.5 * (((side - np.array(centre, np.float32)) / np.array(radius, np.float32)) ** 2).sum(1)).astype(np.float32)


def tone(melanin: float, redness: float, yellowness: float) -> Array:
    """sRGB (3,) of a skin. melanin 0 (fairest) to 1 (darkest); redness (haemoglobin) and yellowness around 0, +-1 is far."""
    at = np.clip(melanin, 0, 1) * (len(_TONES) - 1)
    base = np.array([np.interp(at, np.arange(len(_TONES)), _TONES[:, c]) for c in range(3)], np.float32)
    return np.clip(base * np.array([1 + 0.02 * redness, 1 - 0.045 * redness, 1 - 0.03 * redness - 0.05 * yellowness], np.float32), 0, 1)


def make_skin(rng: np.random.Generator, melanin: float, age: float) -> Skin:
    """Draw a skin. age in 0..1 (young to old) raises blotches, eye rings and freckles."""
    a = anatomy()
    p = a.template
    base = tone(melanin, float(rng.normal(0, 0.5)), float(rng.normal(0, 0.5)))
    red = np.array([0.97, 0.80, 0.80], np.float32) if melanin < 0.55 else np.array([0.97, 0.86, 0.85], np.float32)
    dark = np.array([0.80, 0.74, 0.74], np.float32)
    albedo = np.tile(base, (len(p), 1)).astype(np.float32)

    def tint(mask: Array, colour: Array, strength: float) -> None:
        albedo[:] *= 1 + (mask * strength)[:, None] * (colour - 1)

    slow = noise_at(noise_tile(), p + rng.uniform(0, 9, 3).astype(np.float32), np.float32(45))
    fine = noise_at(noise_tile(), p + rng.uniform(0, 9, 3).astype(np.float32), np.float32(170))
    blush = float(rng.uniform(0.1, 1.0))
    tint(blob(p, (0.042, -0.03, 0.005), (0.017, 0.018, 0.03)) * (1 + slow[:, 0]), red, blush)
    tint(blob(p, (0, -0.04, 0.046), (0.012, 0.010, 0.02)), red, float(rng.uniform(0.2, 1.0)))
    tint(blob(p, (0, -0.105, 0.02), (0.018, 0.012, 0.03)), red, float(rng.uniform(0, 0.5)))
    tint(a.head.region_mask("ears").astype(np.float32), red, float(rng.uniform(0.3, 1.0)))
    tint(blob(p, (0.030, 0.006, 0.017), (0.015, 0.007, 0.02)), dark, float(rng.uniform(0.1, 0.55)))  # upper lids
    tint(blob(p, (0.027, -0.013, 0.015), (0.013, 0.005, 0.02)), dark, float(rng.uniform(0.05, 0.35 + 0.35 * age)))  # under the eyes
    tint(blob(p, (0.012, -0.002, 0.017), (0.006, 0.010, 0.02)), dark, float(rng.uniform(0.1, 0.5)))  # inner corners
    tint(blob(p, (0.014, -0.050, 0.032), (0.005, 0.005, 0.02)), red, float(rng.uniform(0.2, 0.9)))  # wings of the nose
    tint(blob(p, (0, 0.055, 0.015), (0.04, 0.018, 0.04)), np.array([1.05, 1.05, 1.03], np.float32), float(rng.uniform(0, 0.9)))
    mottle = float(rng.uniform(0.2, 1.0))
    albedo *= 1 + mottle * (0.04 * slow[:, 1:2] + 0.03 * fine[:, 1:2])
    tint(np.clip(0.5 + slow[:, 2] + 0.6 * fine[:, 2], 0, 1), red, 0.18 * mottle)
    lips = _lip_colour(rng, base, melanin)
    strength = a.lips[:, None] * float(rng.uniform(0.75, 1.0))
    albedo = albedo * (1 - strength) + lips * (1 + 0.06 * fine[:, 3:4]) * strength
    for name, colour in (("mouth_inside", [0.42, 0.16, 0.15]), ("tongue", [0.72, 0.38, 0.38]), ("eye_socket", [0.72, 0.45, 0.42])):
        albedo[a.head.region_mask(name)] = np.array(colour, np.float32)
    teeth = np.array([0.90, 0.87, 0.79], np.float32) * float(rng.uniform(0.86, 1.03)) * np.array([1, 1, rng.uniform(0.9, 1.03)], np.float32)
    albedo[a.head.region_mask("upper_teeth", "lower_teeth")] = teeth
    freckles = float(rng.uniform(0.3, 1.0)) if rng.random() < (0.13 if melanin < 0.4 else 0.03) else 0.0
    return Skin(
        np.clip(albedo, 0.01, 1).astype(np.float32),
        base,
        float(rng.uniform(0.25, 1.0)),
        freckles,
        float(rng.uniform(0.05, 0.16) * (1 + age)),
        mottle,
    )


def _lip_colour(rng: np.random.Generator, base: Array, melanin: float) -> NDArray[np.float32]:
    """Natural lips are the skin's colour, redder; one face in six wears lipstick."""
    natural = base * np.array([0.90, 0.70, 0.71], np.float32) if melanin < 0.6 else base * np.array([0.94, 0.80, 0.83], np.float32)
    if rng.random() < 0.16:
        paint = np.array([rng.uniform(0.5, 0.85), rng.uniform(0.12, 0.4), rng.uniform(0.15, 0.42)], np.float32)
        return (0.5 * natural + 0.5 * paint).astype(np.float32)
    return (natural * rng.uniform(0.92, 1.05)).astype(np.float32)


@lean_inlined
def skin_material(grain, cover, tile, point, place, on_face, below, scratch):  # type: ignore[no-untyped-def]
    """Skin with freckles, creases, stubble and pores; the scalp under hair; lips. grain: SkinGrain. cover: (V, 3). below: metres under the garment's
    edge (negative: above it)."""
    base, n4, m4 = scratch.base, scratch.coarse, scratch.fine
    tx, ty, tz, nx, ny, nz = place.tx, place.ty, place.tz, place.nx, place.ny, place.nz
    sample_noise(tile, tx * 420 + grain.shift, ty * 420, tz * 420, n4)
    sample_noise(tile, tx * 900 + grain.shift, ty * 900, tz * 900, m4)
    stubble = channel(cover, STUBBLE, point)
    hair = channel(cover, SCALP, point)
    fade = 1.0 - 0.9 * hair
    spots = (
        max(0.0, m4[3] - 0.34 + 0.15 * grain.freckles) * grain.freckles * max(0.0, min(1.0, (ty + 0.07) / 0.04)) * 1.6 if on_face else 0.0
    )
    line = crease_at(grain.creases, tx, ty, n4[2]) if on_face else 0.0
    texture = 1 - line + grain.mottle * (0.03 * n4[0] + 0.05 * m4[0])
    for q in range(3):
        spot = 1 - min(0.5, spots * (0.5 + 0.35 * q)) - 0.35 * line * (0.0 if q == 0 else 1.0)
        base[q] *= texture * spot
        grainy = stubble * min(1.0, max(0.2, 0.75 + 0.9 * m4[1]))
        base[q] = base[q] * (1 - grainy) + grain.stubble[q] * grainy
        base[q] = base[q] * (1 - hair) + grain.hair[q] * 0.55 * (1 + 0.5 * m4[2]) * hair
    bump = grain.bump * fade
    bx, by, bz = nx + bump * (n4[1] + m4[1]), ny + bump * (n4[2] + m4[2]), nz
    lip = channel(cover, LIPS, point)
    gloss = grain.oil * (0.075 + 0.03 * m4[0] + 0.02 * n4[0]) * fade + 0.5 * lip * grain.wetness
    power = 12.0 + 30.0 * lip
    occlusion = 1.0
    if below > -0.012 and ty < -0.10:  # the garment's edge shades the neck
        occlusion = 0.72 + 0.28 * min(1.0, -below / 0.012)
    return Material(gloss=gloss, power=power, sheen=0.05, soft=1.0, wet=0.0, occlusion=occlusion, bx=bx, by=by, bz=bz)
