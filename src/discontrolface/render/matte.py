"""How likely the surroundings of the head are hair rather than background: light must change on hair, but not on the wall behind."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt, label, maximum_filter, minimum_filter, uniform_filter

from discontrolface.render.compiled import compiled
from discontrolface.render.raster import FloatArray
from discontrolface.render.smoothstep import rising, smoothstep

SPREAD = 7  # cells: the side of the square, taken twice, in which the foreground of a pixel is looked for
SAMPLES = 16  # colours that stand for the head, and as many for the background
DEEP = 0.35  # radii of the head: so far inside the mesh's outline the photo may still show the background
SHINE = 0.12  # the same on the scalp, which may shine as bright as a white wall
THROUGH = 0.2  # so far inside it may be seen through hair
PLAIN = 2.5 / 255  # colours this close are one
NEARLY_PLAIN = 6.0 / 255  # what differs by less from a plain wall is nothing on it
WALL = 0.2  # a share of colours that is the background's beyond doubt
STEP = 0.03  # change of colour from one cell to the next that a smooth wall may have,
UNLIKE = 0.95  # as long as it is not as good as the head's own;
UNLIKE_ON_MESH = 0.75  # the same on the mesh's head
GAP = 0.002  # half of the gap that a strand of hair may have, of the picture's height
INNER = 0.04  # so far inside the mesh's outline, of the picture's height, is the head for certain
CERTAIN = 0.05  # a coarse matte this close to 0 or 1 is not in doubt


def head_matte(
    small: FloatArray, head: np.ndarray, scalp: np.ndarray, distance: FloatArray, depth: FloatArray, radius: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(G, G) 0..1 for cells of the photo: 1 well within the head, elsewhere as far as the colour is nearer to the head's than to the
    background's.

    small: (G, G, 3) the photo, averaged over cells. head, scalp: (G, G) bool, the mesh's head, its scalp. distance: (G, G) cells to the head; depth:
    cells to the nearest cell off it.
    radius: of the head in cells. The mesh's outline is a few cells off the real one, so cells close to it are judged by colour, too, and deeper ones
    that hang together with the background in its colours.
    The background's colours are read far from the head, above its lowest point. Where there are none: 0.5.
    Also the colours (N, 3) of the head and of the background, empty where there are none: for `sharper`.
    """
    none = (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))
    rows = np.flatnonzero(head.any(1))
    fade = smoothstep(1.6 - distance / max(0.8 * radius, 1.0))
    if not len(rows):
        return np.zeros(head.shape, np.float32), *none
    above = np.arange(len(head))[:, None] < rows[-1] - 0.2 * radius
    away = (distance > 0.75 * radius) & above
    if away.sum() < 30:
        away = (distance > 0.5 * radius) & above
    inner = depth > 0.09 * radius
    if away.sum() < 10 or inner.sum() < 10:
        return np.where(head, 1.0, 0.5 * fade).astype(np.float32), *none
    own, other = _spread(small[inner]), _spread(small[away])
    band = (depth < np.where(scalp, SHINE, DEEP) * radius) & (fade > 0)
    share = np.ones(head.shape, np.float32)
    share[band] = _nearer(np.ascontiguousarray(small[band]), own, other)
    wall = _wall(np.ascontiguousarray(small), share, away, band, head)  # an ear or a hair line of the mesh may well lie on the wall
    wall |= band & ~scalp & (depth < THROUGH * radius) & (share < 0.5 * WALL)  # seen between a lock and the cheek
    share[wall] = 0.0
    inner &= ~binary_dilation(wall)
    matte = np.where(inner, 1.0, smoothstep((share - 0.25) / 0.5) * fade)
    padded = np.pad(matte, 1, mode="edge")
    soft = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] + 2.0 * matte) / 6.0
    return np.where(inner, 1.0, soft).astype(np.float32), own, other


def _spread(colours: FloatArray) -> FloatArray:
    """At most SAMPLES colours, evenly taken from the list sorted by brightness."""
    order = np.argsort(colours.sum(1), kind="stable")
    return np.ascontiguousarray(colours[order[np.linspace(0, len(order) - 1, min(SAMPLES, len(order))).astype(int)]])


def foreground(small: FloatArray, matte: FloatArray) -> FloatArray:
    """(G, G, 3) the colour that the head has nearby: of a pixel that it shares with the wall, only this part is in the head's light."""
    sure = np.where(matte > 0.97, np.float32(1.0), np.float32(1e-4) * matte + np.float32(1e-7))[..., None]
    total = np.concatenate([small * sure, sure], 2)
    for _ in range(2):
        total = uniform_filter(total, (SPREAD, SPREAD, 0))
    return np.ascontiguousarray(total[..., :3] / total[..., 3:], np.float32)


class PlainWall(NamedTuple):
    """A background of one colour, which stays where it is. All are empty but `fetched` where the background is not of one colour.

    distance: pixels (at least) from a pixel to the nearest that is not background, for blocks of 4 x 4: (H / 4, W / 4), rounded up. A motion that
    fetches such a pixel from nearer by than this changes nothing: there the wall stays the photo's, to the bit. fetched: (H, W, 3), what motions
    fetch: the photo, with the wall's colour in place of what is loose; the photo itself where nothing is. bare: (H, W) bool, where it is seen,
    a haze of hair on it counting as wall, and what is loose on it. tone: (3,) its colour.
    """

    distance: FloatArray
    fetched: FloatArray
    bare: np.ndarray
    tone: FloatArray


def plain_wall(image: FloatArray, other: FloatArray, mesh: np.ndarray) -> PlainWall:
    """Look for a background of one colour.

    image: (H, W, 3). other: the background's colours, from `head_matte`. mesh: (H, W) bool, where the mesh is. What hangs together with it is the
    head; what the wall goes round on all sides (a speck, a strand on its own, a thing on the wall) is background, and does not move with the head.
    """
    none = PlainWall(np.zeros((0, 0), np.float32), image, np.zeros((0, 0), bool), np.zeros(0, np.float32))
    if not len(other):
        return none
    tone = np.median(other, axis=0)
    if (np.abs(other - tone).max(1) > PLAIN).mean() > 0.5:
        return none
    height, width = image.shape[:2]
    apart = np.abs(image - tone).max(2)
    flat = apart <= PLAIN
    pieces, count = label(binary_dilation(~flat, iterations=max(1, round(GAP * height))), np.ones((3, 3), bool))
    attached = np.zeros(count + 1, bool)
    attached[pieces[minimum_filter(mesh, 2 * max(1, round(INNER * height)) + 1)]] = True  # the mesh's outline may well lie on the wall
    loose = ~flat & ~attached[pieces]
    flat |= loose
    padded = np.pad(flat, ((0, -height % 4), (0, -width % 4)), constant_values=True)
    blocks = padded.reshape(padded.shape[0] // 4, 4, -1, 4).all((1, 3))
    distance = np.asarray(np.maximum(4.0 * (distance_transform_edt(blocks) - 1.5), 0.0), np.float32)
    fetched = np.where(loose[..., None], tone, image).astype(np.float32) if loose.any() else image
    return PlainWall(distance, fetched, loose | (apart <= NEARLY_PLAIN), np.asarray(tone, np.float32))


@compiled
def _wall(small, share, away, band, on_mesh):  # type: ignore[no-untyped-def]
    """(G, G) bool: what hangs together with the background (`away`) within `band`, in its colours or in steps too small for an outline: a wall in
    uneven light has other colours close to the head than far from it."""
    grid = len(share)
    wall = away.copy()
    order = np.empty((grid * grid, 2), np.int32)
    tail = 0
    for i in range(grid):
        for j in range(grid):
            if wall[i, j]:
                order[tail, 0], order[tail, 1] = i, j
                tail += 1
    head = 0
    while head < tail:
        i, j = order[head, 0], order[head, 1]
        head += 1
        for k in range(4):
            a, b = i + (k == 0) - (k == 1), j + (k == 2) - (k == 3)
            if a < 0 or b < 0 or a >= grid or b >= grid or wall[a, b] or not band[a, b]:
                continue
            step = max(
                max(abs(small[a, b, 0] - small[i, j, 0]), abs(small[a, b, 1] - small[i, j, 1])), abs(small[a, b, 2] - small[i, j, 2])
            )
            if share[a, b] < WALL or (step < STEP and share[a, b] < (UNLIKE_ON_MESH if on_mesh[a, b] else UNLIKE)):
                wall[a, b] = True
                order[tail, 0], order[tail, 1] = a, b
                tail += 1
    return wall


@compiled
def _nearer(colours, own, other):  # type: ignore[no-untyped-def]
    """`share_of` for colours (N, 3): (N,)."""
    out = np.empty(len(colours), np.float32)
    for n in range(len(colours)):
        out[n] = share_of(colours[n, 0], colours[n, 1], colours[n, 2], own, other)
    return out


@compiled
def share_of(red, green, blue, own, other):  # type: ignore[no-untyped-def]
    """Squared distance of a colour to the nearest of `other`, as a share of that and the one to the nearest of `own`."""
    far, near = np.float32(1e9), np.float32(1e9)
    for m in range(len(own)):
        a, b, c = red - own[m, 0], green - own[m, 1], blue - own[m, 2]
        near = min(near, a * a + b * b + c * c)
    for m in range(len(other)):
        a, b, c = red - other[m, 0], green - other[m, 1], blue - other[m, 2]
        far = min(far, a * a + b * b + c * c)
    far, near = far + np.float32(1e-4), near + np.float32(1e-4)
    return far / (far + near)


def decide(image: FloatArray, matte: FloatArray, own: FloatArray, other: FloatArray) -> FloatArray:
    """(H, W) 0..1: what a pixel's own colour says, 1 the head and 0 the background, where the coarse matte (G, G) may be in doubt (`sharper`);
    elsewhere 0. (0, 0) without colours. image: (H, W, 3) the photo; own, other: from `head_matte`."""
    if not len(own):
        return np.zeros((0, 0), np.float32)
    # The cells that `join_motion` may mix at a pixel.
    reach = [3 + 2 * max(0, int(np.ceil(len(matte) / side - 0.5))) for side in image.shape[:2]]
    doubtful = (maximum_filter(matte, reach) > CERTAIN) & (minimum_filter(matte, reach) < 1.0 - CERTAIN)
    return _decide(image, doubtful, np.ascontiguousarray(own), np.ascontiguousarray(other))


@compiled
def _decide(image, doubtful, own, other):  # type: ignore[no-untyped-def]
    height, width, _ = image.shape
    rows, columns = doubtful.shape
    out = np.zeros((height, width), np.float32)
    for i in range(height):
        for j in range(width):
            if doubtful[i * rows // height, j * columns // width]:
                t = (share_of(image[i, j, 0], image[i, j, 1], image[i, j, 2], own, other) - np.float32(0.45)) * np.float32(3.0)
                out[i, j] = rising(t)
    return out


@compiled
def sharper(share, decided):  # type: ignore[no-untyped-def]
    """A value of the coarse matte, decided by the pixel's own colour where it is in between."""
    doubt = np.float32(4.0) * share * (np.float32(1.0) - share)
    if doubt < 0.2:
        return share
    return share + min(np.float32(2.0) * doubt, np.float32(1.0)) * (decided - share)
