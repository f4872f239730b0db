"""Landmarks on the example photo: turned, mirrored, shrunk, padded, grey, cut tight. Tolerances are parts of the face's width."""

import math
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.common.images import load_photo
from discontrolface.face import landmark_sets as sets
from discontrolface.face.landmarks import FaceLandmarker, Landmarks, eye_opening
from discontrolface.face.regions_of_faces import Region
from discontrolface.geometry.affine import apply_affine, invert_affine, sample_affine

PHOTO = example_photo()


@pytest.fixture(scope="module")
def landmarker() -> FaceLandmarker:
    return FaceLandmarker()


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    return np.asarray(Image.open(PHOTO).convert("RGB"))


@pytest.fixture(scope="module")
def upright(landmarker: FaceLandmarker, photo: NDArray[np.uint8]) -> Landmarks:
    return landmarker.find_face(photo)


def error(found: NDArray[np.floating], truth: NDArray[np.floating], face_size: float) -> float:
    """Mean distance of points as a part of the face's width."""
    return float(np.linalg.norm(found[:, :2] - truth[:, :2], axis=1).mean() / face_size)


def test_the_face_is_where_a_person_sees_it(landmarker: FaceLandmarker, photo: NDArray[np.uint8], upright: Landmarks) -> None:
    faces = landmarker.detect(photo)
    assert len(faces) == 1
    assert faces[0].box == pytest.approx((172, 66, 278, 172), abs=8)
    assert upright.score > 0.95
    # Read off the picture by eye, with a pixel grid over it.
    assert upright.iris is not None
    assert upright.iris[0, 0] == pytest.approx((246.5, 103.5), abs=1.5)  # the subject's left eye, at the image's right
    assert upright.iris[1, 0] == pytest.approx((203.8, 101.0), abs=1.5)
    corners = upright.points[list(sets.MOUTH_CORNERS), :2]
    assert corners[0] == pytest.approx((202.5, 139.8), abs=2)
    assert corners[1] == pytest.approx((245, 141), abs=2)
    assert upright.points[sets.CHIN, :2] == pytest.approx((223, 177), abs=3)


@pytest.mark.parametrize("degrees", [20, 45, 90, 150, 180, 225, 300])
def test_landmarks_turn_with_the_photo(landmarker: FaceLandmarker, photo: NDArray[np.uint8], upright: Landmarks, degrees: int) -> None:
    turned = np.asarray(Image.fromarray(photo).rotate(degrees, expand=True, resample=Image.Resampling.BICUBIC))
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # Pillow turns counter-clockwise
    truth = (upright.points[:, :2] - 256) @ turn.T + np.array([turned.shape[1], turned.shape[0]]) / 2
    found = landmarker.find_face(turned)
    assert error(found.points, truth, upright.face_size) < 0.015
    assert found.face_size == pytest.approx(upright.face_size, rel=0.03)


def test_a_mirrored_face_swaps_left_and_right(landmarker: FaceLandmarker, photo: NDArray[np.uint8], upright: Landmarks) -> None:
    found = landmarker.find_face(np.ascontiguousarray(photo[:, ::-1]))
    assert found.iris is not None
    assert upright.iris is not None
    for left, right in ((sets.LEFT_EYE, sets.RIGHT_EYE), (sets.LEFT_BROW, sets.RIGHT_BROW)):
        truth = upright.points[list(right), :2] * (-1, 1) + (512, 0)
        assert error(found.points[list(left)], truth, upright.face_size) < 0.02
    assert found.iris[0, 0] == pytest.approx(upright.iris[1, 0] * (-1, 1) + (512, 0), abs=1)


@pytest.mark.parametrize(("size", "tolerance"), [(1024, 0.01), (256, 0.01), (128, 0.02), (96, 0.03)])
def test_other_sizes(landmarker: FaceLandmarker, photo: NDArray[np.uint8], upright: Landmarks, size: int, tolerance: float) -> None:
    resized = np.asarray(Image.fromarray(photo).resize((size, size), Image.Resampling.LANCZOS))
    found = landmarker.find_face(resized)
    assert error(found.points * (512 / size), upright.points, upright.face_size) < tolerance


@pytest.mark.parametrize(("width", "height"), [(1200, 600), (700, 2000), (2600, 2600)])
def test_a_small_face_in_a_large_picture(
    landmarker: FaceLandmarker, photo: NDArray[np.uint8], upright: Landmarks, width: int, height: int
) -> None:
    large = np.full((height, width, 3), 90, np.uint8)
    left, top = (width - 512) // 2, (height - 512) // 3
    large[top : top + 512, left : left + 512] = photo
    found = landmarker.find_face(large)
    assert error(found.points[:, :2] - (left, top), upright.points, upright.face_size) < 0.015


@pytest.mark.parametrize("half", [90, 60, 50])
def test_a_tight_crop(landmarker: FaceLandmarker, photo: NDArray[np.uint8], upright: Landmarks, half: int) -> None:
    left, top = 225 - half, 120 - half
    found = landmarker.find_face(np.ascontiguousarray(photo[top : top + 2 * half, left : left + 2 * half]))
    assert error(found.points[:, :2] + (left, top), upright.points, upright.face_size) < 0.02


def test_a_grey_photo(landmarker: FaceLandmarker, photo: NDArray[np.uint8], upright: Landmarks) -> None:
    grey = np.asarray(Image.fromarray(photo).convert("L").convert("RGB"))
    assert error(landmarker.find_face(grey).points, upright.points, upright.face_size) < 0.02


def test_several_faces_are_ordered_by_size_and_can_be_chosen(
    landmarker: FaceLandmarker, photo: NDArray[np.uint8], upright: Landmarks
) -> None:
    pair = np.zeros((512, 900, 3), np.uint8)
    pair[:384, :384] = np.asarray(Image.fromarray(photo).resize((384, 384), Image.Resampling.LANCZOS))
    pair[:, 388:] = photo
    assert len(landmarker.detect(pair)) == 2
    large, small = landmarker.find_face(pair), landmarker.find_face(pair, index=1)
    assert error(large.points[:, :2] - (388, 0), upright.points, upright.face_size) < 0.02
    assert error(small.points * (512 / 384), upright.points, upright.face_size) < 0.02
    boxed = landmarker.find_face(pair, box=(125, 40, 215, 135))
    assert error(boxed.points, small.points, small.face_size) < 0.02
    with pytest.raises(UserError, match=r"no face 2 in pair\.png: 2 faces were found"):
        landmarker.find_face(pair, index=2, source="pair.png")
    with pytest.raises(UserError, match="no face -1"):
        landmarker.find_face(pair, index=-1)


@pytest.mark.parametrize("shape", [(800, 1200), (40, 40), (33, 500)])
def test_no_face(landmarker: FaceLandmarker, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    with pytest.raises(UserError, match=rf"no face found in X \({shape[1]}x{shape[0]}\); try --face-box or a larger face"):
        landmarker.find_face(noise, source="X")


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (600, 10, 700, 100), (200, 90, 100, 10), (float("nan"), 0, 9, 9), (300, 300, 500, 500)])
def test_a_wrong_box(landmarker: FaceLandmarker, photo: NDArray[np.uint8], box: tuple[float, float, float, float]) -> None:
    with pytest.raises(UserError, match=r"box .*X \(512x512\)"):
        landmarker.find_face(photo, box=box, source="X")


def test_open_eyes_read_as_open(landmarker: FaceLandmarker, photo: NDArray[np.uint8], upright: Landmarks) -> None:
    left, right = eye_opening(upright)
    assert 0.25 < left < 0.55
    assert 0.25 < right < 0.55


def test_two_landmarkers_agree_to_the_bit(photo: NDArray[np.uint8], upright: Landmarks) -> None:
    assert np.array_equal(FaceLandmarker().find_face(photo).points, upright.points)


def test_index_sets_are_sane(upright: Landmarks) -> None:
    assert len(sets.IBUG_68) == len(set(sets.IBUG_68)) == 68
    points = upright.points
    for name in ("LIPS_OUTER", "LIPS_INNER", "FACE_OVAL"):
        ring = points[list(getattr(sets, name)), :2]
        steps = np.linalg.norm(ring - np.roll(ring, 1, axis=0), axis=1)
        assert steps.max() < 0.25 * upright.face_size, name  # neighbours on the ring are neighbours in the picture
    assert points[list(sets.LEFT_EYE), 0].min() > points[list(sets.RIGHT_EYE), 0].max()  # subject's left is the image's right


def test_region_and_sampling_agree_on_pixels() -> None:
    """A picture of a plane x + 2y, sampled through a turned, scaled region, holds the plane's values at the mapped pixel centres."""
    ys, xs = np.mgrid[0:120, 0:160] + 0.5
    plane = np.clip(xs * 0.5 + ys * 0.8, 0, 255)
    image = np.repeat(np.round(plane).astype(np.uint8)[..., None], 3, axis=2)
    for side, fine in ((30.0, False), (30.0, True), (70.0, False), (70.0, True)):
        to_photo = Region(80, 60, side, 0.4).to_photo(24)
        out = sample_affine(image, to_photo, (24, 24), fine=fine)[..., 0].astype(float)
        where = apply_affine(to_photo, np.stack(np.meshgrid(np.arange(24) + 0.5, np.arange(24) + 0.5), axis=-1))
        assert np.abs(out - (where[..., 0] * 0.5 + where[..., 1] * 0.8)).max() < 1.6
        assert np.allclose(apply_affine(invert_affine(to_photo), apply_affine(to_photo, where)), where)


@pytest.mark.heavy
def test_eight_threads_on_one_landmarker_find_what_one_finds(landmarker: FaceLandmarker, photo: NDArray[np.uint8]) -> None:
    """Photos of other sizes, turned and mirrored, all at once: every bit as in turn."""
    small = np.asarray(Image.fromarray(photo).resize((384, 384)))
    photos = [
        np.ascontiguousarray(p)
        for p in (photo, photo[:, ::-1], small, small[:, ::-1], photo[20:, 30:], np.rot90(photo), small[9:], photo[3:])
    ]
    serial = [landmarker.find_face(p) for p in photos]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            for alone, together in zip(serial, pool.map(landmarker.find_face, photos), strict=True):
                for name in ("points", "iris", "blendshapes", "score"):
                    assert np.array_equal(getattr(alone, name), getattr(together, name))


def test_nothing_of_the_process_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither file descriptors nor warning filters, which other threads share."""

    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("state of the whole process")

    with monkeypatch.context() as patch:  # pytest itself needs them afterwards
        for module, name in ((os, "dup2"), (warnings, "catch_warnings"), (warnings, "simplefilter"), (warnings, "filterwarnings")):
            patch.setattr(module, name, refuse)
        score = FaceLandmarker().find_face(load_photo(PHOTO).array).score
    assert score > 0.9


@pytest.mark.parametrize("turn", [math.pi, math.pi / 2, -math.pi / 2])
def test_a_region_of_the_wrong_angle_is_seen_through(
    landmarker: FaceLandmarker, photo: NDArray[np.uint8], upright: Landmarks, turn: float
) -> None:
    """The detector may take an upright face for one that is upside down; the mesh then draws a face on the chin. Its landmarks do not stay there."""
    face = landmarker.detect(photo)[0]
    found = landmarker.landmarks(photo, replace(face, region=replace(face.region, angle=face.region.angle + turn)))
    assert error(found.points, upright.points, upright.face_size) < 0.01
    assert found.unsteadiness == pytest.approx(upright.unsteadiness, abs=0.2)


def test_landmarks_of_a_clip_tremble_less(landmarker: FaceLandmarker, photo: NDArray[np.uint8]) -> None:
    """A head that moves, turns and grows by parts of a pixel, as before a camera: where its landmarks lie on it, taken back to the photo."""
    rng = np.random.default_rng(0)
    found: dict[bool, list[NDArray[np.floating]]] = {False: [], True: []}
    for _ in range(10):
        turn, scale, (x, y) = rng.normal(0, 0.01), 1 + rng.normal(0, 0.02), rng.uniform(-3, 3, 2)
        cos, sin = scale * math.cos(turn), scale * math.sin(turn)
        to_photo = np.array([[cos, -sin, x], [sin, cos, y]])
        frame = sample_affine(photo, to_photo, (photo.shape[1], photo.shape[0]))
        for of_clip, places in found.items():
            places.append(apply_affine(to_photo, landmarker.find_face(frame, of_clip=of_clip).points[:, :2]))
    photos, clips = (np.stack(found[of_clip]) for of_clip in (False, True))
    trembling = [float(np.linalg.norm(places - places.mean(axis=0), axis=-1).mean()) for places in (photos, clips)]
    assert trembling[1] < 0.8 * trembling[0]
    assert np.linalg.norm(clips.mean(axis=0) - photos.mean(axis=0), axis=-1).mean() < 0.5  # the same places otherwise
