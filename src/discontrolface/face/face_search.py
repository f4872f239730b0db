"""Every face of a photo, of any size and at any angle: where the detector looks, and what becomes of what it sees.

The detector knows upright faces of a twentieth to six tenths of its view. So it sees the whole photo at four angles, then tiles of half, a quarter,
... of its side, down to those in which the smallest face of interest has the least size. A tile is looked at upright and upside down: a face that
is turned in it still gets a weak score, and what does is looked at again, close and at four angles. The mesh model has the last word.

Large faces come first, and a level of tiles gives no face that is large in it: so the search for the n largest can end early with the n faces
that the whole search would put first.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

from discontrolface.face.pyramid import Pyramid
from discontrolface.face.regions_of_faces import DETECTOR_SIZE, Face, Region, same_face, tiles, turn_between

SMALLEST: Final = 24  # pixels of a face that the tiles are made for
KEPT_FROM: Final = 16  # pixels of a face from which it is kept when it is seen
LEAST_IN_VIEW: Final = 13 / DETECTOR_SIZE  # side of a face / side of a view, from which the detector has at least a suspicion
FINER: Final = 2.25  # side of the tiles / side of the next smaller ones, at most
MOST_IN_TILE: Final = 0.5  # the same above which a face is left to larger views
SURE: Final = 0.5  # the detector's score of a face
WEAK: Final = 0.15  # its score from which a place in a tile is looked at again
MAX_TILT: Final = math.radians(25)  # a face tilted more in the detector's view is looked at again, upright
SAME_SIGHT: Final = 0.6  # overlap with what was dismissed, above which a place is not looked at again
ONE_PLACE: Final = 0.4  # distance of two faces / size of the larger one, below which they are one
REPEATED: Final = 0.15  # overlap of what is seen in two views of one place
QUICK: Final = 500  # views of a level, some seconds of one core, which a count of faces may take
COMMON: Final = 0.2  # what neighbouring tiles have in common / side


class Looks(Protocol):
    """The models that the search asks."""

    def proposals(self, photo: Pyramid, view: Region, threshold: float) -> list[Face]:
        """What the detector takes for faces in a view, without repetitions."""
        ...

    def confirmed(self, photo: Pyramid, face: Face) -> Face | None:
        """The face with its size as the mesh model sees it; None where that sees no face."""
        ...


def search(models: Looks, photo: Pyramid, enough: int | None = None, least: float = 0.0) -> list[Face]:
    """The faces of a photo, the largest first. enough: how many of these are wanted; None: all.

    least: levels of tiles that have only smaller faces than this, in pixels, are left out; of faces that are larger the list is as without it, of
    others it has those that were seen.
    """
    found: list[Face] = []
    dismissed: list[Face] = []
    sides = tile_sides(max(photo.size))
    sides = [side for side in sides if side == sides[0] or MOST_IN_TILE * side > least]
    for side, following in zip(sides, [*sides[1:], 0.0], strict=True):
        batches = whole_views(*photo.size) if side == sides[0] else [tile_views(*photo.size, side)]
        for views in batches:
            _look(models, photo, views, side if side < sides[0] else math.inf, found, dismissed)
            if found:
                break
        if enough is not None and sum(face.size > MOST_IN_TILE * following for face in found) >= enough:
            break
    return sorted(found, key=lambda face: (-face.size, face.region.y, face.region.x))


def tile_sides(longest: int) -> list[float]:
    """Sides of the views of each level in pixels, from the whole photo down, each about half of the one before."""
    finest = SMALLEST / LEAST_IN_VIEW
    levels = max(0, math.ceil(math.log(max(longest / finest, 1), FINER)))
    return [longest * (finest / longest) ** (level / max(levels, 1)) for level in range(levels + 1)]


def quick_size(width: int, height: int) -> float:
    """Pixels of a face down to which a photo is searched in a few seconds; 0 where all of the search is no longer: up to about 15 megapixels."""
    slow = [side for side in tile_sides(max(width, height))[1:] if len(tile_views(width, height, side)) > QUICK]
    return MOST_IN_TILE * slow[0] if slow else 0.0


def whole_views(width: int, height: int) -> list[list[Region]]:
    """The whole photo at four angles; with a margin for faces that fill it, where that shows none."""
    turns, side = [math.radians(turn) for turn in (0, 90, 180, 270)], max(width, height)
    return [[Region(width / 2, height / 2, margin * side, turn) for turn in turns] for margin in (1.0, 1.6)]


def tile_views(width: int, height: int, side: float) -> list[Region]:
    """Each tile upright and upside down: between these two, the detector suspects a face at any angle."""
    return [Region(tile.x, tile.y, side, turn) for tile in tiles(width, height, side, COMMON * side) for turn in (0.0, math.pi)]


def _look(models: Looks, photo: Pyramid, views: list[Region], side: float, found: list[Face], dismissed: list[Face]) -> None:
    """Adds to `found` the faces in the views of one level, and to `dismissed` what looked like one."""
    proposals = []
    for view in views:
        if not any(_covers(face, view) for face in found):
            proposals += [(face, view) for face in models.proposals(photo, view, WEAK) if face.size <= MOST_IN_TILE * side]
    for face, view in sorted(proposals, key=lambda seen: -seen[0].score):
        if any(same_face(face, other) or _within(face, other) for other in found):
            continue
        if any(same_face(face, other, SAME_SIGHT) for other in dismissed):
            continue
        real = resolved(models, photo, face, view)
        if real is None:
            dismissed.append(face)
        elif KEPT_FROM <= real.size <= MOST_IN_TILE * side and not any(_twice(real, other) for other in found):
            found.append(real)


def resolved(models: Looks, photo: Pyramid, face: Face, view: Region) -> Face | None:
    """What a proposal is, looked at closely at four angles; None: no face."""
    if face.score > SURE and turn_between(face.region.angle, view.angle) < MAX_TILT:
        real = models.confirmed(photo, face)
        if real is not None:
            return real
    for turn in (0.0, math.pi, math.pi / 2, -math.pi / 2):
        angle = face.region.angle + turn
        for _ in range(3):
            close = Region(face.region.x, face.region.y, 2 * face.region.side, angle)
            seen = [other for other in models.proposals(photo, close, SURE) if same_face(other, face, REPEATED)]
            best = max(seen, key=lambda other: other.score, default=None)
            if best is None:
                break
            if turn_between(best.region.angle, angle) < MAX_TILT:
                real = models.confirmed(photo, best)
                if real is not None:
                    return real
                break
            angle = best.region.angle
    return None


def _twice(face: Face, other: Face) -> bool:
    """Whether two confirmed faces are one: their boxes overlap, or, where the detector's boxes differ in size, they have one place."""
    apart = math.hypot(face.region.x - other.region.x, face.region.y - other.region.y)
    return same_face(face, other) or apart < ONE_PLACE * max(face.size, other.size)


def _within(face: Face, other: Face) -> bool:
    """Whether something much smaller than a face lies in it: its parts look like faces, and no face hides another that is behind it."""
    apart = math.hypot(face.region.x - other.region.x, face.region.y - other.region.y)
    return apart + face.size / 2 < other.size / 2 and face.size < other.size / 2


def _covers(face: Face, view: Region) -> bool:
    """Whether a face fills a view, so that no other can be in it."""
    x0, y0, x1, y1 = face.box
    dx, dy = abs(view.x - (x0 + x1) / 2), abs(view.y - (y0 + y1) / 2)
    return math.hypot(dx + view.side / 2, dy + view.side / 2) < face.size / 2
