"""Brows, lashes and beards: short strands that sit on the face and move with its skin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discontrolface.synthetic.anatomy import Array, anatomy
from discontrolface.synthetic.skin import blob
from discontrolface.synthetic.strands import Strands, attach, triangle_frames


def scatter(mask: Array, count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], Array]:
    """Triangles (count,) and barycentrics (count, 3) of random places, as dense as `mask` (V,) says."""
    a = anatomy()
    p = a.template[a.faces]
    area = np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1)
    weight = mask[a.faces].mean(1) * area
    pick = rng.choice(len(weight), count, p=weight / weight.sum())
    uv = rng.random((count, 2))
    flip = uv.sum(1) > 1
    uv[flip] = 1 - uv[flip]
    return pick.astype(np.int64), np.stack([1 - uv.sum(1), uv[:, 0], uv[:, 1]], 1).astype(np.float32)


def _place(triangle: NDArray[np.int64], bary: Array) -> tuple[Array, Array]:
    a = anatomy()
    return np.einsum("nkc,nk->nc", a.template[a.faces[triangle]], bary).astype(np.float32), triangle_frames(a.template, a.faces, triangle)


def _strands(
    triangle: NDArray[np.int64],
    bary: Array,
    direction: Array,
    length: Array,
    bend: Array,
    lift: float,
    colour: Array,
    width: Array,
    points: int,
) -> Strands:
    """Strands along `direction` (N, 3), curved by `bend` (N, 3), `lift` metres off the skin."""
    roots, frames = _place(triangle, bary)
    normal = frames[:, 2]
    direction = direction - (direction * normal).sum(1, keepdims=True) * normal * 0.85
    direction = direction / (np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9)
    t = np.linspace(0, 1, points, dtype=np.float32)[None, :, None]
    lines = (
        roots[:, None]
        + normal[:, None] * np.float32(lift)
        + t * length[:, None, None] * direction[:, None]
        + t * t * bend[:, None] * length[:, None, None]
    )
    return Strands(
        attach(lines.astype(np.float32), roots, frames),
        colour.astype(np.float32),
        width.astype(np.float32),
        np.ones((len(roots), points), np.float32),
        triangle,
        bary,
    )


def brow_height(x: NDArray[np.floating], arch: float, tilt: float) -> NDArray[np.floating]:
    """Height of the middle of a brow at |x|, metres."""
    s = (np.abs(x) - 0.012) / 0.038
    return 0.0195 + arch * np.sin(np.clip(s * 1.15, 0, 1.25) * np.pi * 0.85) * 0.006 + tilt * (s - 0.5) * 0.006


def make_brows(rng: np.random.Generator, colour: Array, count: int) -> Strands:
    """Both brows. colour: (3,) sRGB."""
    a = anatomy()
    p = a.template
    arch, tilt = float(rng.uniform(0.2, 1.1)), float(rng.normal(-0.1, 0.35))
    thick = float(rng.uniform(0.0026, 0.0050))
    roots_wanted = (
        a.front * (np.abs(p[:, 1] - brow_height(p[:, 0], arch, tilt)) < 0.014) * (np.abs(p[:, 0]) > 0.004) * (np.abs(p[:, 0]) < 0.060)
    )
    triangle, bary = scatter(roots_wanted.astype(np.float32), count * 6, rng)
    roots, _ = _place(triangle, bary)
    s = (np.abs(roots[:, 0]) - 0.011) / 0.041
    narrow = thick * np.clip(1.15 - 0.75 * np.clip(s, 0, 1) ** 1.5, 0.2, 1) * np.clip((s + 0.10) / 0.2, 0, 1)
    near = np.abs(roots[:, 1] - brow_height(roots[:, 0], arch, tilt)) / (narrow + 1e-6)
    keep = (s > -0.06) & (s < 1.04) & (near < rng.uniform(0.45, 1.15, len(s)))
    triangle, bary, roots, s = triangle[keep][:count], bary[keep][:count], roots[keep][:count], s[keep][:count]
    n = len(roots)
    side = np.sign(roots[:, 0])
    up = 1.1 - 1.6 * np.clip(s, 0, 1)
    direction = np.stack([side * (0.5 + 0.6 * s), up + 0.15 * rng.standard_normal(n), np.zeros(n)], 1)
    length = rng.uniform(0.004, 0.008, n) * (1 - 0.3 * s)
    bend = np.stack([side * 0.35, -0.25 * np.ones(n), np.zeros(n)], 1)
    shade = (colour**2.2 * np.exp(rng.normal(0, 0.2, (n, 1)))).clip(0.003)
    return _strands(
        triangle,
        bary,
        direction.astype(np.float32),
        length.astype(np.float32),
        bend.astype(np.float32),
        0.0004,
        shade,
        rng.uniform(0.0003, 0.0006, n).astype(np.float32),
        4,
    )


def make_lashes(rng: np.random.Generator, colour: Array, strength: float) -> Strands:
    """Upper and lower lashes of both eyes, rooted on the lids' margins. strength: 0.5 (fine) to 1.5 (made up)."""
    a = anatomy()
    parts: list[tuple[NDArray[np.int64], Array, Array, Array, Array]] = []
    for eye, side in zip(a.lids, (1, -1), strict=True):
        for lid, up in zip(eye, (1, -1), strict=True):
            triangle, bary = lid
            n = int((90 if up > 0 else 45) * (0.6 + 0.4 * strength))
            pick = np.sort(rng.integers(2, len(triangle) - 1, n))
            s = pick / len(triangle)
            direction = np.stack(
                [side * (s - 0.42) * 1.5 + 0.15 * rng.standard_normal(n), up * (0.35 if up > 0 else 0.7) + 0 * s, 0.95 + 0 * s], 1
            )
            length = rng.uniform(0.7, 1.1, n) * (0.0062 if up > 0 else 0.003) * (0.55 + 0.6 * s) * (0.7 + 0.3 * strength)
            bend = np.stack([side * 0.15 * s, up * 0.8 + 0 * s, -0.2 + 0 * s], 1)
            parts.append((triangle[pick], bary[pick], direction.astype(np.float32), length.astype(np.float32), bend.astype(np.float32)))
    triangle, bary, direction, length, bend = (np.concatenate([part[k] for part in parts]) for k in range(5))
    roots, frames = _place(triangle, bary)
    t = np.linspace(0, 1, 5, dtype=np.float32)[None, :, None]
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    lines = roots[:, None] + t * length[:, None, None] * direction[:, None] + t * t * bend[:, None] * length[:, None, None] * 0.6
    n = len(roots)
    dark = np.minimum(colour, 0.2) ** 2.2
    shade = np.tile(np.clip(dark * 0.7, 0.002, 1), (n, 1))
    width = np.full(n, 0.00035 + 0.0002 * strength)
    return Strands(
        attach(lines.astype(np.float32), roots, frames),
        shade.astype(np.float32),
        width.astype(np.float32),
        np.ones((n, 5), np.float32),
        triangle,
        bary,
    )


def beard_mask(kind: str) -> Array:
    """(V,) 0..1: where a beard of this kind grows: full, goatee, moustache, stubble."""
    a = anatomy()
    p = a.template
    upper = blob(p, (0.011, -0.0565, 0.033), (0.014, 0.0042, 0.02)) * (p[:, 1] > -0.0635)
    chin = blob(p, (0.0, -0.102, 0.022), (0.021, 0.013, 0.03))
    soul = blob(p, (0.0, -0.088, 0.03), (0.006, 0.005, 0.02))
    x = np.abs(p[:, 0])
    # jaw: below a line from the mouth's corner up to the sideburn, in front of the ear
    edge = np.interp(x, [0.0, 0.024, 0.045, 0.058, 0.066, 0.075], [-0.083, -0.073, -0.062, -0.046, -0.025, 0.0])
    jaw = 1 / (1 + np.exp(-(edge - p[:, 1]) / 0.004)) * (p[:, 2] > -0.062) * (p[:, 1] > -0.135)
    lips = np.clip(1 - 2.5 * a.lips, 0, 1)
    neck = np.clip((p[:, 1] + 0.14) / 0.02, 0, 1) * np.clip((p[:, 2] + 0.055) / 0.02, 0, 1)
    on_skin = a.head.region_mask("skin", "neck", "lips").astype(np.float32)
    masks = {"moustache": upper, "goatee": np.maximum(np.maximum(upper, chin), soul), "full": np.maximum(np.maximum(upper, jaw), soul)}
    mask = masks.get(kind, masks["full"])
    return (np.clip(mask, 0, 1) * lips * neck * on_skin).astype(np.float32)


def make_beard(rng: np.random.Generator, kind: str, colour: Array, length: float, count: int) -> Strands:
    """Beard hairs, `length` metres long, growing down and outwards."""
    triangle, bary = scatter(beard_mask(kind) ** 1.5, count, rng)
    roots, _ = _place(triangle, bary)
    n = len(roots)
    side = np.sign(roots[:, 0]) * np.clip(np.abs(roots[:, 0]) / 0.02, 0, 1)
    on_lip = roots[:, 1] > -0.066
    direction = np.stack([side * np.where(on_lip, 0.8, 0.15), -np.ones(n), 0.25 * np.ones(n)], 1) + 0.25 * rng.standard_normal((n, 3))
    bend = 0.35 * rng.standard_normal((n, 3)) + np.array([0, -0.3, 0])
    shade = colour**2.2 * np.exp(rng.normal(0, 0.3, (n, 1)))
    size = length * rng.uniform(0.5, 1.1, n) * np.where(on_lip, 0.6, 1.0)
    width = (rng.uniform(0.0005, 0.0010, n) if length > 0.004 else rng.uniform(0.0003, 0.0005, n)).astype(np.float32)
    return _strands(triangle, bary, direction.astype(np.float32), size.astype(np.float32), bend.astype(np.float32), 0.0003, shade, width, 5)
