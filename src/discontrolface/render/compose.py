"""Fetch the colours: from the photo where it shows a place well, from its mirrored twin or from paint where it does not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.render.compiled import compiled, inlined
from discontrolface.render.motion import OFF
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import SKIN
from discontrolface.render.sampling import brightest, relit, sample
from discontrolface.render.surface import channel, on_vertices, point_at

STRETCHED = 0.6  # of the photo over the picture, in the worst direction: what is stretched more begins to count as not seen
WALL_NOISE = 3.0 / 255  # a wall fetched from elsewhere on the wall differs by less
LID_STRETCH = 0.85  # of a row of the photo over a row of the picture: a closing lid that is stretched more begins to be painted


class Photo(NamedTuple):
    """The photo as `compose` reads it. image: (H, W, 3). fetched: (H, W, 3), and plain: fetched and distance of `matte.PlainWall`. eyes: (H, W) 0..1
    where it shows eyes or lashes. not_lips: (H, W), see `mouth.teeth_shown`."""

    image: FloatArray
    fetched: FloatArray
    eyes: FloatArray
    not_lips: FloatArray
    plain: FloatArray


class Paint(NamedTuple):
    """Colours for what the photo does not show, and where they are used; all on the vertices.

    colours: (V, 3). unpainted, lids, lips: (V,) 0..1 never painted, closing lids, moving lips. twin_pixels: (V, 2) where the photo shows the mirrored
    point, twin_gain: (V, 3) how many times brighter that has to be, twin_shown: (V,) 0..1 how well it is shown.
    grain: (H, W) of the photo's skin (`lids.skin_grain`), grain_pixels: (V, 2) where a closing lid takes it from.
    """

    colours: FloatArray
    unpainted: FloatArray
    lids: FloatArray
    lips: FloatArray
    twin_pixels: FloatArray
    twin_gain: FloatArray
    twin_shown: FloatArray
    grain: FloatArray
    grain_pixels: FloatArray


class Colours(NamedTuple):
    """What a preview consists of. picture: (H, W, 3); visibility, change: (H, W) 0..1."""

    picture: FloatArray
    visibility: FloatArray
    change: FloatArray

    @classmethod
    def empty(cls, height: int, width: int) -> Colours:
        """Not filled yet."""
        picture = np.empty((height, width, 3), np.float32)
        return cls(picture=picture, visibility=np.empty((height, width), np.float32), change=np.empty((height, width), np.float32))


@compiled
def compose(first, last, photo, surface, mesh, moved, paint, out):  # type: ignore[no-untyped-def]
    """Fill `out` (Colours) in the rows first..last-1. photo: Photo. mesh: MeshMotion. moved: Moved. paint: Paint.

    Where the map shrinks the photo's detail to less than a third in some direction (it is smeared) on skin, the paint takes over; on lids
    where the photo is not trusted, or stretched by more than a third (a lid that closes is stretched out of a strip of it); on lips in place of the
    photo's teeth; and on lids in place of the photo's eyes and lashes; but background (`moved.belongs`) is not painted.
    What a far turn uncovers (`moved.lost`) is painted, too.
    Where the photo shows the mirrored point of a hidden one, that is taken.
    Where lips have closed, the map skips what lay between them; there is a dark seam.
    """
    image, fetched, eyes, not_lips, plain = photo.image, photo.fetched, photo.eyes, photo.not_lips, photo.plain
    trusted, layer, flow, light = mesh.trusted, mesh.layer, moved.flow, moved.light
    belongs, behind, lost = moved.belongs, moved.behind, moved.lost
    lids, lips, unpainted, paints, grain = paint.lids, paint.lips, paint.unpainted, paint.colours, paint.grain
    grain_pixels, twin_pixels, twin_gain, twin_shown = paint.grain_pixels, paint.twin_pixels, paint.twin_gain, paint.twin_shown
    picture, visibility, change = out.picture, out.visibility, out.change
    width = image.shape[1]
    one, zero, half = np.float32(1.0), np.float32(0.0), np.float32(0.5)
    for i in range(first, last):
        for j in range(width):
            dx, dy, t, kind = flow[i, j, 0], flow[i, j, 1], trusted[i, j], layer[i, j]
            glow = brightest(light, i, j)
            far = np.sqrt(dx * dx + dy * dy)
            changed = max((far - np.float32(0.04)) * np.float32(4.0), (glow - np.float32(0.004)) * np.float32(50.0))
            if kind == OFF and len(plain) and plain[i >> 2, j >> 2] > far + np.float32(2.0):
                changed = zero  # a plain wall fetched from itself
            if changed <= 0 and (kind != SKIN or t == 1):  # nothing to do, and nothing to paint
                visibility[i, j] = one if kind in (SKIN, OFF) else zero
                change[i, j] = zero
                picture[i, j, 0], picture[i, j, 1], picture[i, j, 2] = image[i, j, 0], image[i, j, 1], image[i, j, 2]
                continue
            smallest, down = _stretch(flow, i, j, t == 1 or changed <= 0)
            smear = min(max((np.float32(0.4) - smallest) * np.float32(4.0), zero), one)
            seen = one - (one - t) * min(max((np.float32(STRETCHED) - smallest) * np.float32(2.0), smear), one)
            painted, certain, mirrored, loose, seam, lid = zero, zero, zero, zero, zero, zero
            if kind == SKIN:
                point = point_at(surface, i, j)
                lid = min(on_vertices(lids, point), one)
                if smear > 0 or t < 1 or (lid > 0 and down < LID_STRETCH):
                    never, twin = on_vertices(unpainted, point), on_vertices(twin_shown, point)
                    stretched = lid * min(max((np.float32(LID_STRETCH) - down) * np.float32(3.0), np.float32(2.0) * (one - t), zero), one)
                    painted, certain, mirrored, loose = _hidden(stretched, never, twin, t, smear, belongs[i, j])
                    painted, certain = max(painted, lost[i, j]), max(certain, lost[i, j])
                    seen = min(seen, one - max(painted, mirrored))
                if down > np.float32(2.0):
                    seam = on_vertices(lips, point) * min((down - np.float32(2.0)) * np.float32(0.2), np.float32(0.4))
                if far > half:
                    row, col = np.float32(i) + dy + half, np.float32(j) + dx + half
                    lips_open, eye = _nearest(not_lips, row, col), _nearest(eyes, row, col)
                    if lips_open > 0:
                        certain = max(certain, on_vertices(lips, point) * min(lips_open * np.float32(1.5), one))
                    if eye > 0:
                        certain = max(certain, one if eye >= 1 else eye * min(np.float32(4.0) * lid, one))
                    painted = max(painted, certain)
            visibility[i, j] = seen if kind in (SKIN, OFF) else zero
            changed = max(changed, painted, mirrored)
            if changed <= 0:
                change[i, j] = zero
                picture[i, j, 0], picture[i, j, 1], picture[i, j, 2] = image[i, j, 0], image[i, j, 1], image[i, j, 2]
                continue
            change[i, j] = min(changed, one)
            red, green, blue = image[i, j, 0], image[i, j, 1], image[i, j, 2]
            if far > 0:  # else only relit, or painted
                red, green, blue = sample(fetched, np.float32(j) + dx, np.float32(i) + dy)
            if behind[i, j, 2] > 0:
                wall = sample(fetched, np.float32(j) + behind[i, j, 0], np.float32(i) + behind[i, j, 1])
                red, green, blue = _mixed(red, green, blue, behind[i, j, 2], wall)
            if glow > 0:
                red, green, blue = relit(red, light[i, j, 0]), relit(green, light[i, j, 1]), relit(blue, light[i, j, 2])
            if mirrored > 0:
                point = point_at(surface, i, j)
                red, green, blue = _mixed(red, green, blue, mirrored, _twin(image, twin_pixels, twin_gain, point))
            if painted > 0:
                point = point_at(surface, i, j)
                skin = _painted(paints, grain, grain_pixels, lid, point)
                if loose > certain:  # smeared hair stays hair
                    apart = max(abs(red - skin[0]), abs(green - skin[1]), abs(blue - skin[2]))
                    painted = max(painted * min(max(np.float32(1.6) - np.float32(6.0) * apart, zero), one), certain)
                red, green, blue = _mixed(red, green, blue, painted, skin)
            picture[i, j, 0] = min(max(red * (one - seam), zero), one)
            picture[i, j, 1] = min(max(green * (one - seam), zero), one)
            picture[i, j, 2] = min(max(blue * (one - seam), zero), one)


def keep_loose(photo: Photo, off_mesh: np.ndarray, out: Colours) -> None:
    """What is loose on a plain wall (`matte.plain_wall`) stays where the head does not come over it: where the wall was fetched instead. In place."""
    if photo.fetched is photo.image:
        return
    loose = (photo.fetched != photo.image).any(2) & off_mesh
    free = loose & (np.abs(out.picture - photo.fetched).max(2) <= WALL_NOISE)
    out.picture[free], out.change[free], out.visibility[free] = photo.image[free], 0.0, 1.0


@inlined
def _stretch(flow, i, j, plain):  # type: ignore[no-untyped-def]
    """Of the map p -> p + flow at a pixel: the least factor by which it scales, up to 1 (taken as 1 where `plain`), and that down the column."""
    one, zero, half = np.float32(1.0), np.float32(0.0), np.float32(0.5)
    height, width, _ = flow.shape
    up, down, left, right = max(i - 1, 0), min(i + 1, height - 1), max(j - 1, 0), min(j + 1, width - 1)
    step_x, step_y = half if right - left == 2 else one, half if down - up == 2 else one
    yy = one + (flow[down, j, 1] - flow[up, j, 1]) * step_y
    if plain:
        return one, yy
    smallest = zero
    xx = one + (flow[i, right, 0] - flow[i, left, 0]) * step_x
    yx = (flow[i, right, 1] - flow[i, left, 1]) * step_x
    xy = (flow[down, j, 0] - flow[up, j, 0]) * step_y
    determinant = xx * yy - xy * yx
    total = xx * xx + xy * xy + yx * yx + yy * yy
    square = determinant * determinant
    if determinant > 0 and total > np.float32(0.72) and square - np.float32(0.36) * total + np.float32(0.1296) > 0:
        smallest = one  # more than 0.6 anyway: not stretched
    elif determinant > 0:
        root = np.sqrt(max(total * total - np.float32(4.0) * square, zero))
        smallest = np.sqrt(max(half * (total - root), zero))
    return smallest, yy


@inlined
def _hidden(lid, never, twin, t, smear, belongs):  # type: ignore[no-untyped-def]
    """Of a place on skin that the photo does not show well, 0..1: painted, painted for certain, taken from its twin, painted because it is smeared.

    lid: closing; never: not to be painted; twin: how well the photo shows the mirrored point; t: trust; belongs: to the head.
    """
    one, zero = np.float32(1.0), np.float32(0.0)
    lid = min(lid, one)
    loose = smear * (one - never) * (one - t) * belongs
    painted = max(loose, lid)
    mirrored = min(max(twin * np.float32(3.0) - one, zero), one)
    mirrored *= (one - t) * min(np.float32(2.0) * max(smear, one - belongs), one)
    painted *= one - mirrored
    return painted, lid, mirrored, loose


@inlined
def _twin(image, pixels, gain, point):  # type: ignore[no-untyped-def]
    """The colour of the mirrored point, as bright as it has to be here."""
    height, width, _ = image.shape
    zero, half = np.float32(0.0), np.float32(0.5)
    x, y = channel(pixels, 0, point) - half, channel(pixels, 1, point) - half
    r, g, b = sample(image, min(max(x, zero), np.float32(width - 1)), min(max(y, zero), np.float32(height - 1)))
    return r * channel(gain, 0, point), g * channel(gain, 1, point), b * channel(gain, 2, point)


@inlined
def _painted(paints, grain, grain_pixels, lid, point):  # type: ignore[no-untyped-def]
    """The paint of a place on the mesh, on a closing lid with the skin's grain."""
    skin = channel(paints, 0, point), channel(paints, 1, point), channel(paints, 2, point)
    if lid > 0:
        fine = np.float32(1.0) + lid * _nearest(grain, channel(grain_pixels, 1, point), channel(grain_pixels, 0, point))
        skin = skin[0] * fine, skin[1] * fine, skin[2] * fine
    return skin


@inlined
def _nearest(field, row, column):  # type: ignore[no-untyped-def]
    """A field (H, W) at the pixel next to a place in pixels (centres at halves)."""
    height, width = field.shape
    return field[min(max(int(row), 0), height - 1), min(max(int(column), 0), width - 1)]


@inlined
def _mixed(red, green, blue, share, other):  # type: ignore[no-untyped-def]
    """A colour with a share of another (r, g, b)."""
    return red + share * (other[0] - red), green + share * (other[1] - green), blue + share * (other[2] - blue)


@compiled
def finish(first, last, image, feather, colours, mask):  # type: ignore[no-untyped-def]
    """Mix the new picture into the photo (H, W, 3), rows first..last-1: mask (H, W) = change, falling to 0 over `feather` pixels before the border.
    colours.picture changes in place."""
    picture, change = colours.picture, colours.change
    height, width, _ = image.shape
    for i in range(first, last):
        for j in range(width):
            m = change[i, j]
            if m > 0:
                edge = np.float32(min(i, j, height - 1 - i, width - 1 - j)) / np.float32(feather)
                m *= min(edge, np.float32(1.0))
            mask[i, j] = m
            if m < 1:
                for k in range(3):
                    picture[i, j, k] = image[i, j, k] + m * (picture[i, j, k] - image[i, j, k])
