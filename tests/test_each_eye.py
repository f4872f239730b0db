"""What is read of one eye must not follow the other: mirror images with a closed form, and winks in which no pixel of the open eye changed."""

import numpy as np
import pytest

from discontrolface.common.example import example_photo
from discontrolface.editing.person import Person
from discontrolface.editing.reading import Reader
from discontrolface.face import each_eye
from discontrolface.face.each_eye import ALIKE, LEFT, NARROW, NARROWEST, RIGHT, UNLIKE, Eye, opening, unlikeness, with_mirror_image
from discontrolface.face.fit_expression import network_expression
from discontrolface.face.landmarks import FaceLandmarker

SIDE = 256
WIDTH = 40.0  # of an eye, pixels


def eyes(left: float = 12.0, right: float = 12.0, narrow: float = 1.0) -> np.ndarray:
    """Points (468, 3): two eyes open by so many pixels, the left one of so much of the right one's width; the rest is nowhere."""
    points = np.zeros((468, 3))
    for eye, middle, opened, outward, width in ((RIGHT, 78.0, right, -1, WIDTH), (LEFT, 178.0, left, 1, narrow * WIDTH)):
        along = np.linspace(1, -1, 9)  # outer corner, seven points between, inner corner
        x = middle + outward * along * width / 2
        points[list(eye.ring[1:8])] = np.column_stack([x[1:8], np.full(7, 120 + opened / 2), np.zeros(7)])
        points[list(eye.ring[9:16])] = np.column_stack([x[1:8], np.full(7, 120 - opened / 2), np.zeros(7)])
        points[list(eye.corners)] = [[x[0], 120, 0], [x[8], 120, 0]]
    return points


SIZE = (SIDE, SIDE)


def test_how_unlike_eyes_are() -> None:
    assert opening(eyes(left=9), LEFT) == pytest.approx(9)
    assert unlikeness(eyes(), SIZE) == 0
    assert unlikeness(eyes(left=12, right=12 - ALIKE * WIDTH), SIZE) == pytest.approx(0)
    assert unlikeness(eyes(left=12 - UNLIKE * WIDTH, right=12), SIZE) == pytest.approx(1)
    assert unlikeness(eyes(left=12, right=12 - (ALIKE + UNLIKE) / 2 * WIDTH), SIZE) == pytest.approx(0.5)
    assert unlikeness(eyes(left=2, right=12), SIZE) == unlikeness(eyes(left=12, right=2), SIZE) == 1


def test_an_eye_that_cannot_be_seen_is_left_as_it_is() -> None:
    """From the side, of no width at all, and beyond the picture's edge."""
    shut = {"left": 2.0, "right": 12.0}
    assert unlikeness(eyes(**shut, narrow=NARROW), SIZE) == pytest.approx(1)
    assert unlikeness(eyes(**shut, narrow=(NARROW + NARROWEST) / 2), SIZE) == pytest.approx(0.5)
    assert unlikeness(eyes(**shut, narrow=NARROWEST), SIZE) == pytest.approx(0)
    assert unlikeness(eyes(**shut, narrow=0), SIZE) == 0
    assert unlikeness(np.zeros((468, 3)), SIZE) == 0
    for beyond in ((-70, 0, 0), (0, -120, 0), (80, 0, 0), (0, 140, 0)):
        assert unlikeness(eyes(**shut) + np.array(beyond), SIZE) == 0


@pytest.mark.parametrize(("eye", "kept"), [(LEFT, np.s_[:, SIDE // 2 :]), (RIGHT, np.s_[:, : SIDE // 2])])
def test_a_picture_becomes_symmetric_about_its_eyes(eye: Eye, kept: tuple[slice, slice]) -> None:
    """Eyes as far left of the middle as right of it: of noise the other half's ellipse becomes the mirror image, to the bit, this half stays."""
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    out = with_mirror_image(picture, eyes(), eye)
    np.testing.assert_array_equal(out[kept], picture[kept])
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    other = 78 if eye is LEFT else 178
    inside = np.hypot((x - other) / (1.5 * WIDTH / 2), (y - 120) / (WIDTH / 2)) < 0.8
    np.testing.assert_array_equal(out[inside], picture[:, ::-1][inside])


@pytest.mark.parametrize("turn", [0.0, 0.3])
@pytest.mark.parametrize("eye", [LEFT, RIGHT])
def test_the_other_eye_becomes_this_ones_mirror_image(eye: Eye, turn: float) -> None:
    """A ramp along the eye and one across it, whose mirror image is known; the far eye of a turned head is narrower and no lower."""
    narrow = 0.6
    points = eyes(narrow=narrow)
    centre, (c, s) = np.array([128.0, 128.0]), (np.cos(turn), np.sin(turn))
    rotation = np.array([[c, -s], [s, c]])
    points[:, :2] = (points[:, :2] - centre) @ rotation.T + centre
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    level = (np.stack([x, y], axis=-1) - centre) @ rotation + centre  # where a pixel lies when the eyes are level
    picture = np.stack([level[..., 0] / 2 + 40, level[..., 1] / 2 + 40, np.zeros((SIDE, SIDE))], axis=-1)
    out = with_mirror_image(picture.astype(np.uint8), points, eye)
    own, place, width = (178, 78, WIDTH) if eye is LEFT else (78, 178, narrow * WIDTH)
    along, across = level[..., 0] - place, level[..., 1] - 120
    away = np.hypot(along / (1.5 * width / 2), across / (WIDTH / 2))  # as high as the wider eye needs it
    stretched = narrow if eye is LEFT else 1 / narrow
    wanted = np.stack([(own - along * stretched) / 2 + 40, (120 + across) / 2 + 40], axis=-1)
    assert np.abs(out[away < 0.8][:, :2] - wanted[away < 0.8]).max() < 2
    np.testing.assert_array_equal(out[away > 1.2], picture.astype(np.uint8)[away > 1.2])


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
        return opening(found[asked].points, eye) / opening(rest.points, eye)

    def said(asked: str, eye: Eye) -> float:
        blendshapes = found[asked].blendshapes
        assert blendshapes is not None
        return float(network_expression(blendshapes, eye.blendshapes[:1]).values[0])

    found = {asked: landmarker.find_face(picture) for asked, picture in pictures.items()}
    assert 0.95 < ratio("wink", opened) < 1.05
    assert abs(ratio("wink", closed) - ratio("blink", closed)) < 0.08
    assert said("wink", opened) == pytest.approx(said("rest", opened), abs=0.1)  # of a blink in full
    assert said("wink", closed) == pytest.approx(said("blink", closed), abs=0.15)
    assert said("blink", closed) - said("rest", closed) > 0.7
    monkeypatch.setattr(each_eye, "unlikeness", lambda points, size: 0.0)  # as the mesh says it
    found = {asked: landmarker.find_face(picture) for asked, picture in pictures.items()}
    assert ratio("wink", opened) < 0.92


def test_an_eye_beyond_the_edge_is_not_read_as_closing(person: Person, landmarker: FaceLandmarker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A photo cut through the right eye: what is there is the edge's pixels again, and the mesh guesses that eye from the other."""
    outer, inner = person.landmarks.points[list(RIGHT.corners), 0]
    cut = np.ascontiguousarray(person.photo.array[:, int((outer + inner) / 2) :])
    by_itself = landmarker.find_face(cut)
    monkeypatch.setattr(each_eye, "unlikeness", lambda points, size: 0.0)
    np.testing.assert_array_equal(by_itself.points, landmarker.find_face(cut).points)
