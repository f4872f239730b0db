"""Lids and lips that move on the skull: how far, and the colour of the lids.

A photo of an open eye hardly shows its lids: those that close are painted with the skin around (`compose`), shaded, and get lashes (`lashes`).
"""

from __future__ import annotations

import numpy as np

from discontrolface.geometry.similarity import Similarity
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import PreviewRig
from discontrolface.render.smoothstep import smoothstep

AROUND = 2.4  # radii of the eyeball: how far the skin around an eye reaches


def closing_lids(before: FloatArray, after: FloatArray, skull: Similarity, rig: PreviewRig) -> FloatArray:
    """(V,) 0..1: how far a vertex of a lid has moved over the eyeball, downwards on the upper lid (1: by 22 % of the eyeball's radius)."""
    out = np.zeros(len(before), np.float32)
    lids = np.flatnonzero(rig.lids)
    if not len(lids):
        return out
    eye = rig.eyes[0]
    radius = float(np.linalg.norm(after[eye] - after[eye].mean(0), axis=1).mean())
    moved = np.linalg.norm((skull(after[lids]) - before[lids])[:, :2], axis=1) / max(radius, 1e-6)
    out[lids] = np.minimum(4.0 * rig.lids[lids], 1.0) * smoothstep((moved - 0.06) / 0.16)
    return out


def lid_tones(colours: FloatArray, weight: FloatArray, rig: PreviewRig) -> FloatArray:
    """Colours (V, 3) spread over the mesh, calmed on the lids: shine, lashes and shadow close to an eye do not become the colour of its lid.

    On a lid the tint is mostly that of the skin around the eye (the median of what the photo shows well there), and the brightness stays near it.
    weight: (V,) 0..1 how well the photo shows a vertex.
    """
    out = colours.copy()
    for index, centre in zip(rig.eyes, rig.eye_centres, strict=True):
        if not len(index):
            continue
        away = np.linalg.norm(rig.template - centre, axis=1) / np.linalg.norm(rig.template[index] - centre, axis=1).mean()
        around = (away < AROUND) & (rig.lids == 0) & (weight > 0.5)
        lid = (away < 1.5) & (rig.lids > 0)
        if around.sum() < 8:
            continue
        tone = np.median(colours[around], axis=0)
        light = colours[lid].mean(1, keepdims=True)
        near = np.clip(light / tone.mean(), 0.86, 1.0) * tone
        calm = near + 0.3 * (colours[lid] * (near.mean(1, keepdims=True) / np.maximum(light, 1e-3)) - near)
        out[lid] += rig.lids[lid, None] * (calm - out[lid])
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
