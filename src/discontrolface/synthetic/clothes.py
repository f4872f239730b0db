"""Clothes: where a garment starts on the bust, its colours and pattern, how far it stands off the skin, and the shading of its pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.render.compiled import lean_inlined
from discontrolface.synthetic.anatomy import Array, anatomy
from discontrolface.synthetic.materials import Material
from discontrolface.synthetic.noise import sample_noise


class Garment(NamedTuple):
    """line, slope: height of its upper edge in the template, metres, and how it rises to the front. v_depth, v_width: of a V neck, metres.
    first, second: (3,) linear colours. pattern: 0 plain, 1 stripes, 2 checks, 3 waves, 4 dots, 5 blotches, 6 an open jacket. period: of the pattern,
    metres. hem: height of its rim, metres. shift: of the noise, cells. frequency: of the noise, cells a metre. hem_mix: the rim's share of the second
    colour. folds, weave: their contrast."""

    line: np.float32
    slope: np.float32
    v_depth: np.float32
    v_width: np.float32
    first: Array
    second: Array
    pattern: int
    period: np.float32
    hem: np.float32
    shift: np.float32
    frequency: np.float32
    hem_mix: np.float32
    folds: np.float32
    weave: np.float32


def make_clothes(rng: np.random.Generator) -> Garment:
    """Draw a garment."""
    kind = rng.choice(["crew", "vee", "high", "wide"], p=[0.45, 0.2, 0.2, 0.15])
    line = {
        "crew": rng.uniform(-0.142, -0.130),
        "vee": rng.uniform(-0.142, -0.130),
        "high": rng.uniform(-0.128, -0.116),
        "wide": rng.uniform(-0.165, -0.15),
    }[kind]
    slope = {"crew": -0.28, "vee": -0.2, "high": 0.0, "wide": -0.1}[kind] + rng.normal(0, 0.04)
    depth = rng.uniform(0.03, 0.08) if kind == "vee" else 0.0

    def colour() -> np.ndarray:
        choice = rng.random()
        if choice < 0.4:
            return np.full(3, rng.choice([0.02, 0.05, 0.2, 0.55, 0.8])) * rng.uniform(0.8, 1.1, 3).clip(0, 1.05)
        if choice < 0.75:
            return np.array([0.05, 0.07, 0.14]) * rng.uniform(0.5, 3.0, 3)
        return rng.uniform(0.02, 0.5) * (0.3 + 0.7 * rng.random(3))

    pattern = int(rng.choice([0, 1, 2, 3, 4, 5, 6], p=[0.46, 0.12, 0.1, 0.04, 0.04, 0.08, 0.16]))
    v_width = rng.uniform(0.03, 0.06)
    first, second = colour().astype(np.float32), colour().astype(np.float32)
    if pattern == 0:
        second = first * np.float32(rng.uniform(0.6, 1.3))
    period, hem, shift, frequency = rng.uniform(0.01, 0.035), rng.uniform(0.006, 0.016), rng.uniform(0, 30), rng.uniform(20, 60)
    hem_mix, folds, weave = float(rng.random() < 0.8), rng.uniform(0.15, 0.5), rng.uniform(0, 0.12)
    return Garment(
        line=np.float32(line),
        slope=np.float32(slope),
        v_depth=np.float32(depth),
        v_width=np.float32(v_width),
        first=first,
        second=second,
        pattern=pattern,
        period=np.float32(period),
        hem=np.float32(hem),
        shift=np.float32(shift),
        frequency=np.float32(frequency),
        hem_mix=np.float32(hem_mix),
        folds=np.float32(folds),
        weave=np.float32(weave),
    )


def below_neckline(garment: Garment) -> Array:
    """(V,) metres below the garment's upper edge (negative: bare skin)."""
    p = anatomy().template
    vee = garment.v_depth * np.clip(1 - np.abs(p[:, 0]) / garment.v_width, 0, None) * (p[:, 2] > -0.09)
    below = garment.line + garment.slope * (p[:, 2] + 0.05) - vee - p[:, 1]
    return np.where(p[:, 1] < -0.10, below, -1).astype(np.float32)


def thickness(garment: Garment) -> Array:
    """(V,) metres that the garment stands off the bust."""
    return (0.006 * np.clip(below_neckline(garment) / 0.010 + 0.6, 0, 1)).astype(np.float32)


@lean_inlined
def below_edge(garment, place):  # type: ignore[no-untyped-def]
    """Metres that a Place lies below the garment's upper edge (`below_neckline` of a pixel, but also above the bust)."""
    vee = garment.v_depth * max(0.0, 1 - abs(place.tx) / garment.v_width) * (1.0 if place.tz > -0.09 else 0.0)
    return garment.line + garment.slope * (place.tz + 0.05) - vee - place.ty


@lean_inlined
def cloth_material(garment, tile, place, below, scratch):  # type: ignore[no-untyped-def]
    """A garment's weave with folds, `below` metres under its edge."""
    n4 = scratch.coarse
    _pattern(garment, tile, place.tx, place.ty, place.tz, below, scratch)
    bx, by, bz = place.nx + 0.45 * n4[1], place.ny + 0.25 * n4[2], place.nz
    occlusion = 0.6 + 0.4 * min(1.0, below / 0.004)
    return Material(gloss=0.0, power=20.0, sheen=0.10, soft=0.3, wet=0.0, occlusion=occlusion, bx=bx, by=by, bz=bz)


@lean_inlined
def _pattern(garment, tile, x, y, z, below, scratch):  # type: ignore[no-untyped-def]
    """The garment's colour into `scratch.base`; noise for its folds stays in `scratch.coarse`."""
    base, n4 = scratch.base, scratch.coarse
    sample_noise(tile, x * garment.frequency + garment.shift, y * garment.frequency * 0.45, z * garment.frequency, n4)
    pattern, period = garment.pattern, garment.period
    mix = 0.0
    if pattern == 1:
        mix = 1.0 if (y / period) % 1.0 < 0.5 else 0.0
    elif pattern == 2:
        mix = 0.5 * (1.0 if (y / period) % 1.0 < 0.35 else 0.0) + 0.5 * (1.0 if (x / period) % 1.0 < 0.35 else 0.0)
    elif pattern == 3:
        mix = 0.5 + 0.5 * np.sin(x * 6.283 / period) * np.sin(y * 6.283 / period)
    elif pattern == 4:
        u, v = (x / period) % 1.0 - 0.5, (y / period) % 1.0 - 0.5
        mix = 1.0 if u * u + v * v < 0.06 else 0.0
    elif pattern == 5:
        mix = min(1.0, max(0.0, 0.5 + 1.5 * n4[3]))
    elif pattern == 6:  # an open jacket over a shirt
        mix = 1.0 if abs(x) > 0.022 + 0.55 * below else 0.0
    if below < garment.hem:  # a hem or rib of the second colour
        mix = garment.hem_mix + (1 - garment.hem_mix) * mix
    fold = 1 + garment.folds * n4[0]
    weave = 1 + garment.weave * np.sin(x * 4200) * np.sin(y * 4200)
    for q in range(3):
        base[q] = max(0.002, (garment.first[q] * (1 - mix) + garment.second[q] * mix) * fold * weave)
