"""Lids and lips that move on the skull.

Closing lids are painted with the skin around (a photo of an open eye hardly shows them), and get a line of lashes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from discontrolface.geometry.similarity import Similarity
from discontrolface.render.compiled import compiled
from discontrolface.render.compose import Colours
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import PreviewRig
from discontrolface.render.smoothstep import smoothstep

if TYPE_CHECKING:
    from discontrolface.render.inside import Scene


def closing_lids(before: FloatArray, after: FloatArray, skull: Similarity, rig: PreviewRig) -> FloatArray:
    """(V,) 0..1: how far a vertex of a lid has moved over the eyeball, downwards on the upper lid (1: by 40 % of the eyeball's radius)."""
    out = np.zeros(len(before), np.float32)
    lids = np.flatnonzero(rig.lids)
    if not len(lids):
        return out
    eye = rig.eyes[0]
    radius = float(np.linalg.norm(after[eye] - after[eye].mean(0), axis=1).mean())
    moved = np.linalg.norm((skull(after[lids]) - before[lids])[:, :2], axis=1) / max(radius, 1e-6)
    out[lids] = rig.lids[lids] * smoothstep((moved - 0.12) / 0.28)
    return out


def moving_lips(before: FloatArray, after: FloatArray, skull: Similarity, rig: PreviewRig) -> FloatArray:
    """(V,) 0..1: how far a vertex of the lips has moved on the skull (0 below 1.5 %, 1 above 3 % of the mouth's width); 0 off the lips."""
    out = np.zeros(len(before), np.float32)
    lips = np.flatnonzero(rig.lips)
    if len(lips):
        width = float(np.ptp(after[lips, 0]))
        moved = np.linalg.norm((skull(after[lips]) - before[lips])[:, :2], axis=1) / max(width, 1e-6)
        out[lips] = np.clip(moved * 67.0 - 1.0, 0.0, 1.0)
    return out


def draw_lashes(scene: Scene, closed: FloatArray, colours: Colours) -> None:
    """Draw the upper lids' lashes into `colours`, in place, where lids have closed, (V,) `closed`."""
    rig = scene.source.rig
    if not len(rig.lid_edges) or not closed.any():
        return
    height, width = colours.change.shape
    upper = _upper_edges(rig)
    strength = closed[upper].mean(1)
    upper, strength = upper[strength > 0.02], strength[strength > 0.02]
    if not len(upper):
        return
    points = np.stack([(scene.after[:, 0] + 1.0) * 0.5 * width - 0.5, (1.0 - scene.after[:, 1]) * 0.5 * height - 0.5], 1).astype(np.float32)
    eye = rig.eyes[0]
    radius = float(np.linalg.norm(scene.after[eye] - scene.after[eye].mean(0), axis=1).mean()) * 0.5 * height
    lashes = Lashes(
        points=points, edges=upper, strength=strength.astype(np.float32), colour=_lash_colour(scene, upper), radius=np.float32(radius)
    )
    _lines(lashes, colours)


def _upper_edges(rig: PreviewRig) -> np.ndarray:
    """(L, 2) the rim edges of the upper lids: those above the line between the corners of their eye."""
    keep = []
    for side in (-1.0, 1.0):
        edges = rig.lid_edges[np.sign(rig.template[rig.lid_edges[:, 0], 0]) == side]
        if not len(edges):
            continue
        points = rig.template[np.unique(edges)]
        inner, outer = points[points[:, 0].argmin()], points[points[:, 0].argmax()]
        middle = rig.template[edges].mean(1)
        line = inner[1] + (middle[:, 0] - inner[0]) / (outer[0] - inner[0]) * (outer[1] - inner[1])
        keep.append(edges[middle[:, 1] > line])
    return np.concatenate(keep)


def _lash_colour(scene: Scene, edges: np.ndarray) -> FloatArray:
    """(3,) the darker fifth of what the photo shows along the rim."""
    height, width = scene.source.image.shape[:2]
    rim = scene.source.vertices[np.unique(edges)]
    x = np.clip(((rim[:, 0] + 1.0) * 0.5 * width).astype(int), 0, width - 1)
    y = np.clip(((1.0 - rim[:, 1]) * 0.5 * height).astype(int), 0, height - 1)
    seen = scene.source.image[y, x]
    dark = seen[np.argsort(seen.sum(1))[: max(1, len(seen) // 5)]].mean(0)
    return np.minimum(dark, 0.35).astype(np.float32)


class Lashes(NamedTuple):
    """points: (V, 2) vertices in pixels, centres at integers. edges: (L, 2) vertices; strength: (L,) 0..1. radius: of the eyeball in pixels."""

    points: FloatArray
    edges: np.ndarray
    strength: FloatArray
    colour: FloatArray
    radius: np.float32


@compiled
def _lines(lashes, colours):  # type: ignore[no-untyped-def]
    """Dark soft lines along the edges, thin above and fading out below (lashes hang down). Lines of one eye do not add up: the darkest counts."""
    picture, change = colours.picture, colours.change
    points, edges, strength, colour, radius = lashes.points, lashes.edges, lashes.strength, lashes.colour, lashes.radius
    height, width, _ = picture.shape
    above, below = np.float32(0.035) * radius + np.float32(0.35), np.float32(0.07) * radius + np.float32(0.35)
    reach = int(below * np.float32(2.5)) + 1
    left, right, top, bottom = width, -1, height, -1
    for e in range(len(edges)):
        for k in range(2):
            x, y = int(points[edges[e, k], 0]), int(points[edges[e, k], 1])
            left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
    left, right = max(left - reach, 0), min(right + reach + 1, width)
    top, bottom = max(top - reach, 0), min(bottom + reach + 1, height)
    if left >= right or top >= bottom:
        return
    ink = np.zeros((bottom - top, right - left), np.float32)
    for e in range(len(edges)):
        ax, ay = points[edges[e, 0], 0], points[edges[e, 0], 1]
        bx, by = points[edges[e, 1], 0], points[edges[e, 1], 1]
        long = max((bx - ax) ** 2 + (by - ay) ** 2, np.float32(1e-6))
        for i in range(max(int(min(ay, by)) - reach, top), min(int(max(ay, by)) + reach + 1, bottom)):
            for j in range(max(int(min(ax, bx)) - reach, left), min(int(max(ax, bx)) + reach + 1, right)):
                t = min(max(((j - ax) * (bx - ax) + (i - ay) * (by - ay)) / long, np.float32(0.0)), np.float32(1.0))
                dx, dy = j - (ax + t * (bx - ax)), i - (ay + t * (by - ay))
                spread = below if dy > 0 else above
                value = strength[e] * np.exp(-(dx * dx + dy * dy) / (spread * spread))
                ink[i - top, j - left] = max(ink[i - top, j - left], value)
    for i in range(top, bottom):
        for j in range(left, right):
            value = np.float32(0.8) * ink[i - top, j - left]
            if value > 0.004:
                for k in range(3):
                    picture[i, j, k] += value * (colour[k] - picture[i, j, k])
                change[i, j] = max(change[i, j], min(value * np.float32(8.0), np.float32(1.0)))
