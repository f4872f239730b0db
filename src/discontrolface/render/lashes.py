"""What makes a painted patch a closed lid: the bulge over the eyeball, a fold above, the shadow along the rim, and lashes that hang over the cheek.

The rim of a mesh is a few straight edges with a hook at the corner; so lashes follow a smooth curve through the rim of each eye.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.render.compiled import compiled, inlined
from discontrolface.render.compose import Colours
from discontrolface.render.inside import Scene
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import PreviewRig

DEGREE = 4  # of the curve through a rim
LASHES = 15.0  # clumps of lashes on half a rim


class Rim(NamedTuple):
    """The upper rim of one eye in the target. middle: (2,) pixels, between the corners; along, down: (2,) unit vectors; half: pixels to a corner.
    curve: (DEGREE + 1,) how far below the line of the corners the rim lies, in halves, a polynomial of the place along it (-1..1), highest power
    first. outer: -1 or 1, where the outer corner is. radius: of the eyeball in pixels. closed: 0..1. colour: (3,) of the lashes."""

    middle: FloatArray
    along: FloatArray
    down: FloatArray
    half: np.float32
    curve: FloatArray
    outer: np.float32
    radius: np.float32
    closed: np.float32
    colour: FloatArray


def draw_lids(scene: Scene, closed: FloatArray, colours: Colours) -> FloatArray:
    """Shade the lids that have closed, (V,) `closed`, and draw their lashes into `colours`, in place.

    Returns (H, W) in [0, 1]: how far a pixel belongs to such a lid, its fold or its lashes.
    """
    rig, cover = scene.source.rig, np.zeros_like(colours.visibility)
    if not len(rig.lid_edges) or not closed.any():
        return cover
    for side, eye in zip((1.0, -1.0), rig.eyes, strict=True):
        rim = _rim(scene, closed, side, eye)
        if rim is not None and rim.closed > 0.02:
            _shade(rim, colours, cover)
    return cover


def _rim(scene: Scene, closed: FloatArray, side: float, eye: np.ndarray) -> Rim | None:
    """The upper rim of the eye on one side of the template (the sign of x); None where the picture shows it too small."""
    rig, (height, width) = scene.source.rig, scene.source.image.shape[:2]
    vertices = np.unique(rig.lid_edges[np.sign(rig.template[rig.lid_edges[:, 0], 0]) == side])
    if len(vertices) < 8:
        return None
    across = rig.template[vertices, 0]
    corners = vertices[[int(across.argmin()), int(across.argmax())]]
    upper = vertices[_above(rig, vertices, corners)]
    pixels = (scene.after[:, :2] * (0.5 * width, -0.5 * height) + (0.5 * width - 0.5, 0.5 * height - 0.5)).astype(np.float32)
    start, end = pixels[corners]
    half = 0.5 * float(np.linalg.norm(end - start))
    if half < 3.0:
        return None
    middle, along = 0.5 * (start + end), (end - start) / (2.0 * half)
    down = np.array([-along[1], along[0]], np.float32)
    down *= np.sign(down[1]) or 1.0
    place = (pixels[upper] - middle) / half
    u, v = np.r_[place @ along, -1.0, 1.0], np.r_[place @ down, 0.0, 0.0]
    ball = scene.after[eye]
    return Rim(
        middle=middle.astype(np.float32),
        along=along.astype(np.float32),
        down=down,
        half=np.float32(half),
        curve=np.polyfit(u, v, DEGREE, w=np.r_[np.ones(len(upper)), 2.0, 2.0]).astype(np.float32),
        outer=np.float32(1.0 if side > 0 else -1.0),
        radius=np.float32(np.linalg.norm(ball - ball.mean(0), axis=1).mean() * 0.5 * height),
        closed=np.float32(np.median(closed[upper])),
        colour=_lash_colour(scene, upper),
    )


def _above(rig: PreviewRig, vertices: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(N,) bool: above the line between the corners, at rest."""
    x, y = rig.template[vertices, 0], rig.template[vertices, 1]
    (x0, y0), (x1, y1) = rig.template[corners, :2]
    return np.asarray(y > y0 + (x - x0) / (x1 - x0) * (y1 - y0))


def _lash_colour(scene: Scene, rim: np.ndarray) -> FloatArray:
    """(3,) the darker fifth of what the photo shows along the rim; no bluer than it is red, which only an iris is."""
    height, width = scene.source.image.shape[:2]
    points = scene.source.vertices[rim]
    x = np.clip(((points[:, 0] + 1.0) * 0.5 * width).astype(int), 0, width - 1)
    y = np.clip(((1.0 - points[:, 1]) * 0.5 * height).astype(int), 0, height - 1)
    seen = scene.source.image[y, x]
    dark = seen[np.argsort(seen.sum(1))[: max(1, len(seen) // 5)]].mean(0)
    return np.sort(np.minimum(dark, 0.3))[::-1].astype(np.float32)


@compiled
def _shade(rim, colours, cover):  # type: ignore[no-untyped-def]
    """Shade one closed lid and draw its lashes, in place. The shading is for what was painted: the photo's own lid has its own."""
    picture, visibility, change = colours.picture, colours.visibility, colours.change
    height, width, _ = picture.shape
    one, zero = np.float32(1.0), np.float32(0.0)
    reach = rim.half * np.float32(1.1) + np.float32(2.0)
    left, right = max(int(rim.middle[0] - reach), 0), min(int(rim.middle[0] + reach) + 2, width)
    top, bottom = max(int(rim.middle[1] - reach), 0), min(int(rim.middle[1] + reach) + 2, height)
    for i in range(top, bottom):
        for j in range(left, right):
            x, y = (np.float32(j) - rim.middle[0]) / rim.half, (np.float32(i) - rim.middle[1]) / rim.half
            u, v = x * rim.along[0] + y * rim.along[1], x * rim.down[0] + y * rim.down[1]
            if abs(u) > np.float32(1.08):
                continue
            bent = min(max(u, -one), one)
            line = zero
            for k in range(len(rim.curve)):
                line = line * bent + rim.curve[k]
            below = (v - line) * rim.half / rim.radius  # radii of the eyeball
            if below < np.float32(-1.6) or below > np.float32(0.6):
                continue
            round_off = max(one - u * u, zero)
            ends = min((np.float32(1.08) - abs(u)) * np.float32(8.0), one)
            ends *= min(max((below + np.float32(1.4)) * np.float32(3.0), zero), one)
            cover[i, j] = max(cover[i, j], rim.closed * ends * min((np.float32(0.6) - below) * np.float32(5.0), one))
            if below < 0:
                painted = (one - visibility[i, j]) * rim.closed
                if painted > 0:
                    light = _bulge(-below, u * rim.outer, round_off)
                    light = one + painted * (light - one)
                    for k in range(3):
                        picture[i, j, k] = min(picture[i, j, k] * light, one)
            ink = _ink(below, u, round_off, rim) * rim.closed
            if ink > np.float32(0.004):
                for k in range(3):
                    picture[i, j, k] += ink * (rim.colour[k] - picture[i, j, k])
                change[i, j] = max(change[i, j], min(ink * np.float32(8.0), one))


@inlined
def _bulge(up, outwards, round_off):  # type: ignore[no-untyped-def]
    """How many times brighter a lid is than plain skin, `up` radii of the eyeball above its rim; outwards: -1 at the inner corner, 1 at the outer.

    A little light on the middle of the ball, shadow in the inner corner, under the fold and along the rim.
    """
    one = np.float32(1.0)
    middle = (up - np.float32(0.42)) / np.float32(0.26)
    light = one + np.float32(0.07) * round_off * np.exp(-middle * middle)
    fold = (up - (np.float32(0.52) + np.float32(0.42) * round_off)) / np.float32(0.07)
    light -= np.float32(0.10) * min(round_off * np.float32(2.0), one) * np.exp(-fold * fold)
    light -= np.float32(0.10) * np.exp(-up / np.float32(0.09))
    inner = max(-outwards - np.float32(0.45), np.float32(0.0))
    return light - np.float32(0.30) * inner * inner


@inlined
def _ink(below, u, round_off, rim):  # type: ignore[no-untyped-def]
    """0..1: how dark the lashes are, `below` radii of the eyeball below the rim: a thin line, and clumps that fan out over the cheek."""
    one, zero = np.float32(1.0), np.float32(0.0)
    pixel = one / rim.radius
    thick = (np.float32(0.025) if below < 0 else np.float32(0.14)) + np.float32(0.4) * pixel
    taper = np.sqrt(round_off)
    at = below / thick
    ink = np.float32(0.9) * min(round_off * np.float32(2.0), one) * np.exp(-at * at)
    outwards = u * rim.outer
    long = np.float32(0.22) + np.float32(0.12) * outwards
    if 0 < below < long and round_off > 0:
        down = below / long
        root = u - np.float32(0.28) * down * down * (u + np.float32(0.15) * rim.outer)  # they fan out, more so outside
        wave = np.cos(np.float32(2.0 * np.pi) * (root * np.float32(LASHES) + np.float32(0.35) * np.sin(root * np.float32(23.0))))
        fine = min(max(np.float32(0.4) * rim.half / np.float32(LASHES) - np.float32(0.4), zero), one)  # too small a picture shows no clumps
        clump = np.float32(0.5) + np.float32(0.5) * fine * wave
        ink = max(ink, np.float32(0.75) * taper * clump * (one - down) ** np.float32(1.3))
    return ink
