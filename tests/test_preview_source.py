"""A photo read once for previews gives the pictures it would give if it were read for each; two threads give those of one."""

from __future__ import annotations

import os
from typing import Any, cast

import numpy as np
import pytest

from discontrolface.common.pixels import to_float
from discontrolface.editing.person import Person
from discontrolface.editing.preview_sources import KEPT_SIZES
from discontrolface.face.crop import Crop
from discontrolface.face.geometry import Geometry
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.render.bands import LARGE
from discontrolface.render.matte import share_of, sharper
from discontrolface.render.outline import head_distance
from discontrolface.render.raster import rasterize
from discontrolface.render.source import PreviewSource, prepare_source
from discontrolface.render.warp import Preview, preview_of, render_preview

EDITS: list[dict[str, Any]] = [
    {"turn": (14, 4, -6), "expression": {"smile": 0.6, "jawOpen": 0.5, "blink": 0.7}, "light": "left"},
    {"expression": {"smile": 0.8}},
    {"gaze": (12, 0)},
]


@pytest.fixture(scope="module")
def geometry() -> Geometry:
    return Geometry(HeadModel.open())


@pytest.fixture(scope="module")
def face(geometry: Geometry) -> FaceParameters:
    return FaceParameters.default(geometry.head).edit(expression={"smile": 0.3})


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(3).random((height, width, 3), np.float32)


def same(a: Preview, b: Preview) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


def bits(source: PreviewSource) -> bytes:
    """All arrays of a source."""
    parts: list[bytes] = []
    for value in vars(source).values():
        parts += [array.tobytes() for array in (value if isinstance(value, tuple) else [value]) if isinstance(array, np.ndarray)]
    return b"".join(parts)


def test_a_photo_read_once_gives_the_same_bits(geometry: Geometry, face: FaceParameters) -> None:
    photo, own = noise(150, 170), geometry.view(face)
    source = prepare_source(photo, own, geometry.rig)
    before = bits(source)
    for edit in (*EDITS, EDITS[0]):  # the first once more: no edit leaves traces
        target = geometry.view(face.edit(**edit))
        out = preview_of(source, target)
        assert out.mask.max() > 0
        assert same(out, render_preview(photo, own, target, geometry.rig))
    assert bits(source) == before
    assert np.array_equal(preview_of(source, own).image, photo)


def test_two_threads_give_the_bits_of_one(geometry: Geometry, face: FaceParameters, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, own, target = noise(LARGE, 200), geometry.view(face), geometry.view(face.edit(**EDITS[0]))
    previews = []
    for cores in ({0, 1}, {0}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores, raising=False)
        previews.append(render_preview(photo, own, target, geometry.rig))
    assert same(*previews)


def test_a_person_keeps_what_was_read(geometry: Geometry, face: FaceParameters) -> None:
    picture = (noise(64, 64) * 255).astype(np.uint8)
    crop = Crop(picture, np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), picture)
    nobody = cast(Any, None)
    person = Person(nobody, crop, face, landmarks=nobody, fit=nobody, geometry=geometry)
    assert person.preview_source(64) is person.preview_source(64)
    sources = [person.preview_source(size) for size in (32, 40, 48, 64)]  # one more than are kept
    assert [len(source.image) for source in sources] == [32, 40, 48, 64]
    assert len(sources) == KEPT_SIZES + 1
    assert all(person.preview_source(len(source.image)) is source for source in sources[-KEPT_SIZES:])
    assert person.preview_source(32) is not sources[0]
    target = face.edit(**EDITS[0])
    drafted = person.draft(target, 48)
    assert same(drafted, render_preview(to_float(crop.resize(48).image), geometry.view(face), geometry.view(target), geometry.rig))


@pytest.mark.parametrize("shape", [(64, 64), (40, 160)])
def test_every_pixel_in_doubt_is_decided_by_its_colour(geometry: Geometry, face: FaceParameters, shape: tuple[int, int]) -> None:
    """Wherever the coarse matte, mixed as the preview mixes it, is in doubt, `decide` has looked at the pixel."""
    from discontrolface.render.matte import decide

    height, width = shape
    rng = np.random.default_rng(1)
    grid = 32
    matte = (rng.random((grid, grid)) < 0.5).astype(np.float32)  # 0 and 1 side by side: in doubt only between cells
    matte[:, :8] = 1
    own, other = rng.random((5, 3), np.float32), rng.random((5, 3), np.float32)
    image = rng.random((height, width, 3), np.float32)
    decided = decide(image, matte, own, other)
    at = rng.uniform([0, 0], [height - 1, width - 1], (4000, 2))
    y = np.clip((at[:, 0] + 0.5) * grid / height - 0.5, 0, grid - 1)
    x = np.clip((at[:, 1] + 0.5) * grid / width - 0.5, 0, grid - 1)
    p, q = np.minimum(y.astype(int), grid - 2), np.minimum(x.astype(int), grid - 2)
    v, u = y - p, x - q
    mixed = (1 - v) * ((1 - u) * matte[p, q] + u * matte[p, q + 1]) + v * ((1 - u) * matte[p + 1, q] + u * matte[p + 1, q + 1])
    checked = 0
    for (row, column), share in zip((at + 0.5).astype(int), mixed, strict=True):
        t = np.clip((share_of(*image[row, column], own, other) - 0.45) * 3, 0, 1)
        wanted = t * t * (3 - 2 * t)
        if 4 * share * (1 - share) >= 0.2:
            checked += 1
            assert abs(decided[row, column] - wanted) < 1e-5
    assert checked > 500
    assert not decided[:, : width // 8].any()  # well within the head no colour is asked
    assert sharper(np.float32(0.99), np.float32(0.0)) == np.float32(0.99)


def test_distance_from_the_head(geometry: Geometry, face: FaceParameters) -> None:
    raster = rasterize(geometry.view(face).vertices, geometry.rig.faces, 96, 96)
    away = head_distance(raster.triangle, geometry.rig.head_faces)
    assert away.shape == (48, 48)
    assert away[24, 24] == 0
    assert away[0, 0] > 10
