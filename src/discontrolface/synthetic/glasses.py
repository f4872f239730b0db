"""Glasses: rims, bridge and arms as thick strands that sit on the nose and move with the head."""

from __future__ import annotations

import numpy as np

from discontrolface.synthetic.anatomy import EYE_CENTRE, Array, anatomy
from discontrolface.synthetic.strands import Strands

_POINTS = 30


def make_glasses(rng: np.random.Generator, rest: Array) -> Strands:
    """A frame for a head at rest (V, 3): points in that head's space."""
    p = anatomy().template
    bridge = (np.abs(p[:, 0]) < 0.006) & (np.abs(p[:, 1] + 0.004) < 0.006) & (p[:, 2] > 0.015)
    front = float(rest[bridge, 2].max()) + float(rng.uniform(0.001, 0.004))
    eyes = anatomy().head.region_mask("eyes")
    left = rest[eyes & (p[:, 0] > 0)].mean(0)
    right = rest[eyes & (p[:, 0] < 0)].mean(0)
    wide, high = float(rng.uniform(0.021, 0.027)), float(rng.uniform(0.014, 0.022))
    power = float(rng.choice([2.0, 2.6, 4.0]))  # round, rounded, square
    droop = float(rng.uniform(0.002, 0.006))
    angle = np.linspace(0, 2 * np.pi, _POINTS)

    def bent(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """On the frame's surface, which curves back to the sides."""
        return np.stack([x, y, front - 3.0 * x * x - 0.15 * np.abs(y - left[1])], 1)

    lines = []
    for centre in (left, right):
        c, s = np.cos(angle), np.sin(angle)
        x = centre[0] + np.sign(centre[0]) * 0.001 + wide * np.sign(c) * np.abs(c) ** (2 / power)
        lines.append(bent(x, centre[1] - droop + high * np.sign(s) * np.abs(s) ** (2 / power)))
    inner = EYE_CENTRE - wide + 0.001
    across = np.linspace(-inner, inner, _POINTS)
    lines.append(bent(across, left[1] + 0.003 + 0.003 * np.cos(across / inner * np.pi / 2)))
    skin = anatomy().head.region_mask("skin", "scalp")
    ears = anatomy().head.region_mask("ears")
    for side, centre in ((1, left), (-1, right)):
        start = bent(np.array([centre[0] + side * wide]), np.array([centre[1] + 0.003]))[0]
        ear = rest[ears & (np.sign(p[:, 0]) == side)]
        end = np.array([side * (np.abs(ear[:, 0]).min() + 0.006), ear[:, 1].max() - 0.006, ear[:, 2].mean()])
        hinge = start + np.array([side * 0.004, 0, -0.004])
        temple = skin & (np.sign(p[:, 0]) == side) & (np.abs(rest[:, 1] - start[1]) < 0.012) & (p[:, 2] < -0.02)
        middle = np.array([side * (np.abs(rest[temple, 0]).max() + 0.0025), start[1], 0.35 * start[2] + 0.65 * end[2]])
        way = np.stack([start, hinge, middle, end])
        t = np.linspace(0, 1, _POINTS)
        lines.append(np.stack([np.interp(t, [0, 0.1, 0.65, 1], way[:, c]) for c in range(3)], 1))
    points = np.stack(lines).astype(np.float32)
    dark = rng.random() < 0.7
    colour = rng.uniform(0.004, 0.03, 3) if dark else rng.uniform(0.05, 0.4) * np.array([1.0, rng.uniform(0.6, 1), rng.uniform(0.3, 1)])
    rim = float(rng.choice([0.0011, 0.0018, 0.0028]))
    width = np.array([rim, rim, rim * 1.3, rim * 1.2, rim * 1.2], np.float32)
    return Strands(points, np.tile(colour, (5, 1)).astype(np.float32), width, np.ones((5, _POINTS), np.float32))
