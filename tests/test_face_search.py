"""Every face of a group: at any angle, from 24 pixels, in one order. The groups' faces are known."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.groups import Placed, group, matched, ring

from discontrolface.cli.read import faces_row
from discontrolface.common.images import Photo
from discontrolface.editing.reading import Reader
from discontrolface.face import face_search
from discontrolface.face.face_search import SMALLEST, quick_size, tile_sides
from discontrolface.face.landmarks import FaceLandmarker
from discontrolface.face.regions_of_faces import turn_between


@pytest.fixture(scope="module")
def landmarker() -> FaceLandmarker:
    return FaceLandmarker()


def scattered(width: int, height: int, step: int, sizes: tuple[float, float], turns: float, seed: int) -> list[Placed]:
    """Faces on a loose grid."""
    rng = np.random.default_rng(seed)
    return [
        (x + rng.uniform(-4, 4), y + rng.uniform(-4, 4), rng.uniform(*sizes), rng.uniform(-turns, turns))
        for y in range(step // 2, height - step // 3, step)
        for x in range(step // 2, width - step // 3, step)
    ]


GROUPS = {
    "ring of six, three upside down": (600, 600, ring(6, 600, 80, (1, 3, 5))),
    "ring of eight, on their sides": (800, 800, [(x, y, s, 45.0 * i) for i, (x, y, s, _) in enumerate(ring(8, 800, 90, ()))]),
    "a portrait and a small one upside down": (900, 700, [(400, 380, 260, 0), (790, 90, 30, 180)]),
    "a large one upside down and a small one": (700, 700, [(330, 330, 280, 180), (620, 620, 40, 10)]),
    "six in a small picture": (
        360,
        260,
        [(50, 50, 24, 0), (140, 60, 30, 90), (250, 60, 36, 180), (60, 190, 28, 270), (180, 180, 40, 45), (300, 190, 32, 0)],
    ),
}


@pytest.mark.parametrize("name", GROUPS)
def test_every_face_of_a_group_is_found(landmarker: FaceLandmarker, name: str) -> None:
    width, height, faces = GROUPS[name]
    found = landmarker.detect(group(width, height, faces))
    assert matched([face.box for face in found], faces) == (len(faces), 0)


def test_a_crowd(landmarker: FaceLandmarker) -> None:
    """Of 88 small faces at any angle 95 % are found, of 60 nearly upright ones all; nothing else is taken for a face."""
    upright = scattered(1000, 600, 100, (24, 45), 25, 1)
    found, false = matched([face.box for face in landmarker.detect(group(1000, 600, upright, 1))], upright)
    assert (found, false) == (len(upright), 0)
    turned = scattered(1100, 800, 100, (24, 45), 180, 2)
    found, false = matched([face.box for face in landmarker.detect(group(1100, 800, turned, 2))], turned)
    assert found >= 0.95 * len(turned)
    assert false == 0


def test_the_largest_come_first_and_alone_they_are_the_same(landmarker: FaceLandmarker) -> None:
    """Looking for one face, or three, gives the first of all: a number means the same face to every command."""
    faces = [(200, 220, 150, 0), (560, 200, 110, 180), (200, 560, 70, 0), (520, 560, 48, 90), (680, 420, 30, 0)]
    picture = group(760, 720, faces)
    every = landmarker.detect(picture)
    assert [face.size for face in every] == sorted((face.size for face in every), reverse=True)
    assert [round(face.box[0] + face.box[2]) // 2 for face in every] == pytest.approx([x for x, *_ in faces], abs=12)
    for enough in (1, 2, 3, 5):
        first = landmarker.detect(picture, enough)[:enough]
        assert [face.box for face in first] == [face.box for face in every[:enough]]
    assert [face.box for face in landmarker.detect(picture)] == [face.box for face in every]


def test_a_quick_count_has_the_large_faces_and_the_chosen_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What plain `read` says of a very large photo: all faces from a size on, with the numbers of the whole search, and the chosen one."""
    assert quick_size(4000, 3000) == 0
    assert 170 < quick_size(8160, 6144) < quick_size(16_320, 12_240) < 450
    monkeypatch.setattr(face_search, "QUICK", 3)
    reader = Reader.open()
    photo = Photo.of(group(1000, 760, [(300, 340, 340, 0), (760, 480, 130, 180), (880, 110, 40, 0), (560, 690, 30, 90)]), Path("group.png"))
    every = reader.find(photo)
    assert len(every) == 4
    looked: list[float] = []
    proposals = reader.landmarker.proposals
    monkeypatch.setattr(reader.landmarker, "proposals", lambda *a: looked.append(a[1].side) or proposals(*a))
    found, least = reader.find_quickly(photo)
    assert tile_sides(1000)[1] not in looked  # no tile was looked at for smaller faces
    assert every[1].size < least < every[0].size
    large = [face for face in every if face.size > least]
    assert [face.box for face in found[: len(large)]] == [face.box for face in large]
    found, _ = reader.find_quickly(photo, 3)
    assert found[3].box == every[3].box
    assert faces_row(0, 1, 0.0) == "1 found"
    assert "of 380 pixels and more" in faces_row(0, 2, 380.0)


@pytest.mark.parametrize("degrees", range(0, 360, 30))
def test_a_face_has_one_size_and_its_own_angle(landmarker: FaceLandmarker, degrees: int) -> None:
    (face,) = landmarker.detect(group(400, 400, [(200, 200, 100, degrees)]))
    assert face.size == pytest.approx(97, rel=0.05)
    points = landmarker.landmarks(group(400, 400, [(200, 200, 100, degrees)]), face)
    along = points.points[263, :2] - points.points[33, :2]
    assert turn_between(math.atan2(along[1], along[0]), math.radians(degrees)) < math.radians(8)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.heavy) for seed in (1, 2, 3))])
def test_no_face_in_blotches_noise_and_stripes(landmarker: FaceLandmarker, seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert landmarker.detect(group(700, 500, [], seed)) == []
    assert landmarker.detect(rng.integers(0, 256, (300, 420, 3), dtype=np.uint8)) == []
    rows, columns = np.indices((500, 600))
    stripes = (127 + 120 * np.sin(rows / (3 + 5 * seed)) * np.cos(columns / (4 + 3 * seed))).astype(np.uint8)
    assert landmarker.detect(np.repeat(stripes[..., None], 3, 2)) == []


def test_levels_reach_the_smallest_face() -> None:
    for longest in (100, 354, 400, 900, 4000, 8192, 16384):
        sides = tile_sides(longest)
        assert sides[0] == longest
        assert sides[-1] * 13 / 192 <= SMALLEST * 1.001
        assert all(1 < large / small <= 2.26 for large, small in pairwise(sides))
