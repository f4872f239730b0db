"""The inside of the mouth: the photo's own teeth where it shows them, else the head model's, in the photo's light.

Upper teeth move with the skull and lower teeth with the jaw, so lips slide over them. A fitted mesh does not know where in a smile the
photo's teeth end; so what is bright and colourless inside the photo's mouth is taken for upper teeth and moves with the skull as a whole.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from discontrolface.render.compiled import compiled, inlined
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import LOWER_TEETH, MOUTH, TONGUE, UPPER_TEETH
from discontrolface.render.sampling import brightest, relit, sample
from discontrolface.render.smoothstep import rising
from discontrolface.render.surface import channel, on_vertices, point_at

GUM = (0.72, 0.40, 0.40)  # share of the light that gums give back
# Millimetres along an arch from its middle to the gaps between teeth: mean widths of human teeth.
UPPER_GAPS = np.cumsum([0.0, 8.5, 6.6, 7.4, 7.4, 7.4, 10.0, 10.0], dtype=np.float32)
LOWER_GAPS = np.cumsum([0.0, 5.3, 5.9, 6.9, 6.9, 6.9, 11.0, 11.0], dtype=np.float32)


class Teeth(NamedTuple):
    """What `draw_mouth` knows of a mouth.

    place: (V, 2) as `PreviewRig.teeth`. facing: (V,) 0..1 how far a surface faces the light that falls through the lips.
    upper, lower: (H, W) where the photo shows teeth (`teeth_shown`). skull_flow: (2, 3) affine, target pixel to photo pixel, of the upper front
    teeth. front: ndc depth of the lips; width: of the mouth, ndc; wide: the same in pixels; gape: the opening's area in squares of that width.
    tones: (5, 3) lit colours of mouth, upper teeth, lower teeth, tongue, gums. overall: (3,) ratio of shadings of the whole face (the lips' normals
    say little about what lies behind them).
    reach: pixels by which the photo's teeth are continued towards the gums, where a rising lip uncovers more of them; towards the biting edge they
    end where the photo ends them. carried: 0..1 how far the lips carry along what the photo shows between them (1: they have not moved on the
    skull, or have not parted). parted: the photo shows closed lips, or lips far closer: a place that chances to move with the skin shows nothing of
    the photo.
    """

    place: FloatArray
    facing: FloatArray
    upper: FloatArray
    lower: FloatArray
    skull_flow: FloatArray
    front: float
    width: float
    wide: float
    gape: float
    tones: FloatArray
    overall: FloatArray
    reach: int
    carried: float
    parted: bool


@compiled
def draw_mouth(opening, teeth, canvas):  # type: ignore[no-untyped-def]
    """Draw all target pixels behind the lips on the canvas. opening: Opening. teeth: Teeth."""
    image, surface, cover, room, photo_layer = opening.image, opening.surface, opening.cover, opening.room, opening.photo_layer
    layer, light, trust = opening.mesh.layer, opening.moved.light, opening.mesh.sighted
    mesh_flow, skin_flow = opening.mesh.flow, opening.moved.flow
    place, upper, lower, tones, overall, calm = teeth.place, teeth.upper, teeth.lower, teeth.tones, teeth.overall, teeth.carried >= 1.0
    inside, seen, touched, drawn, top, left = canvas.inside, canvas.seen, canvas.touched, canvas.drawn, canvas.top, canvas.left
    depth, skull_flow = surface.depth, teeth.skull_flow
    one, zero = np.float32(1.0), np.float32(0.0)
    model, ratio = np.empty(3, np.float32), np.empty(3, np.float32)
    lip = np.full(drawn.shape[1], np.float32(-1.0))  # the row of the upper lip's edge
    for i in range(top, top + drawn.shape[0]):
        for j in range(left, left + drawn.shape[1]):
            kind = layer[i, j]
            if kind < MOUTH or kind > TONGUE:
                continue
            drawn[i - top, j - left] = True
            if lip[j - left] < 0:
                lip[j - left] = np.float32(i)
            for k in range(3):
                ratio[k] = overall[k] + np.float32(0.25) * (light[i, j, k] - overall[k])
            point = point_at(surface, i, j)
            behind = max(np.float32((teeth.front - depth[i, j]) / teeth.width), zero)
            below = (np.float32(i) - lip[j - left] + np.float32(0.5)) / np.float32(teeth.wide)
            light_in = _light_in(behind, below, np.float32(teeth.gape))
            _model_colour(
                kind, light_in, on_vertices(teeth.facing, point), channel(place, 0, point), channel(place, 1, point), tones, model
            )
            flow_x, flow_y = mesh_flow[i, j, 0], mesh_flow[i, j, 1]
            apart = abs(flow_x - skin_flow[i, j, 0]) + abs(flow_y - skin_flow[i, j, 1])
            still = calm or (trust[i, j] > 0 and apart < np.float32(0.4) and not teeth.parted)
            if calm:  # the lips stay with the teeth (the head turns) or closed: the opening shows what it showed, carried along by the lips
                flow_x, flow_y = skin_flow[i, j, 0], skin_flow[i, j, 1]
                apart = zero
            known = zero
            if teeth.carried > 0 and not calm:
                known = np.float32(teeth.carried)
                _mix_photo(image, np.float32(j) + skin_flow[i, j, 0], np.float32(i) + skin_flow[i, j, 1], known, ratio, model)
            elif not still:
                known = _teeth_on_skull(image, upper, teeth.reach, skull_flow, i, j, kind, tones, ratio, model)
            if known < one and (calm or trust[i, j] > 0):
                x, y = np.float32(j) + flow_x, np.float32(i) + flow_y
                row, col = _nearest(image, x, y)
                share = one
                if not still:
                    share = _same_inside(kind, photo_layer[row, col], cover[row, col], upper[row, col], lower[row, col])
                share *= one - known
                if share > 0:
                    _mix_photo(image, x, y, share, ratio, model)
                    known += share
            if not still:
                shade = min(max((room[i, j] - np.float32(0.3)) * np.float32(1.8), zero), one)
                shade = np.float32(0.35) + np.float32(0.65) * shade
                shade += known * np.float32(0.4) * (one - shade)
                for k in range(3):
                    model[k] *= shade
            glow = brightest(light, i, j)
            moved = max(abs(flow_x), abs(flow_y)) + apart if known > np.float32(0.99) and still else one
            touched[i - top, j - left] = min(
                max(max((moved - np.float32(0.04)) * np.float32(4.0), (glow - np.float32(0.004)) * np.float32(50.0)), zero), one
            )
            seen[i - top, j - left] = known
            for k in range(3):
                inside[i - top, j - left, k] = min(max(model[k], zero), one)


@inlined
def _light_in(behind, below, gape):  # type: ignore[no-untyped-def]
    """0..1: how much of the light before the lips arrives, `behind` them and `below` the upper one's edge, both in widths of the mouth.

    The opening is seen from there under a solid angle that falls with the square of the depth; and the upper lip shadows what hangs close behind it.
    """
    through = gape / (gape + np.float32(1.8) * behind * behind)
    shadow = rising(below / (np.float32(0.03) + np.float32(0.5) * min(behind, np.float32(0.5))))
    return through * (np.float32(0.35) + np.float32(0.65) * shadow)


@inlined
def _model_colour(kind, light_in, facing, along, up, tones, model):  # type: ignore[no-untyped-def]
    """What the head model shows at a pixel of a layer, into model (3,). light_in: as `_light_in`; facing: as in Teeth. along, up: of a
    tooth, as `PreviewRig.teeth` (up above 0: crown, grows towards the biting edge)."""
    one, zero = np.float32(1.0), np.float32(0.0)
    if kind in (UPPER_TEETH, LOWER_TEETH):
        gap = tooth_gap(abs(along), kind == LOWER_TEETH)
        shade = np.sqrt(light_in) * (np.float32(0.7) + np.float32(0.3) * facing)
        crease = one - np.float32(0.45) * np.exp(-(gap * gap) / np.float32(0.12))
        crown = min(max(up * np.float32(1.5) + np.float32(0.3) + np.float32(0.5) * min(gap, one), zero), one)
        row = 1 if kind == UPPER_TEETH else 2
        for k in range(3):
            model[k] = shade * (tones[4, k] * np.float32(0.8) + crown * (tones[row, k] * crease - tones[4, k] * np.float32(0.8)))
    elif kind == TONGUE:
        for k in range(3):
            model[k] = light_in * facing * tones[3, k]
    else:
        for k in range(3):
            model[k] = light_in * tones[0, k]


@inlined
def _teeth_on_skull(image, shown, reach, flow, i, j, kind, tones, ratio, model):  # type: ignore[no-untyped-def]
    """Mix the photo's own teeth, moved with the skull, into model (3,), lit by ratio (3,); how far they are known, 0..1."""
    one, zero = np.float32(1.0), np.float32(0.0)
    height, width, _ = image.shape
    px, py = np.float32(j), np.float32(i)
    x = flow[0, 0] * px + flow[0, 1] * py + flow[0, 2]
    y = flow[1, 0] * px + flow[1, 1] * py + flow[1, 2]
    if not (1 <= x < width - 2 and 1 <= y < height - 2):
        return zero
    row, col = int(y + np.float32(0.5)), int(x + np.float32(0.5))
    part = shown[row, col]
    if kind == UPPER_TEETH and part < 0.85:
        down = 0
        while down < reach and row + down < height - 1 and shown[row + down, col] < 0.85:
            down += 1
        if shown[row + down, col] >= 0.85:
            y = min(y + np.float32(down + 1), np.float32(height - 3))
            part = one - max(np.float32(down) / np.float32(reach) - np.float32(0.5), zero) * np.float32(2.0)
        else:
            above = 0
            while above < 2 * reach and row - above > 0 and shown[row - above, col] < 0.5:
                above += 1
            if shown[row - above, col] >= 0.5:
                for k in range(3):
                    model[k] = np.float32(0.5) * tones[0, k]
    if part <= 0:
        return zero
    _mix_photo(image, x, y, part, ratio, model)
    return part


@inlined
def _nearest(image, x, y):  # type: ignore[no-untyped-def]
    """Row and column of the pixel at column x and row y."""
    height, width, _ = image.shape
    return min(max(int(y + np.float32(0.5)), 0), height - 1), min(max(int(x + np.float32(0.5)), 0), width - 1)


@inlined
def _same_inside(kind, photo_kind, cover, upper, lower):  # type: ignore[no-untyped-def]
    """0..1: how far the photo shows the inside of the mouth at a pixel, the same layer of it (upper teeth come with the skull, or are hidden)."""
    one, zero = np.float32(1.0), np.float32(0.0)
    if kind == UPPER_TEETH or photo_kind != kind:
        return zero
    share = min(max(cover * np.float32(2.5) - np.float32(0.9), zero), one)
    return share * (lower if kind == LOWER_TEETH else one - max(upper, lower))


@inlined
def _mix_photo(image, x, y, share, ratio, model):  # type: ignore[no-untyped-def]
    """Mix a share of the photo at column x and row y, relit by ratio (3,), into model (3,)."""
    for k, value in enumerate(sample(image, x, y)):
        model[k] += share * (relit(value, ratio[k]) - model[k])


@inlined
def tooth_gap(along, lower):  # type: ignore[no-untyped-def]
    """Millimetres from a place on the arch (distance from its middle) to the nearest gap between two teeth."""
    least = along
    for n in range(len(UPPER_GAPS)):
        least = min(least, abs(along - (LOWER_GAPS[n] if lower else UPPER_GAPS[n])))
    return least


@inlined
def tooth_like(colour, skin_light, skin_blue, white):  # type: ignore[no-untyped-def]
    """0..1: bright, less red than the skin, and not far darker than the white of the eyes: lips of dark skin are paler than that skin, too."""
    one, zero = np.float32(1.0), np.float32(0.0)
    light = (colour[0] + colour[1] + colour[2]) / np.float32(3.0)
    blue = colour[2] / max(colour[0], np.float32(0.02))
    bright = min(max((light / max(skin_light, np.float32(0.02)) - np.float32(0.4)) * np.float32(4.0), zero), one)
    pale = min(max((blue / max(skin_blue, np.float32(0.05)) - one) * np.float32(6.0), zero), one)
    ivory = min(max((light / max(white, np.float32(0.02)) - np.float32(0.45)) * np.float32(8.0), zero), one)
    return bright * pale * ivory


@compiled
def teeth_shown(image, cover, layer, skin, white):  # type: ignore[no-untyped-def]
    """What the photo shows in the mouth's opening or close to it, three maps (H, W) 0..1: upper teeth; lower teeth; teeth or the dark of the
    mouth, so not lips.

    Teeth are the lower ones where the mesh has lower teeth, unless they go on from the upper ones without a gap (in a smile they do, and the
    mesh may well be wrong about where the upper ones end). cover: (H, W) soft mask of the opening, wide enough for the fit's error.
    layer: (H, W) of the photo's pixels. skin: (3,) colour of the skin around. white: brightness of the white of the eyes, 0 where it is not known.
    """
    height, width = cover.shape
    skin_light = (skin[0] + skin[1] + skin[2]) / np.float32(3.0)
    skin_blue = skin[2] / max(skin[0], np.float32(0.02))
    one, zero = np.float32(1.0), np.float32(0.0)
    upper, lower, other = (
        np.zeros((height, width), np.float32),
        np.zeros((height, width), np.float32),
        np.zeros((height, width), np.float32),
    )
    for i in range(height):
        for j in range(width):
            if cover[i, j] > 0:
                near = min(cover[i, j] * np.float32(6.0), one)
                light = (image[i, j, 0] + image[i, j, 1] + image[i, j, 2]) / np.float32(3.0)
                dark = min(max((np.float32(0.42) - light / skin_light) * np.float32(8.0), zero), one)
                tooth = near * tooth_like(image[i, j], skin_light, skin_blue, white)
                other[i, j] = max(tooth, near * dark)
                if (layer[i, j] != LOWER_TEETH and (i == 0 or lower[i - 1, j] == 0)) or (i > 0 and upper[i - 1, j] > 0.4):
                    upper[i, j] = tooth
                else:
                    lower[i, j] = tooth
    return upper, lower, other


def mouth_tones(albedo: FloatArray, region_names: tuple[str, ...], lit: FloatArray) -> FloatArray:
    """(5, 3) lit colours of mouth, upper teeth, lower teeth, tongue and gums. lit: (3,) what a white surface shows in this light."""
    rows = []
    for name, default in (("mouth_inside", (0.3, 0.12, 0.11)), ("upper_teeth", (0.85, 0.82, 0.76)), ("lower_teeth", (0.8, 0.77, 0.71)),
                          ("tongue", (0.62, 0.32, 0.32))):  # fmt: skip
        rows.append(albedo[region_names.index(name)] if name in region_names else np.array(default, np.float32))
    rows.append(np.array(GUM, np.float32) * 0.8)
    return np.ascontiguousarray(np.stack(rows) * lit, np.float32)
