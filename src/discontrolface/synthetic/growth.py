"""Strands of hair, grown from the scalp along a style's flow, kept outside the head, gathered into locks and curled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discontrolface.render.compiled import compiled, inlined
from discontrolface.render.raster import rasterize
from discontrolface.synthetic.anatomy import Array, anatomy
from discontrolface.synthetic.hair import HairStyle, hairline_of
from discontrolface.synthetic.noise import noise_tile, sample_noise
from discontrolface.synthetic.strands import Strands

CENTRE = np.array([0.0, 0.015, -0.075], np.float32)  # of the skull
AZIMUTHS, ELEVATIONS = 96, 64

BUZZ, SHORT, SIDE, BACK, FRINGE, LONG, TIED, CURLY, AFRO = range(9)  # ways that hair flows
_FLOWS = {
    "buzz": BUZZ,
    "short": SHORT,
    "side": SIDE,
    "back": BACK,
    "fringe": FRINGE,
    "bob": LONG,
    "long": LONG,
    "tied": TIED,
    "curly": CURLY,
    "afro": AFRO,
}


class _Roots(NamedTuple):
    """position: (N, 3) metres. layer: (N,) 0 deep in the hair, 1 on it. length: (N,) of the strand, metres."""

    position: Array
    layer: Array
    length: Array


class _Flow(NamedTuple):
    """code: BUZZ to AFRO. part: x of the parting, above 1 for none. volume: thickness of the layer over the scalp, metres. shift: (3,) of the noise,
    cells. wild: strength of the noise."""

    code: int
    part: np.float32
    volume: np.float32
    shift: Array
    wild: np.float32


class _Spot(NamedTuple):
    """A point of a strand. x, y, z: metres. nx, ny, nz: outwards from the skull's centre, unit. side: -1 or 1 of the parting. layer: as in _Roots."""

    x: float
    y: float
    z: float
    nx: float
    ny: float
    nz: float
    side: float
    layer: float


class _Locks(NamedTuple):
    """guides: (G, P, 3) the locks' middles. nearest: (N,) each strand's lock. traits: (G, 3) phase of curls, their pitch in metres, brightness."""

    guides: Array
    nearest: NDArray[np.int64]
    traits: Array


class _Wave(NamedTuple):
    """pull: 0..1 to the lock's middle. radius: of curls, frizz: of stray turns, step: between a strand's points; metres."""

    pull: float
    radius: float
    frizz: float
    step: float


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
    flow = _Flow(
        code=_FLOWS[style.kind],
        part=np.float32(style.part if abs(style.part) < 0.1 else 9.0),
        volume=np.float32(style.volume),
        shift=traits.uniform(0, 30, 3).astype(np.float32),
        wild=np.float32(traits.uniform(0.3, 1.0)),
    )
    seed = int(rng.integers(1, 2**31))
    points = _grow(_Roots(position=roots, layer=layer, length=length), flow, shell, noise_tile(), points_each, seed)
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
def _grow(roots, flow, shell, tile, count, seed):  # type: ignore[no-untyped-def]
    """Strands (N, count, 3). roots: _Roots. flow: _Flow. shell: `head_shell`. tile: of the noise."""
    np.random.seed(seed)
    n = len(roots.position)
    part, volume, shift = flow.part, flow.volume, flow.shift
    points = np.empty((n, count, 3), np.float32)
    noise = np.empty(4, np.float32)
    cx, cy, cz = CENTRE[0], CENTRE[1], CENTRE[2]
    for i in range(n):
        x, y, z = roots.position[i, 0], roots.position[i, 1], roots.position[i, 2]
        step = roots.length[i] / (count - 1)
        ox, oy, oz = x - cx, y - cy, z - cz
        r = np.sqrt(ox * ox + oy * oy + oz * oz)
        dx, dy, dz = ox / r, oy / r, oz / r
        u = roots.layer[i]
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
            spot = _Spot(x=np.float64(x), y=np.float64(y), z=np.float64(z), nx=nx, ny=ny, nz=nz, side=side, layer=u)
            fx, fy, fz, lift = _style_flow(flow.code, spot, t)
            over = r - low - 0.002 - volume * u
            if flow.code != AFRO and flow.code != SHORT and over > 0 and y > -0.09:  # hair settles onto the layer below it
                lift -= min(1.6, over / 0.012)
            sample_noise(tile, x * 28 + shift[0], y * 28 + shift[1], z * 28 + shift[2], noise)
            w = (0.55 if flow.code < CURLY else 1.3) * flow.wild
            fx, fy, fz = fx + w * noise[0] + sx, fy + w * noise[1] + sy, fz + w * noise[2] + sz
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
            least = low + 0.0015 + volume * u * grown * (1.0 if flow.code != BUZZ else 0.1)
            if y < -0.09:  # below the jaw the map of directions is no guide: fall straight
                least = min(least, r)
            if r < least:
                f = least / r
                x, y, z = cx + ox * f, cy + oy * f, cz + oz * f
    return points


@inlined
def _style_flow(code, spot, t):  # type: ignore[no-untyped-def]
    """The way a style's hair lies at a _Spot, at t in 0..1 of the strand: a direction (x, y, z), and how much it stands off the head."""
    x, y, z, nx, nz, side = spot.x, spot.y, spot.z, spot.nx, spot.nz, spot.side
    on_top, front = max(0.0, spot.ny), max(0.0, nz)
    fx, fy, fz, lift = 0.0, -0.3, -0.1, 1.3  # afro
    if code == BUZZ:
        fx, fy, fz = nx * 0.5, -0.4, 0.3
        lift = 1.6
    elif code == SHORT:  # away from the whorl at the back of the crown
        fx, fy, fz = nx * 0.5, -0.6 * (1 - on_top), (nz + 0.45) * 0.9
        lift = (0.15 + 0.5 * spot.layer) * (1 - 0.6 * t)
    elif code == SIDE:  # from the parting to the side
        fx, fy, fz = side * (0.4 + 1.0 * on_top), -0.25 - 0.7 * (1 - on_top), -0.35 + 0.3 * (1 - on_top) * -1
        lift = 0.5 * (1 - t) * on_top
    elif code == BACK:  # combed back
        fx, fy, fz = nx * 0.15, -0.15 - 0.3 * (1 - on_top), -1.2
        lift = 0.9 * (1 - t) * (front + 0.3 * on_top)
    elif code == FRINGE:  # from the crown forwards and down
        fx, fy, fz = nx * 0.7, -0.9 + 0.6 * on_top, 1.1 * on_top + 0.15
        if z < -0.11:
            fz = -0.3
        lift = 0.25 * (1 - t)
    elif code == LONG:  # sideways from the parting, then down
        fx, fy, fz = side * 1.1 * on_top, -1.0 + 0.6 * on_top, -0.35 * front - 0.1
        lift = 0.2 * (1 - t) * (1 - t) * on_top
    elif code == TIED:  # at the back of the head
        fx, fy, fz = -x * 9, (0.03 - y) * 9, -1.0
        if z < -0.165:
            fx, fy, fz = -x * 10, -1.0, -0.4
        lift = 0.0
    elif code == CURLY:
        fx, fy, fz = side * 0.9 * on_top, -1.0 + 0.7 * on_top, -0.35 * front
        lift = 0.6 * (1 - t)
    return fx, fy, fz, lift


def _gather_and_curl(style: HairStyle, points: Array, layer: Array, rng: np.random.Generator) -> Array:
    """Pull strands to their lock's middle towards the tips, add curls and frizz (in place); the shade (N, P) of each point."""
    from scipy.spatial import cKDTree

    n, count = points.shape[:2]
    guides = rng.choice(n, max(1, min(n, int(n / rng.uniform(20, 60)))), replace=False)
    middle = count // 3
    _, near = cKDTree(points[guides, middle]).query(points[:, middle])
    buzz = style.kind == "buzz"
    lock_count = len(guides)
    phase = rng.uniform(0, 6.28, lock_count)
    pitch = style.curl_pitch * rng.uniform(0.8, 1.25, lock_count)
    lock_traits = np.stack([phase, pitch, np.exp(rng.normal(0, 0.14, lock_count))], 1)
    shade = np.empty((n, count), np.float32)
    locks = _Locks(guides=points[guides], nearest=near, traits=lock_traits.astype(np.float32))
    wave = _Wave(
        pull=0.0 if buzz else style.lock,
        radius=0.0 if buzz else style.curl,
        frizz=style.frizz,
        step=style.length / (count - 1),
    )
    _curl(points, locks, wave, layer, shade, int(rng.integers(1, 2**31)))
    return shade


@compiled
def _curl(points, locks, wave, layer, shade, seed):  # type: ignore[no-untyped-def]
    """Move `points` (N, P, 3) and fill `shade` (N, P). locks: _Locks. wave: _Wave. layer: (N,) 0 deep in the hair, 1 on it."""
    np.random.seed(seed)
    guides, lock, radius, step = locks.guides, locks.traits, wave.radius, wave.step
    n, count = points.shape[0], points.shape[1]
    for i in range(n):
        g = locks.nearest[i]
        share = wave.pull * np.random.uniform(0.5, 1.0)
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
            f = wave.frizz * 0.5 / np.sqrt(count)
            points[i, k, 0], points[i, k, 1], points[i, k, 2] = qx + f * wx, qy + f * wy, qz + f * wz
            shade[i, k] = min(1.25, max(0.12, value))
