"""Shading of the mesh's pixels: skin, eyes, teeth, mouth, cloth, with soft shadows. One Numba kernel over the pixels of a raster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discontrolface.render.compiled import compiled
from discontrolface.render.raster import rasterize
from discontrolface.render.shade import SH_CONSTANTS
from discontrolface.synthetic.anatomy import EYE, EYE_CENTRE, MOUTH, SOCKET, TEETH, TONGUE, Array
from discontrolface.synthetic.creases import crease_at
from discontrolface.synthetic.noise import sample_noise
from discontrolface.synthetic.strands import gamma

BACKGROUND, FACE, BODY, CLOTH, HAIR, THING = range(6)  # labels of pixels
SHADOW_SIZE = 192
SHADOW_SCALE = 5.5  # ndc a metre in the shadow map


def sh_with_constants(light: Array) -> Array:
    """(9, 3) coefficients that multiply 1, x, y, z, xy, xz, yz, x^2 - y^2, 3 z^2 - 1 directly."""
    return np.ascontiguousarray(light * np.array(SH_CONSTANTS, np.float32)[:, None], np.float32)


def lamp_rotation(direction: Array) -> Array:
    """(3, 3): turns view space so that the lamp looks along -z."""
    z = direction / np.linalg.norm(direction)
    up = np.array([0.0, 1.0, 0.0]) if abs(z[1]) < 0.9 else np.array([0.0, 0.0, -1.0])
    x = np.cross(up, z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z]).astype(np.float32)


def shadow_map(vertices: Array, faces: NDArray[np.int32], rotation: Array, centre: Array) -> tuple[Array, Array]:
    """Nearest depth to the lamp (SHADOW_SIZE, SHADOW_SIZE) and the offset (2,) that centres the head in it."""
    turned = vertices @ rotation.T
    offset = -(rotation @ centre)[:2]
    ndc = np.concatenate([(turned[:, :2] + offset) * np.float32(SHADOW_SCALE), turned[:, 2:]], 1)
    return rasterize(ndc, faces, SHADOW_SIZE, SHADOW_SIZE, cull=False).depth, offset.astype(np.float32)


@compiled
def _visibility(near, rotation, offset, x, y, z, jitter, spread):  # type: ignore[no-untyped-def]
    """How much of the lamp is seen from a point: five looks at the shadow map, a turned cross `spread` texels wide."""
    size = near.shape[0]
    u = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z + offset[0]
    v = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z + offset[1]
    w = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z
    a = (SHADOW_SCALE * u + 1) * 0.5 * size - 0.5
    b = (1 - SHADOW_SCALE * v) * 0.5 * size - 0.5
    c, s = np.cos(jitter), np.sin(jitter)
    seen = 0.0
    for i in range(5):
        di, dj = 0.0, 0.0
        if i < 3:
            di = i - 1.0
        else:
            dj = 7.0 - 2.0 * i
        p = int(a + spread * (c * di - s * dj) + 0.5)
        q = int(b + spread * (s * di + c * dj) + 0.5)
        if p < 0 or q < 0 or p >= size or q >= size:
            seen += 1.0
            continue
        blocked = (near[q, p] - w - 0.005) / 0.006  # nearer blockers shade fully, those just above a little
        seen += 1.0 - min(1.0, max(0.0, blocked))
    return seen / 5.0


@compiled
def shade_pixels(  # type: ignore[no-untyped-def]
    triangle,  # (H, W)
    barycentric,
    faces,
    material,  # (F,)
    is_face,  # (F,)
    template,  # (V, 3) texture space
    position,  # (V, 3) view space
    normal,  # (V, 3)
    albedo,  # (V, 3) linear
    cover,  # (V, 3): hair that shows as colour of the scalp; stubble; lips
    hair_colour,  # (3,) linear
    stubble_colour,  # (3,)
    light,  # (9, 3) with constants
    key_direction,
    key_colour,
    ambient,  # (3,)
    near,
    lamp,
    offset,  # the shadow map
    tile,
    skin,  # (6,): oil, freckles, bump, mottle, noise shift, wetness of lips
    creases,  # (5,), see creases.py
    eye,  # (12,): iris rgb, ring, pupil radius, iris radius, pattern, sclera rgb, inner rgb scale, shift
    head_up,  # (3,) the head's up direction in view space
    gaze,  # (2, 3) where the left and the right eye look, view space
    cloth,  # (18,): see clothes.py
    image,
    depth,
    labels,
):
    """Linear colour, view depth and label of every pixel that the mesh covers."""
    height, width = triangle.shape
    half = np.array([key_direction[0], key_direction[1], key_direction[2] + 1.0])
    half /= np.sqrt((half * half).sum()) + 1e-9
    n4 = np.empty(4, np.float32)
    m4 = np.empty(4, np.float32)
    base = np.empty(3)
    for row in range(height):
        for column in range(width):
            f = triangle[row, column]
            if f < 0:
                continue
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            a, b, c = barycentric[row, column, 0], barycentric[row, column, 1], barycentric[row, column, 2]
            tx = a * template[i, 0] + b * template[j, 0] + c * template[k, 0]
            ty = a * template[i, 1] + b * template[j, 1] + c * template[k, 1]
            tz = a * template[i, 2] + b * template[j, 2] + c * template[k, 2]
            x = a * position[i, 0] + b * position[j, 0] + c * position[k, 0]
            y = a * position[i, 1] + b * position[j, 1] + c * position[k, 1]
            z = a * position[i, 2] + b * position[j, 2] + c * position[k, 2]
            nx = a * normal[i, 0] + b * normal[j, 0] + c * normal[k, 0]
            ny = a * normal[i, 1] + b * normal[j, 1] + c * normal[k, 1]
            nz = a * normal[i, 2] + b * normal[j, 2] + c * normal[k, 2]
            r = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
            nx, ny, nz = nx / r, ny / r, nz / r
            for q in range(3):
                base[q] = a * albedo[i, q] + b * albedo[j, q] + c * albedo[k, q]
            kind = material[f]
            depth[row, column] = z
            label = FACE if is_face[f] else BODY
            gloss, power, sheen, soft = 0.0, 20.0, 0.0, 0.0
            wet, occlusion = 0.0, 1.0
            bx, by, bz = nx, ny, nz
            if kind == EYE:
                ex, ey, ez = (tx - EYE_CENTRE if tx > 0 else tx + EYE_CENTRE), ty, tz
                rr = np.sqrt(ex * ex + ey * ey)
                side = 1.0 if tx > 0 else -1.0
                angle = np.arctan2(ey, ex * side)
                iris = eye[5]
                edge = 1 / (1 + np.exp((rr - iris) / 0.00028)) if ez > 0 else 0.0
                sample_noise(tile, tx * 260 + eye[11], ty * 260, tz * 260, n4)
                vein = max(0.0, n4[0] - 0.25) * min(1.0, rr / 0.013)
                for q in range(3):
                    base[q] = eye[6 + 1 + q] * (1 - (0.10 + 0.25 * vein) * (0.0 if q == 0 else 1.0))
                if edge > 0.001:
                    t = rr / iris
                    sample_noise(tile, np.cos(angle) * 5 + eye[11], np.sin(angle) * 5, t * 1.2, n4)
                    sample_noise(tile, np.cos(angle) * 11 + eye[11], np.sin(angle) * 11, t * 2 + 7, m4)
                    streak = 1 + eye[6] * (0.8 * n4[0] + 0.7 * m4[0])
                    ring = 1 - eye[3] * max(0.0, (t - 0.72) / 0.28) ** 1.5
                    inner = max(0.0, 1 - abs(t - 0.45) / 0.25) * eye[10]
                    pupil = 1 / (1 + np.exp((t - eye[4]) / 0.03))
                    upper = 1 - 0.25 * max(0.0, ey / iris)  # the lid's shade, and light gathers below
                    for q in range(3):
                        colour = eye[q] * streak * ring * upper * (1 + inner * (0.8 if q < 2 else 0.2)) * (1 - pupil) + 0.004 * pupil
                        base[q] = base[q] * (1 - edge) + max(0.002, colour) * edge
                wet = 1.0
                up = nx * head_up[0] + ny * head_up[1] + nz * head_up[2]
                shade = min(1.0, max(0.0, (up + 0.02) / 0.2))
                occlusion = 0.98 - 0.42 * shade * shade
                bulge = 0.95 * edge  # the cornea is twice as curved as the eyeball
                g = 0 if tx > 0 else 1
                bx, by, bz = nx + bulge * (nx - gaze[g, 0]), ny + bulge * (ny - gaze[g, 1]), nz + bulge * (nz - gaze[g, 2])
            elif kind == TEETH:
                u = abs(tx)
                gap = np.cos(2 * np.pi * u / 0.0078)
                occlusion = (1 - 0.35 * max(0.0, gap) ** 12) * min(1.0, max(0.15, 1 - (0.016 - tz) / 0.03))
                wet = 0.45
            elif kind in (MOUTH, TONGUE):
                back = min(1.0, max(0.0, (0.022 - tz) / 0.03))
                occlusion = 1 - 0.93 * back if kind == MOUTH else 0.75 - 0.55 * back
                wet = 0.15
            elif kind == SOCKET:
                wet = 0.5
                occlusion = 0.75
            else:
                top = cloth[0] + cloth[1] * (tz + 0.05) - cloth[2] * max(0.0, 1 - abs(tx) / cloth[3]) * (1.0 if tz > -0.09 else 0.0)
                below = top - ty
                if below > 0 and ty < -0.10:
                    label = CLOTH
                    _cloth_colour(tile, cloth, tx, ty, tz, below, base, n4)
                    bx, by, bz = nx + 0.45 * n4[1], ny + 0.25 * n4[2], nz
                    soft = 0.3
                    sheen = 0.10
                    occlusion = 0.6 + 0.4 * min(1.0, below / 0.004)
                else:
                    sample_noise(tile, tx * 420 + skin[4], ty * 420, tz * 420, n4)
                    sample_noise(tile, tx * 900 + skin[4], ty * 900, tz * 900, m4)
                    stubble = a * cover[i, 1] + b * cover[j, 1] + c * cover[k, 1]
                    hair = a * cover[i, 0] + b * cover[j, 0] + c * cover[k, 0]
                    fade = 1.0 - 0.9 * hair
                    spots = (
                        max(0.0, m4[3] - 0.34 + 0.15 * skin[1]) * skin[1] * max(0.0, min(1.0, (ty + 0.07) / 0.04)) * 1.6
                        if label == FACE
                        else 0.0
                    )
                    line = crease_at(creases, tx, ty, n4[2]) if label == FACE else 0.0
                    grain = 1 - line + skin[3] * (0.03 * n4[0] + 0.05 * m4[0])
                    for q in range(3):
                        spot = 1 - min(0.5, spots * (0.5 + 0.35 * q)) - 0.35 * line * (0.0 if q == 0 else 1.0)
                        base[q] *= grain * spot
                        grainy = stubble * min(1.0, max(0.2, 0.75 + 0.9 * m4[1]))
                        base[q] = base[q] * (1 - grainy) + stubble_colour[q] * grainy
                        base[q] = base[q] * (1 - hair) + hair_colour[q] * 0.55 * (1 + 0.5 * m4[2]) * hair
                    bump = skin[2] * fade
                    bx, by, bz = nx + bump * (n4[1] + m4[1]), ny + bump * (n4[2] + m4[2]), nz
                    lip = a * cover[i, 2] + b * cover[j, 2] + c * cover[k, 2]
                    gloss = skin[0] * (0.075 + 0.03 * m4[0] + 0.02 * n4[0]) * fade + 0.5 * lip * skin[5]
                    power = 12.0 + 30.0 * lip
                    sheen = 0.05
                    soft = 1.0
                    if below > -0.012 and ty < -0.10:  # the garment's edge shades the neck
                        occlusion = 0.72 + 0.28 * min(1.0, -below / 0.012)
            r = np.sqrt(bx * bx + by * by + bz * bz) + 1e-9
            bx, by, bz = bx / r, by / r, bz / r
            jitter = ((row * 7 + column * 13) & 15) * 0.3927
            seen = _visibility(near, lamp, offset, x + nx * 0.003, y + ny * 0.003, z + nz * 0.003, jitter, 2.6)
            facing = bx * key_direction[0] + by * key_direction[1] + bz * key_direction[2]
            shiny = max(0.0, bx * half[0] + by * half[1] + bz * half[2])
            if soft > 0.5:  # oil levels the fine relief
                shiny = 0.4 * shiny + 0.6 * max(0.0, nx * half[0] + ny * half[1] + nz * half[2])
            narrow = shiny**power if gloss > 0 else 0.0
            lobe = gloss * (narrow + 0.45 * narrow * narrow * narrow * narrow)
            rim = sheen * max(0.0, 1 - bz) ** 3
            if wet > 0:
                lobe += wet * (0.04 * shiny**20 + 7.0 * shiny**700 + 0.5 * shiny**150)
            front = max(0.0, min(1.0, facing * 3 + 0.3))
            for q in range(3):
                # red light travels farther in skin: it sees the smooth normal, the others the fine one
                m = soft * (0.8 if q == 0 else (0.35 if q == 1 else 0.2))
                sx, sy, sz = bx + m * (nx - bx), by + m * (ny - by), bz + m * (nz - bz)
                level = (
                    light[0, q]
                    + light[1, q] * sx
                    + light[2, q] * sy
                    + light[3, q] * sz
                    + light[4, q] * sx * sy
                    + light[5, q] * sx * sz
                    + light[6, q] * sy * sz
                    + light[7, q] * (sx * sx - sy * sy)
                    + light[8, q] * (3 * sz * sz - 1)
                )
                level = gamma(max(0.04, level))
                v = seen
                if soft > 0.5 and q == 0:
                    v = seen * (1.5 - 0.5 * seen)
                if level > ambient[q]:
                    level = ambient[q] * 0.85 + (level - ambient[q] * 0.85) * (0.12 + 0.88 * v)
                o = occlusion
                colour = base[q] * level * o
                colour += key_colour[q] * lobe * front * (0.15 + 0.85 * seen) * o + rim * level * o
                image[row, column, q] = colour
            labels[row, column] = label


@compiled
def _cloth_colour(tile, cloth, x, y, z, below, base, n4):  # type: ignore[no-untyped-def]
    """Base colour of a garment into `base`; noise for its folds stays in `n4`. cloth[4:7] and [7:10] colours, [10] pattern, [11] period."""
    sample_noise(tile, x * cloth[14] + cloth[13], y * cloth[14] * 0.45, z * cloth[14], n4)
    pattern, period = int(cloth[10]), cloth[11]
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
    if below < cloth[12]:  # a hem or rib of the second colour
        mix = cloth[15] + (1 - cloth[15]) * mix
    fold = 1 + cloth[16] * n4[0]
    weave = 1 + cloth[17] * np.sin(x * 4200) * np.sin(y * 4200)
    for q in range(3):
        base[q] = max(0.002, (cloth[4 + q] * (1 - mix) + cloth[7 + q] * mix) * fold * weave)


@compiled
def contact_shade(depth, radius):  # type: ignore[no-untyped-def]
    """How far each pixel lies behind the mean of its neighbourhood, metres >= 0 (unsharp-masked depth: Luft, Colditz and Deussen 2006).

    depth: (H, W), -inf off the head, which does not count. Two box blurs of `radius` pixels.
    """
    height, width = depth.shape
    total = np.zeros((height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    for i in range(height):
        for j in range(width):
            if depth[i, j] > -1e3:
                total[i, j] = depth[i, j]
                weight[i, j] = 1
    for _ in range(2):
        for field in (total, weight):
            line = np.empty(max(height, width) + 1, np.float64)
            for i in range(height):
                line[0] = 0
                for j in range(width):
                    line[j + 1] = line[j] + field[i, j]
                for j in range(width):
                    field[i, j] = line[min(width, j + radius + 1)] - line[max(0, j - radius)]
            for j in range(width):
                line[0] = 0
                for i in range(height):
                    line[i + 1] = line[i] + field[i, j]
                for i in range(height):
                    field[i, j] = line[min(height, i + radius + 1)] - line[max(0, i - radius)]
    for i in range(height):
        for j in range(width):
            total[i, j] = max(0.0, total[i, j] / weight[i, j] - depth[i, j]) if depth[i, j] > -1e3 and weight[i, j] > 0 else 0.0
    return total
