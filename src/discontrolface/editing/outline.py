"""A head has an outline: where the networks draw a mist of head and wall, a pixel becomes one or the other.

A network that is not sure where a head ends draws the mean of head and wall: the best guess by squared error, and the first fault that is seen.
At turns of 10 to 24 degrees the preview's outline is right within some pixels, more so on the side that turns towards the viewer than on the one
that turns away. So what is deep inside the preview's head is head, what is far outside is wall unless the networks are sure, and in between the
share of head that they draw decides, the less of it the deeper inside. Further round the preview's outline says little, and the mist stays.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt

from discontrolface.common.pixels import channel_mean, channel_sum, resize_planes
from discontrolface.common.ramp import ramp
from discontrolface.render.blur import gaussian
from discontrolface.render.smooth_wall import SmoothWall
from discontrolface.render.smoothstep import smoothstep

FloatArray = NDArray[np.float32]

BEGINS, ENDS = (4.0, 10.0), (32.0, 24.0)  # degrees of a turn: none of it and all, on either side
TOWARDS, AWAY = (
    0.4,
    1.5,
)  # how far the true outline may be from the preview's / (RADIUS sin(turn)), on the side towards the viewer, on the other
# Lengths are shares of the picture's side; the rest are differences of colours in [0, 1].
RADIUS: Final = 0.35  # a head's
MIDDLE: Final = 0.1  # on either side of the face's middle: where one side becomes the other
SOFT: Final = 0.004  # sigma of the Gaussian through which pictures are looked at
SHARE_SOFT: Final = 0.006  # the same for the share of head
AROUND, CLOSE = 0.03, 0.012  # sigmas over which the head's colours are taken: the networks', the preview's
PURE: Final = 4  # power of the difference to the wall by which a colour counts there: a mixture is no colour of a head
NONE: Final = 1e-5  # of these weights: where there is less nearby, there is only wall
SAME, OTHER = 0.08, 0.16  # difference to the wall up to which the preview shows wall, from which head
UNSURE, SURE = 0.2, 0.35  # the same of the networks' picture: from the second on it is a colour of the head
PALE, CLEAR = 0.12, 0.22  # difference of a head's colours to the wall up to which nothing can be told, from which all can
MIXED, ANOTHER = 0.12, 0.24  # distance to the line from the wall's colour to the head's up to which a colour is a mixture, from which not
ROUGH, SMOOTH = 0.1, 0.5  # of the wall's smoothness: half an outline is no better than a mist
CHANGED: Final = 0.04  # difference to the preview from which something is the networks'
WITHIN: Final = 0.015  # width of the border of the preview's head, where its pixels may be half wall
STEP: Final = 0.2  # of the share of head, over which wall becomes head
LEAST, MOST = -0.1, 0.8  # share of head in the middle of that step: deep inside the preview's head, far outside
WORK_SIZE: Final = 128  # grid on which what is smooth is computed, at most


class Slack(NamedTuple):
    """amount: in [0, 1], how far the preview's outline is believed at all. pixels: (S, S), how far the true one may be from it."""

    amount: float
    pixels: FloatArray


def slack_of(before: NDArray[np.float64], after: NDArray[np.float64], points: NDArray[np.floating], size: int) -> Slack | None:
    """For a head that turns from one rotation (3, 3) to another; None where outlines stay as the networks draw them. points: (N, 2+) pixels of the
    face, turned."""
    ahead = np.asarray(after)[:, 2] - np.asarray(before)[:, 2]
    angle = 2 * math.asin(min(1.0, float(np.linalg.norm(ahead)) / 2))
    amount = ramp(math.degrees(angle), BEGINS) * ramp(math.degrees(angle), ENDS)
    if not amount:
        return None
    direction = ahead[:2] * (1, -1) / max(float(np.linalg.norm(ahead[:2])), 1e-6)  # in the picture, y down
    x, y = (np.arange(size) + 0.5 - middle for middle in points[:, :2].mean(axis=0))
    along = (x[None] * direction[0] + y[:, None] * direction[1]) / (MIDDLE * size)
    far = smoothstep((along + 1) / 2)
    pixels = TOWARDS ** (1 - far) * AWAY**far * (RADIUS * size * math.sin(angle))
    return Slack(amount, pixels.astype(np.float32))


def with_outline(picture: FloatArray, preview: FloatArray, wall: SmoothWall, face: FloatArray, slack: Slack) -> FloatArray:
    """A network's picture (S, S, 3) in [0, 1] without mist between head and wall. face: (S, S) in [0, 1], where there is none.

    What becomes head where the preview shows it takes the preview's pixels for the share that the networks left to the wall; elsewhere the head's
    colour nearby. Only before a smooth wall from which the head's colours differ. A picture that equals the preview comes back to the bit.
    """
    size = len(picture)
    head = _head_of(picture, preview, wall)
    if head is None:
        return picture
    contrast, beyond = head.colour - wall.tone, picture - wall.tone
    length = channel_sum(contrast**2)
    along = channel_sum(beyond * contrast) / np.maximum(length, 1e-3)
    aside = np.sqrt(channel_sum((beyond - along[..., None] * contrast) ** 2))
    share = np.clip(along, 0, 1)  # of head in the picture

    deep = np.clip(head.depth / slack.pixels, -1, 1)
    needed = 0.5 + np.where(deep > 0, deep * (LEAST - 0.5), -deep * (MOST - 0.5))
    is_head = smoothstep((gaussian(share, SHARE_SOFT * size) - needed) / STEP + 0.5)

    weight = slack.amount * np.clip(1 - 3 * face, 0, 1) * smoothstep((wall.smooth - ROUGH) / (SMOOTH - ROUGH))
    weight = weight * smoothstep((np.sqrt(length) - PALE) / (CLEAR - PALE)) * smoothstep((ANOTHER - aside) / (ANOTHER - MIXED))
    weight = weight * smoothstep(gaussian(channel_mean(np.abs(picture - preview)), SOFT * size) / CHANGED)
    within = head.shown * np.clip(head.depth / (WITHIN * size), 0, 1)  # well inside its outline what is pale is shine, not wall
    filling = head.colour + within[..., None] * (preview - head.colour)
    more, less = weight * is_head * (1 - share), weight * (1 - is_head) * share
    return np.clip(picture + more[..., None] * (filling - wall.tone) - less[..., None] * contrast, 0, 1).astype(np.float32)


class _Head(NamedTuple):
    """colour: (S, S, 3), the head's nearby, the wall's where there is none. shown: (S, S) in [0, 1], how far the preview shows a head; depth: (S, S)
    pixels inside its outline there, negative outside."""

    colour: FloatArray
    shown: FloatArray
    depth: FloatArray


def _head_of(picture: FloatArray, preview: FloatArray, wall: SmoothWall) -> _Head | None:
    """None where the preview shows no outline."""
    size, small = len(picture), min(len(picture), WORK_SIZE)
    drawn, seen = _from_wall(picture, wall), _from_wall(preview, wall)
    pure = (smoothstep((drawn - UNSURE) / (SURE - UNSURE)) * drawn**PURE)[..., None]
    planes = np.dstack([picture * pure, pure, wall.tone, seen, seen**PURE, seen ** (PURE + 1)])
    coarse = resize_planes(planes, small, Image.Resampling.BOX)
    near = gaussian(np.delete(coarse, np.s_[4:8], axis=-1), AROUND * small)
    whole = near[..., 5] / np.maximum(near[..., 4], NONE)  # what is seen of a head that is no mixture; an outline is where half of it is
    inside = coarse[..., 7] > np.maximum(0.5 * whole, SAME)
    if not inside.any() or inside.all():
        return None
    depth = np.where(inside, distance_transform_edt(inside) - 0.5, 0.5 - distance_transform_edt(~inside)) * (size / small)
    own = (near[..., :3] + NONE * coarse[..., 4:7]) / (near[..., 3:4] + NONE)
    smooth = resize_planes(np.dstack([own, depth]), size, Image.Resampling.BILINEAR)

    shown = smoothstep((seen - SAME) / (OTHER - SAME))
    weight = (shown * seen**PURE)[..., None]
    close = gaussian(np.dstack([preview * weight, weight]), CLOSE * size)
    close = (close[..., :3] + NONE * smooth[..., :3]) / (close[..., 3:] + NONE)
    colour = smooth[..., :3] + shown[..., None] * (close - smooth[..., :3])
    return _Head(np.asarray(colour, np.float32), shown, smooth[..., 3])


def _from_wall(image: FloatArray, wall: SmoothWall) -> FloatArray:
    """(S, S): how far the colours of (S, S, 3) are from the wall's."""
    soft = SOFT * len(image)
    return gaussian(np.sqrt(channel_sum(gaussian(image - wall.tone, soft) ** 2)), soft)
