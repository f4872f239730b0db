"""Shading of the mesh's pixels: skin, eyes, teeth, mouth, cloth, with soft shadows. One Numba kernel over the pixels of a raster."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discontrolface.render.compiled import lean, lean_inlined
from discontrolface.render.surface import channel, point_at
from discontrolface.synthetic.anatomy import EYE, MOUTH, SOCKET, TEETH, TONGUE, Array
from discontrolface.synthetic.canvas import BODY, CLOTH, FACE
from discontrolface.synthetic.clothes import Garment, below_edge, cloth_material
from discontrolface.synthetic.eyes import Eyes, Posture, eye_material
from discontrolface.synthetic.light import gamma, half_way, shading
from discontrolface.synthetic.materials import Material, Place
from discontrolface.synthetic.shadows import visibility
from discontrolface.synthetic.skin import SkinGrain, skin_material


class Body(NamedTuple):
    """The mesh. material, face: (F,) of the triangles, as in Anatomy. template: (V, 3) where textures are looked up. position, normal: (V, 3) view
    space. albedo: (V, 3) linear. cover: (V, 3), see skin.py."""

    material: NDArray[np.uint8]
    face: NDArray[np.bool_]
    template: Array
    position: Array
    normal: Array
    albedo: Array
    cover: Array


class Dress(NamedTuple):
    """What makes the person's materials."""

    grain: SkinGrain
    eyes: Eyes
    posture: Posture
    garment: Garment


@lean
def shade_pixels(surface, body, dress, tile, lighting, shadow, canvas, scratch):  # type: ignore[no-untyped-def]
    """Linear colour, view depth and label, on the canvas, of every pixel that the mesh covers.

    surface: Surface. body: Body. dress: Dress. tile: of the noise. lighting: Lighting. shadow: ShadowMap. canvas: Canvas. scratch: Scratch.
    """
    triangle = surface.triangle
    grain, eyes, posture, garment = dress.grain, dress.eyes, dress.posture, dress.garment
    image, depth, labels = canvas.image, canvas.depth, canvas.labels
    height, width = triangle.shape
    half = half_way(lighting.direction)
    for row in range(height):
        for column in range(width):
            f = triangle[row, column]
            if f < 0:
                continue
            point = point_at(surface, row, column)
            x, y, z = channel(body.position, 0, point), channel(body.position, 1, point), channel(body.position, 2, point)
            place = _place(body, point)
            for q in range(3):
                scratch.base[q] = channel(body.albedo, q, point)
            kind = body.material[f]
            label = FACE if body.face[f] else BODY
            if kind == EYE:
                material = eye_material(eyes, posture, tile, place, scratch)
            elif kind in (TEETH, MOUTH, TONGUE, SOCKET):
                material = _inner_material(kind, place)
            else:
                below = below_edge(garment, place)
                if below > 0 and place.ty < -0.10:
                    label = CLOTH
                    material = cloth_material(garment, tile, place, below, scratch)
                else:
                    material = skin_material(grain, body.cover, tile, point, place, label == FACE, below, scratch)
            jitter = ((row * 7 + column * 13) & 15) * 0.3927
            seen = visibility(shadow, x + place.nx * 0.003, y + place.ny * 0.003, z + place.nz * 0.003, jitter, 2.6)
            _light(material, place, seen, half, lighting, scratch.base, image, row, column)
            depth[row, column] = z
            labels[row, column] = label


@lean_inlined
def _place(body, point):  # type: ignore[no-untyped-def]
    """The place that a Point shows."""
    nx, ny, nz = channel(body.normal, 0, point), channel(body.normal, 1, point), channel(body.normal, 2, point)
    r = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    return Place(
        tx=channel(body.template, 0, point),
        ty=channel(body.template, 1, point),
        tz=channel(body.template, 2, point),
        nx=nx / r,
        ny=ny / r,
        nz=nz / r,
    )


@lean_inlined
def _inner_material(kind, place):  # type: ignore[no-untyped-def]
    """Teeth, tongue, the inside of the mouth, the rim of an eye: darker the deeper they lie."""
    wet, occlusion = 0.5, 0.75
    if kind == TEETH:
        gap = np.cos(2 * np.pi * abs(place.tx) / 0.0078)
        occlusion = (1 - 0.35 * max(0.0, gap) ** 12) * min(1.0, max(0.15, 1 - (0.016 - place.tz) / 0.03))
        wet = 0.45
    elif kind in (MOUTH, TONGUE):
        back = min(1.0, max(0.0, (0.022 - place.tz) / 0.03))
        occlusion = 1 - 0.93 * back if kind == MOUTH else 0.75 - 0.55 * back
        wet = 0.15
    return Material(gloss=0.0, power=20.0, sheen=0.0, soft=0.0, wet=wet, occlusion=occlusion, bx=place.nx, by=place.ny, bz=place.nz)


@lean_inlined
def _light(material, place, seen, half, lighting, base, image, row, column):  # type: ignore[no-untyped-def]
    """The colour of a place, into its pixel. seen: 0..1 of the lamp. half: between lamp and viewer. base: (3,) its own colour."""
    nx, ny, nz = place.nx, place.ny, place.nz
    bx, by, bz, soft, occlusion = material.bx, material.by, material.bz, material.soft, material.occlusion
    direction, ambient = lighting.direction, lighting.ambient
    r = np.sqrt(bx * bx + by * by + bz * bz) + 1e-9
    bx, by, bz = bx / r, by / r, bz / r
    facing = bx * direction[0] + by * direction[1] + bz * direction[2]
    shiny = max(0.0, bx * half[0] + by * half[1] + bz * half[2])
    if soft > 0.5:  # oil levels the fine relief
        shiny = 0.4 * shiny + 0.6 * max(0.0, nx * half[0] + ny * half[1] + nz * half[2])
    narrow = shiny**material.power if material.gloss > 0 else 0.0
    lobe = material.gloss * (narrow + 0.45 * narrow * narrow * narrow * narrow)
    rim = material.sheen * max(0.0, 1 - bz) ** 3
    if material.wet > 0:
        lobe += material.wet * (0.04 * shiny**20 + 7.0 * shiny**700 + 0.5 * shiny**150)
    front = max(0.0, min(1.0, facing * 3 + 0.3))
    for q in range(3):
        # red light travels farther in skin: it sees the smooth normal, the others the fine one
        m = soft * (0.8 if q == 0 else (0.35 if q == 1 else 0.2))
        sx, sy, sz = bx + m * (nx - bx), by + m * (ny - by), bz + m * (nz - bz)
        level = gamma(max(0.04, shading(lighting.coefficients, q, sx, sy, sz)))
        v = seen
        if soft > 0.5 and q == 0:
            v = seen * (1.5 - 0.5 * seen)
        if level > ambient[q]:
            level = ambient[q] * 0.85 + (level - ambient[q] * 0.85) * (0.12 + 0.88 * v)
        colour = base[q] * level * occlusion
        colour += lighting.colour[q] * lobe * front * (0.15 + 0.85 * seen) * occlusion + rim * level * occlusion
        image[row, column, q] = colour
