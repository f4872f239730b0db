"""Clothes: where a garment starts on the bust, its colours and pattern, and how far it stands off the skin."""

from __future__ import annotations

import numpy as np

from discontrolface.synthetic.anatomy import Array, anatomy

# entries of a garment's vector, as pixels.py reads them
LINE, SLOPE, V_DEPTH, V_WIDTH = 0, 1, 2, 3


def make_clothes(rng: np.random.Generator) -> Array:
    """(18,) a garment: neckline height, its slope to the front, V depth and width, two linear colours, pattern, period, hem, noise, folds."""
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
    garment = np.zeros(18, np.float32)
    garment[:4] = [line, slope, depth, rng.uniform(0.03, 0.06)]
    garment[4:7], garment[7:10] = colour(), colour()
    if pattern == 0:
        garment[7:10] = garment[4:7] * rng.uniform(0.6, 1.3)
    garment[10:18] = [
        pattern,
        rng.uniform(0.01, 0.035),
        rng.uniform(0.006, 0.016),
        rng.uniform(0, 30),
        rng.uniform(20, 60),
        float(rng.random() < 0.8),
        rng.uniform(0.15, 0.5),
        rng.uniform(0, 0.12),
    ]
    return garment


def below_neckline(garment: Array) -> Array:
    """(V,) metres below the garment's upper edge (negative: bare skin)."""
    p = anatomy().template
    vee = garment[V_DEPTH] * np.clip(1 - np.abs(p[:, 0]) / garment[V_WIDTH], 0, None) * (p[:, 2] > -0.09)
    below = garment[LINE] + garment[SLOPE] * (p[:, 2] + 0.05) - vee - p[:, 1]
    return np.where(p[:, 1] < -0.10, below, -1).astype(np.float32)


def thickness(garment: Array) -> Array:
    """(V,) metres that the garment stands off the bust."""
    return (0.006 * np.clip(below_neckline(garment) / 0.010 + 0.6, 0, 1)).astype(np.float32)
