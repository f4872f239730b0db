"""Hair styles, and where their hairline lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discontrolface.synthetic.anatomy import Array, anatomy

_COLOURS = (
    np.array(  # sRGB
        [
            [14, 12, 12],
            [28, 21, 18],
            [46, 32, 24],
            [66, 45, 31],
            [92, 63, 41],
            [128, 92, 60],
            [168, 130, 88],
            [205, 172, 125],
            [150, 74, 38],
            [110, 45, 25],
            [120, 117, 114],
            [190, 188, 184],
            [225, 222, 216],
        ],
        np.float32,
    )
    / 255
)
_NATURAL = [6, 6, 6, 5, 5, 4, 3, 2.5, 1, 1, 2, 1.5, 0.7]
_DYED = np.array([[190, 60, 110], [60, 80, 170], [120, 50, 130], [40, 120, 110]], np.float32) / 255


@dataclass(frozen=True)
class HairStyle:
    """Lengths in metres. kind: bald, buzz, short, side, back, fringe, bob, long, tied, curly, afro."""

    kind: str
    colour: Array  # (3,) sRGB
    length: float
    volume: float  # thickness of the layer over the scalp
    part: float  # x of the parting; beyond +-0.1: none
    curl: float  # radius of curls
    curl_pitch: float  # metres a turn
    lock: float  # 0..1, how much strands gather
    frizz: float
    recede: float  # metres that the hairline lies higher at the temples
    line: float  # metres that the whole hairline lies higher
    gloss: float


def make_style(rng: np.random.Generator, melanin: float, age: float, mature: float) -> HairStyle:
    """Draw a style. mature in 0..1: how probable receding and bald heads are."""
    kinds = ["bald", "buzz", "short", "side", "back", "fringe", "bob", "long", "tied", "curly", "afro"]
    odds = np.array([0.05 * mature + 0.01, 0.08, 0.14, 0.16, 0.10, 0.10, 0.10, 0.17, 0.08, 0.12, 0.03 + 0.12 * (melanin > 0.6)])
    kind = str(rng.choice(kinds, p=odds / odds.sum()))
    weights = np.array(_NATURAL)
    weights[:4] *= 1 + 4 * melanin
    weights[4:10] *= max(0.03, 1 - 1.6 * melanin)
    weights[10:] *= 0.05 + 2.2 * max(0.0, age - 0.4)
    colour = _COLOURS[rng.choice(len(_COLOURS), p=weights / weights.sum())]
    if rng.random() < 0.015:
        colour = _DYED[rng.integers(len(_DYED))]
    colour = np.clip(colour * rng.uniform(0.85, 1.2) * (1 + rng.normal(0, 0.03, 3)), 0.02, 0.95).astype(np.float32)
    low, high = {
        "bald": (0, 0),
        "buzz": (0.003, 0.008),
        "short": (0.02, 0.045),
        "side": (0.05, 0.09),
        "back": (0.06, 0.11),
        "fringe": (0.06, 0.10),
        "bob": (0.15, 0.21),
        "long": (0.24, 0.42),
        "tied": (0.13, 0.17),
        "curly": (0.06, 0.26),
        "afro": (0.04, 0.10),
    }[kind]
    curly = kind in ("curly", "afro")
    return HairStyle(
        kind=kind,
        colour=colour,
        length=float(rng.uniform(low, high)),
        volume=float(
            rng.uniform(
                *{"tied": (0.003, 0.008), "buzz": (0.001, 0.003), "long": (0.006, 0.017), "bob": (0.007, 0.018)}.get(kind, (0.008, 0.026))
            )
        ),
        part=float(rng.choice([-0.03, 0.03, 0.0, 0.015, -0.015, 0.2], p=[0.22, 0.22, 0.2, 0.08, 0.08, 0.2])),
        curl=float(rng.uniform(0.003, 0.009)) if curly else float(rng.uniform(0, 0.004)) * float(rng.random() < 0.45),
        curl_pitch=float(rng.uniform(0.015, 0.05)) if curly else float(rng.uniform(0.04, 0.1)),
        lock=float(rng.uniform(0.15, 0.75)),
        frizz=float(rng.uniform(0.0004, 0.002)) if not curly else float(rng.uniform(0.001, 0.003)),
        recede=float(rng.uniform(0.0, 0.02) * (rng.random() < 0.2 + 0.6 * mature)),
        line=float(rng.normal(0, 0.004)),
        gloss=float(rng.uniform(0.3, 1.3)),
    )


def hairline_of(style: HairStyle) -> Array:
    """(V,) metres above the style's hairline, on the template."""
    a = anatomy()
    azimuth = np.degrees(np.abs(a.azimuth))
    temple = np.exp(-0.5 * ((azimuth - 33) / 13) ** 2)
    return (a.hairline - style.line - style.recede * temple - 0.3 * style.recede * (azimuth < 60)).astype(np.float32)
