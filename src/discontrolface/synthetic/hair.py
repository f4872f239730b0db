"""Hair: styles, and strands grown from the scalp along a style's flow, kept outside the head, gathered into locks and curled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discontrolface.render.compiled import compiled
from discontrolface.render.raster import rasterize
from discontrolface.synthetic.anatomy import Array, anatomy
from discontrolface.synthetic.noise import noise_tile, sample_noise
from discontrolface.synthetic.strands import Strands

CENTRE = np.array([0.0, 0.015, -0.075], np.float32)  # of the skull
AZIMUTHS, ELEVATIONS = 96, 64

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


def grow(style: HairStyle, rest: Array, rng: np.random.Generator, count: int) -> Strands | None:
    """About `count` strands for a head at rest (V, 3). None for a bald head."""
    if style.kind == "bald":
        return None
    a = anatomy()
    traits = np.random.default_rng(rng.integers(2**31))  # what does not depend on how many strands there are
    line = hairline_of(style)
    corner = line[a.faces]
    allowed = np.flatnonzero(corner.max(1) > 0)
    p = rest[a.faces[allowed]]
    area = np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1)
    tries = int(count * 1.25)
    pick = allowed[rng.choice(len(allowed), tries, p=area / area.sum())]
    uv = rng.random((tries, 2))
    flip = uv.sum(1) > 1
    uv[flip] = 1 - uv[flip]
    bary = np.stack([1 - uv.sum(1), uv[:, 0], uv[:, 1]], 1).astype(np.float32)
    height = (line[a.faces[pick]] * bary).sum(1)
    keep = height > rng.exponential(0.0035, tries)  # sparser at the edge
    pick, bary = pick[keep][:count], bary[keep][:count]
    roots = np.einsum("nkc,nk->nc", rest[a.faces[pick]], bary).astype(np.float32)
    template_roots = np.einsum("nkc,nk->nc", a.template[a.faces[pick]], bary).astype(np.float32)
    shell = head_shell(rest, style.kind in ("long", "bob", "curly", "afro") and bool(traits.random() < 0.7))
    n = len(roots)
    layer = rng.random(n).astype(np.float32) ** 0.7
    points_each = {"buzz": 3, "short": 7, "afro": 10}.get(style.kind, 13 if style.length < 0.12 else 20)
    length = (style.length * rng.uniform(0.75, 1.0, n)).astype(np.float32)
    if style.kind in ("short", "side", "back", "fringe"):  # sides and back are cut shorter
        side = np.clip((0.075 - template_roots[:, 1]) / 0.06, 0, 1)
        length *= 1 - side * float(traits.uniform(0.3, 0.9)) * (style.kind != "fringe") - 0.4 * side * (style.kind == "fringe")
    codes = {"buzz": 0, "short": 1, "side": 2, "back": 3, "fringe": 4, "bob": 5, "long": 5, "tied": 6, "curly": 7, "afro": 8}
    code = codes[style.kind]
    part = style.part if abs(style.part) < 0.1 else 9.0
    points = _grow(
        roots,
        layer,
        length,
        points_each,
        code,
        np.float32(part),
        np.float32(style.volume),
        shell,
        noise_tile(),
        traits.uniform(0, 30, 3).astype(np.float32),
        np.float32(traits.uniform(0.3, 1.0)),
        int(rng.integers(1, 2**31)),
    )
    if style.kind in ("long", "bob", "curly"):  # few stray hairs across the face
        strays = ((np.abs(points[..., 0]) < 0.048) & (points[..., 2] > -0.03) & (points[..., 1] < 0.055)).any(1)
        stays = ~strays | (rng.random(n) < 0.015)
        points, layer, pick, bary = (np.ascontiguousarray(part[stays]) for part in (points, layer, pick, bary))
        n = len(points)
    shade = _gather_and_curl(style, points, layer, rng)
    base = style.colour**2.2
    vary = np.exp(rng.normal(0, 0.16, (n, 1)) + 0.12 * np.repeat(rng.normal(0, 1, (n + 15) // 16), 16)[:n, None])
    streaks = float(traits.uniform(0, 0.35)) * (style.colour.mean() > 0.15)
    colour = base * vary * (1 + streaks * rng.random((n, 1)))
    if 0.06 < style.colour.mean() < 0.5 and traits.random() < 0.12:  # greying
        grey = rng.random(n) < traits.uniform(0.1, 0.5)
        colour[grey] = 0.5 * colour[grey] + 0.16
    width = (rng.uniform(0.0006, 0.0014, n) * np.sqrt(12000 / count)).astype(np.float32)
    return Strands(points, colour.astype(np.float32), width, shade, pick.astype(np.int64), bary)


def head_shell(rest: Array, with_ears: bool) -> Array:
    """(ELEVATIONS, AZIMUTHS) distance of the skin from CENTRE by direction, drawn as a map; rows from the top down, azimuth 0 in the middle."""
    a = anatomy()
    p = rest - CENTRE
    r = np.linalg.norm(p, axis=1)
    chart = np.stack([np.arctan2(p[:, 0], p[:, 2]) / np.pi, np.arcsin(p[:, 1] / r) / (np.pi / 2), r], 1)
    use = a.head.region_mask("skin", "scalp", "neck", "brows", "eyelids", "lips", *(["ears"] if with_ears else []))[a.faces].all(1)
    use &= a.template[a.faces, 1].min(1) > -0.11  # hair hangs past the shoulders, not over a tent between them and the jaw
    faces = a.faces[use]
    wraps = np.ptp(chart[faces][..., 0], axis=1) > 1
    raster = rasterize(chart, faces[~wraps], ELEVATIONS, AZIMUTHS, cull=False)
    depth = raster.depth
    known = np.isfinite(depth)
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled = depth[tuple(nearest)]
    return np.ascontiguousarray(gaussian_filter(filled, 1.0, mode=("nearest", "wrap")), np.float32)


@compiled
def _shell_at(shell, x, y, z):  # type: ignore[no-untyped-def]
    r = np.sqrt(x * x + y * y + z * z) + 1e-9
    u = (np.arctan2(x, z) / np.pi + 1) * 0.5 * shell.shape[1] - 0.5
    v = (1 - np.arcsin(min(1.0, max(-1.0, y / r))) / (np.pi / 2)) * 0.5 * shell.shape[0] - 0.5
    v = min(max(v, 0.0), shell.shape[0] - 1.001)
    i, j = int(np.floor(v)), int(np.floor(u))
    fv, fu = v - i, u - np.floor(u)
    j0, j1 = j % shell.shape[1], (j + 1) % shell.shape[1]
    return (shell[i, j0] * (1 - fu) + shell[i, j1] * fu) * (1 - fv) + (shell[i + 1, j0] * (1 - fu) + shell[i + 1, j1] * fu) * fv


@compiled
def _grow(roots, layer, length, count, code, part, volume, shell, tile, shift, wild, seed):  # type: ignore[no-untyped-def]
    np.random.seed(seed)
    n = len(roots)
    points = np.empty((n, count, 3), np.float32)
    noise = np.empty(4, np.float32)
    cx, cy, cz = CENTRE[0], CENTRE[1], CENTRE[2]
    for i in range(n):
        x, y, z = roots[i, 0], roots[i, 1], roots[i, 2]
        step = length[i] / (count - 1)
        ox, oy, oz = x - cx, y - cy, z - cz
        r = np.sqrt(ox * ox + oy * oy + oz * oz)
        dx, dy, dz = ox / r, oy / r, oz / r
        u = layer[i]
        low = r
        sx, sy, sz = 0.08 * np.random.randn(), 0.04 * np.random.randn(), 0.08 * np.random.randn()
        side = 1.0 if x + 0.002 * np.random.randn() > part else -1.0
        if part > 1:
            side = 1.0 if x > 0 else -1.0
        for k in range(count):
            points[i, k, 0], points[i, k, 1], points[i, k, 2] = x, y, z
            t = k / (count - 1.0)
            ox, oy, oz = x - cx, y - cy, z - cz
            r = np.sqrt(ox * ox + oy * oy + oz * oz) + 1e-9
            nx, ny, nz = ox / r, oy / r, oz / r
            on_top = max(0.0, ny)
            front = max(0.0, nz)
            fx, fy, fz = 0.0, -1.0, 0.0  # the way this style lies here
            lift = 0.0
            if code == 0:
                fx, fy, fz = nx * 0.5, -0.4, 0.3
                lift = 1.6
            elif code == 1:  # short: away from the whorl at the back of the crown
                fx, fy, fz = nx * 0.5, -0.6 * (1 - on_top), (nz + 0.45) * 0.9
                lift = (0.15 + 0.5 * u) * (1 - 0.6 * t)
            elif code == 2:  # from the parting to the side
                fx, fy, fz = side * (0.4 + 1.0 * on_top), -0.25 - 0.7 * (1 - on_top), -0.35 + 0.3 * (1 - on_top) * -1
                lift = 0.5 * (1 - t) * on_top
            elif code == 3:  # combed back
                fx, fy, fz = nx * 0.15, -0.15 - 0.3 * (1 - on_top), -1.2
                lift = 0.9 * (1 - t) * (front + 0.3 * on_top)
            elif code == 4:  # fringe: from the crown forwards and down
                fx, fy, fz = nx * 0.7, -0.9 + 0.6 * on_top, 1.1 * on_top + 0.15
                if z < -0.11:
                    fz = -0.3
                lift = 0.25 * (1 - t)
            elif code == 5:  # long: sideways from the parting, then down
                fx, fy, fz = side * 1.1 * on_top, -1.0 + 0.6 * on_top, -0.35 * front - 0.1
                lift = 0.2 * (1 - t) * (1 - t) * on_top
            elif code == 6:  # tied at the back of the head
                fx, fy, fz = -x * 9, (0.03 - y) * 9, -1.0
                if z < -0.165:
                    fx, fy, fz = -x * 10, -1.0, -0.4
            elif code == 7:
                fx, fy, fz = side * 0.9 * on_top, -1.0 + 0.7 * on_top, -0.35 * front
                lift = 0.6 * (1 - t)
            else:
                fx, fy, fz = 0.0, -0.3, -0.1
                lift = 1.3
            over = r - low - 0.002 - volume * u
            if code != 8 and code != 1 and over > 0 and y > -0.09:  # hair settles onto the layer below it
                lift -= min(1.6, over / 0.012)
            sample_noise(tile, x * 28 + shift[0], y * 28 + shift[1], z * 28 + shift[2], noise)
            w = (0.55 if code < 7 else 1.3) * wild
            fx, fy, fz = (
                fx + w * noise[0] + sx,
                fy + w * noise[1] + sy,
                fz + w * noise[2] + sz,
            )
            keep = 0.55 if k > 0 else 0.25
            dx, dy, dz = (
                keep * dx + (1 - keep) * (fx + lift * nx),
                keep * dy + (1 - keep) * (fy + lift * ny),
                keep * dz + (1 - keep) * (fz + lift * nz),
            )
            length_d = np.sqrt(dx * dx + dy * dy + dz * dz) + 1e-9
            x, y, z = x + step * dx / length_d, y + step * dy / length_d, z + step * dz / length_d
            ox, oy, oz = x - cx, y - cy, z - cz
            r = np.sqrt(ox * ox + oy * oy + oz * oz) + 1e-9
            low = _shell_at(shell, ox, oy, oz)
            grown = min(1.0, (k + 1) * step / 0.03)
            want = low + 0.0015 + volume * u * grown * (1.0 if code != 0 else 0.1)
            if y < -0.09:  # below the jaw the map of directions is no guide: fall straight
                want = min(want, r)
            if r < want:
                f = want / r
                x, y, z = cx + ox * f, cy + oy * f, cz + oz * f
    return points


def _gather_and_curl(style: HairStyle, points: Array, layer: Array, rng: np.random.Generator) -> Array:
    """Pull strands to their lock's middle towards the tips, add curls and frizz (in place); the shade (N, P) of each point."""
    from scipy.spatial import cKDTree

    n, count = points.shape[:2]
    guides = rng.choice(n, max(1, min(n, int(n / rng.uniform(20, 60)))), replace=False)
    middle = count // 3
    _, near = cKDTree(points[guides, middle]).query(points[:, middle])
    buzz = style.kind == "buzz"
    locks = len(guides)
    lock_values = np.stack(
        [rng.uniform(0, 6.28, locks), style.curl_pitch * rng.uniform(0.8, 1.25, locks), np.exp(rng.normal(0, 0.14, locks))], 1
    )
    shade = np.empty((n, count), np.float32)
    _curl(
        points,
        points[guides],
        near,
        lock_values.astype(np.float32),
        layer,
        0.0 if buzz else style.lock,
        0.0 if buzz else style.curl,
        style.frizz,
        style.length / (count - 1),
        shade,
        int(rng.integers(1, 2**31)),
    )
    return shade


@compiled
def _curl(points, guides, near, lock, layer, pull, radius, frizz, step, shade, seed):  # type: ignore[no-untyped-def]
    np.random.seed(seed)
    n, count = points.shape[0], points.shape[1]
    for i in range(n):
        g = near[i]
        share = pull * np.random.uniform(0.5, 1.0)
        phase = lock[g, 0] + 0.35 * np.random.randn()
        wx, wy, wz = 0.0, 0.0, 0.0
        vx, vy, vz = np.random.randn(), np.random.randn(), np.random.randn()
        px, py, pz = points[i, 0, 0], points[i, 0, 1], points[i, 0, 2]
        base = (0.42 + 0.58 * layer[i]) * lock[g, 2]
        for k in range(count):
            t = k / (count - 1.0)
            x, y, z = points[i, k, 0], points[i, k, 1], points[i, k, 2]
            dx, dy, dz = guides[g, k, 0] - x, guides[g, k, 1] - y, guides[g, k, 2] - z
            apart = np.sqrt(dx * dx + dy * dy + dz * dz)
            value = base
            f = share * (0.05 + 0.8 * t) if apart < 0.03 else 0.0
            value *= 1.06 - 0.25 * min(1.0, apart * (1 - f) / 0.006)
            qx, qy, qz = x + f * dx, y + f * dy, z + f * dz
            ax, ay, az = x - px, y - py, z - pz
            px, py, pz = x, y, z
            if radius > 0 and k > 0:
                ox, oy, oz = x - CENTRE[0], y - CENTRE[1], z - CENTRE[2]
                r = np.sqrt(ox * ox + oy * oy + oz * oz) + 1e-9
                ox, oy, oz = ox / r, oy / r, oz / r
                cx, cy, cz = oy * az - oz * ay, oz * ax - ox * az, ox * ay - oy * ax
                r = np.sqrt(cx * cx + cy * cy + cz * cz) + 1e-9
                turn = 6.283 * k * step / lock[g, 1] + phase
                size = radius * min(1.0, k * step / 0.025)
                c, s = size * np.cos(turn) / r, size * 0.6 * (0.7 + np.sin(turn))
                qx, qy, qz = qx + c * cx + s * ox, qy + c * cy + s * oy, qz + c * cz + s * oz
                value *= 0.78 + 0.22 * np.sin(turn + 0.8)
            if k % 4 == 3:
                vx, vy, vz = np.random.randn(), np.random.randn(), np.random.randn()
            wx, wy, wz = wx + vx, wy + vy, wz + vz
            f = frizz * 0.5 / np.sqrt(count)
            points[i, k, 0], points[i, k, 1], points[i, k, 2] = qx + f * wx, qy + f * wy, qz + f * wz
            shade[i, k] = min(1.25, max(0.12, value))
