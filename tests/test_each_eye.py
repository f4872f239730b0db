"""What is read of one eye must not follow the other: mirror images with a closed form, and winks in which no pixel of the open eye changed."""

import numpy as np
import pytest

from discontrolface.common.example import example_photo
from discontrolface.editing.person import Person
from discontrolface.editing.reading import Reader
from discontrolface.face import each_eye
from discontrolface.face.each_eye import ALIKE, LEFT, RIGHT, UNLIKE, Eye, opening, unlikeness, with_mirror_image
from discontrolface.face.landmarks import FaceLandmarker

SIDE = 256
WIDTH = 40.0  # of an eye, pixels


def eyes(left: float = 12.0, right: float = 12.0, narrow: float = 1.0) -> np.ndarray:
    """Points (468, 3): two eyes open by so many pixels, the left one narrower; the rest is nowhere."""
    points = np.zeros((468, 3))
    for eye, middle, opened, outward, width in ((RIGHT, 78.0, right, -1, WIDTH), (LEFT, 178.0, left, 1, narrow * WIDTH)):
        along = np.linspace(1, -1, 9)  # outer corner, seven points between, inner corner
        x = middle + outward * along * width / 2
        points[list(eye.ring[1:8])] = np.column_stack([x[1:8], np.full(7, 120 + opened / 2), np.zeros(7)])
        points[list(eye.ring[9:16])] = np.column_stack([x[1:8], np.full(7, 120 - opened / 2), np.zeros(7)])
        points[list(eye.corners)] = [[x[0], 120, 0], [x[8], 120, 0]]
    return points


def test_how_unlike_eyes_are() -> None:
    assert opening(eyes(left=9), LEFT) == pytest.approx(9)
    assert unlikeness(eyes()) == 0
    assert unlikeness(eyes(left=12, right=12 - ALIKE * WIDTH)) == pytest.approx(0)
    assert unlikeness(eyes(left=12 - UNLIKE * WIDTH, right=12)) == pytest.approx(1)
    assert unlikeness(eyes(left=12, right=12 - (ALIKE + UNLIKE) / 2 * WIDTH)) == pytest.approx(0.5)
    assert unlikeness(eyes(left=2, right=12)) == unlikeness(eyes(left=12, right=2)) == 1


def test_a_symmetric_picture_stays() -> None:
    half = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE // 2, 3), dtype=np.uint8)
    picture = np.concatenate([half, half[:, ::-1]], axis=1)
    for eye in (LEFT, RIGHT):
        np.testing.assert_array_equal(with_mirror_image(picture, eyes(), eye), picture)


@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_the_other_eye_becomes_this_ones_mirror_image(turn: float) -> None:
    """A ramp along the eye and one across it, whose mirror image is known; the far eye of a turned head is narrower and no lower."""
    narrow = 0.6
    points = eyes(narrow=narrow)
    centre, (c, s) = np.array([128.0, 128.0]), (np.cos(turn), np.sin(turn))
    rotation = np.array([[c, -s], [s, c]])
    points[:, :2] = (points[:, :2] - centre) @ rotation.T + centre
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    level = (np.stack([x, y], axis=-1) - centre) @ rotation + centre  # where a pixel lies when the eyes are level
    picture = np.stack([level[..., 0] / 2 + 40, level[..., 1] / 2 + 40, np.zeros((SIDE, SIDE))], axis=-1)
    out = with_mirror_image(picture.astype(np.uint8), points, RIGHT)
    along, across = level[..., 0] - 178, level[..., 1] - 120
    inside = np.hypot(along / (1.5 * narrow * WIDTH / 2), across / (WIDTH * narrow / 2)) < 0.8
    wanted = np.stack([(78 - along / narrow) / 2 + 40, (120 + across) / 2 + 40], axis=-1)
    assert np.abs(out[inside][:, :2] - wanted[inside]).max() < 2
    outside = np.hypot(along / (1.5 * narrow * WIDTH / 2), across / (WIDTH * narrow / 2)) > 1.2
    np.testing.assert_array_equal(out[outside], picture.astype(np.uint8)[outside])


@pytest.fixture(scope="module")
def landmarker() -> FaceLandmarker:
    return FaceLandmarker()


@pytest.fixture(scope="module")
def person() -> Person:
    return Reader.open(512).read(example_photo())


@pytest.mark.parametrize(("name", "closed", "opened"), [("eyeBlinkLeft", LEFT, RIGHT), ("eyeBlinkRight", RIGHT, LEFT)])
def test_a_wink_leaves_the_other_eye_open(
    person: Person, name: str, closed: Eye, opened: Eye, landmarker: FaceLandmarker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warp of a wink: around the open eye it is the photo, so that what is read there must be the photo's; and the closed one is a blink's."""
    pictures = {
        asked: np.array(person.preview(person.parameters.edit(expression=values)))
        for asked, values in {"rest": {}, "wink": {name: 1.0}, "blink": {"blink": 1.0}}.items()
    }
    rest = landmarker.find_face(pictures["rest"])
    frame = rest.points[list(opened.ring), :2]
    (x0, y0), (x1, y1) = np.rint(frame.min(axis=0) - 8).astype(int), np.rint(frame.max(axis=0) + 8).astype(int)
    np.testing.assert_array_equal(pictures["wink"][y0:y1, x0:x1], pictures["rest"][y0:y1, x0:x1])

    def ratio(asked: str, eye: Eye) -> float:
        return opening(landmarker.find_face(pictures[asked]).points, eye) / opening(rest.points, eye)

    assert 0.95 < ratio("wink", opened) < 1.05
    assert abs(ratio("wink", closed) - ratio("blink", closed)) < 0.08
    monkeypatch.setattr(each_eye, "unlikeness", lambda points: 0.0)  # as the mesh says it
    assert ratio("wink", opened) < 0.92
