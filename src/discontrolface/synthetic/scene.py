"""A scene: one person in one place, before one camera; everything follows from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.face.colours import region_colours
from discontrolface.face.parameters import FaceParameters
from discontrolface.synthetic.anatomy import Array, anatomy, posed
from discontrolface.synthetic.backgrounds import make_background
from discontrolface.synthetic.camera import Camera, make_camera
from discontrolface.synthetic.clothes import Garment, make_clothes
from discontrolface.synthetic.eyes import Eyes, make_eyes
from discontrolface.synthetic.glasses import make_glasses
from discontrolface.synthetic.groom import beard_mask, make_beard, make_brows, make_lashes
from discontrolface.synthetic.growth import grow
from discontrolface.synthetic.hair import HairStyle, hairline_of, make_style
from discontrolface.synthetic.light import random_light
from discontrolface.synthetic.skin import LIPS, SCALP, STUBBLE, Skin, make_skin
from discontrolface.synthetic.strands import Strands


@dataclass(frozen=True)
class Scene:
    """One person in one place, before one camera. `base` holds the identity (shape, albedo); what edits change is drawn anew for each picture."""

    seed: int
    base: FaceParameters
    skin: Skin
    cover: Array  # (V, 3), see skin.py
    stubble_colour: Array  # (3,) linear
    style: HairStyle
    hair: Strands | None  # rigid with the head, in the identity's rest space
    surface_hair: tuple[tuple[Strands, float], ...]  # brows, lashes, beard, with their opacity
    age: float  # 0..1, deepens creases
    glasses: Strands | None  # rigid with the head
    eyes: Eyes
    clothes: Garment
    background: Array  # (128, 128, 3)
    camera: Camera


def make_scene(seed: int, pictures: Sequence[NDArray[np.uint8]] = (), detail: float = 1.0) -> Scene:
    """Draw a person, a place and a camera.

    pictures: (H, W, 3) uint8 to cut backgrounds from (`picture_backgrounds()`); the scene depends on them. detail: share of the strands to grow
    (small pictures need fewer); the person is the same.
    """
    if seed < 0:
        raise UserError(f"the seed of a scene must not be negative, got {seed}")
    rng = np.random.default_rng([seed, 471])
    a = anatomy()
    melanin = float(np.clip(rng.beta(1.1, 1.5), 0, 1))
    age, mature = float(rng.random()), float(rng.random() < 0.45)
    skin = make_skin(rng, melanin, age)
    shape = (rng.standard_normal(a.head.shape_count) * 0.85).clip(-2.3, 2.3).astype(np.float32)
    style = make_style(rng, melanin, age, mature)
    neutral = posed(shape, np.zeros(a.head.expression_count, np.float32), np.zeros((5, 3), np.float32))[0]
    hair = grow(
        style,
        neutral,
        np.random.default_rng([seed, 473]),
        int({"buzz": 14000, "long": 13000, "bob": 12000}.get(style.kind, 11000) * detail),
    )
    grown = style.colour if style.kind != "bald" and np.ptp(style.colour) < 0.35 else np.array([0.16, 0.11, 0.08], np.float32)
    brow_colour = np.clip(np.minimum(grown, 0.5) * rng.uniform(0.55, 1.0), 0.03, 1).astype(np.float32)
    surface = [
        (make_brows(rng, brow_colour, int(rng.integers(420, 900))), 0.75),
        (make_lashes(rng, brow_colour, float(rng.uniform(0.5, 1.4)) if mature == 0 else float(rng.uniform(0.4, 0.8))), 0.6),
    ]
    cover = np.zeros((len(a.template), 3), np.float32)
    cover[:, LIPS] = a.lips
    if style.kind != "bald":
        cover[:, SCALP] = np.clip(hairline_of(style) / 0.008, 0, 1) * (0.75 if style.kind == "buzz" else 0.95)
    elif rng.random() < 0.6:
        cover[:, SCALP] = np.clip(hairline_of(style) / 0.01, 0, 1) * rng.uniform(0.05, 0.25)
    if mature:
        shadow = beard_mask("full")
        cover[:, STUBBLE] = shadow * rng.uniform(0.02, 0.3)
        if rng.random() < 0.45:
            kind = str(rng.choice(["full", "goatee", "moustache", "stubble"], p=[0.35, 0.15, 0.1, 0.4]))
            length = float(rng.uniform(0.0012, 0.0025)) if kind == "stubble" else float(rng.uniform(0.004, 0.016))
            count = int((5000 if kind in ("full", "stubble") else 1800) * max(detail, 0.6))
            surface.append(
                (
                    make_beard(np.random.default_rng([seed, 474]), kind, np.clip(grown * rng.uniform(0.7, 1.0), 0.03, 1), length, count),
                    0.8 if length > 0.003 else 0.5,
                )
            )
            cover[:, STUBBLE] = np.maximum(cover[:, STUBBLE], beard_mask(kind) * (0.75 if length > 0.003 else 0.3))
    names = a.head.expression_names
    base = FaceParameters(
        shape=shape,
        expression=np.zeros(a.head.expression_count, np.float32),
        pose=np.zeros((5, 3), np.float32),
        camera=np.array(
            [rng.uniform(5.9, 7.5), rng.normal(0, 0.002), rng.normal(0.0, 0.003)], np.float32
        ),  # shifts here are from FFHQ's centre
        light=random_light(rng),
        albedo=region_colours(a.head.region_names, skin.tone),
        head="open",
        expression_names=names,
    )
    background = make_background(rng, pictures) * rng.uniform(0.75, 1.1)
    return Scene(
        seed,
        base,
        skin,
        cover,
        (brow_colour * 0.9 + 0.02).astype(np.float32) ** 2.2,
        style,
        hair,
        tuple(surface),
        age,
        make_glasses(rng, neutral) if rng.random() < 0.14 else None,
        make_eyes(rng, melanin),
        make_clothes(rng),
        background.astype(np.float32),
        make_camera(rng),
    )
