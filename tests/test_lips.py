"""Something before the mouth: hands, which have the colour of skin, and things of any colour are noticed; mouths are not taken for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.before_mouth import HANDS, THINGS, with_hand, with_thing
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from discontrolface.common.example import example_photo
from discontrolface.face.landmarks import FaceLandmarker
from discontrolface.face.lips import LOWER_INNER, UPPER_INNER, hidden_lips
from discontrolface.face.regions_of_faces import mesh_region
from discontrolface.render.covered import COVERED

CORNERS = [61, 291]
SKIN = [9, 8, 151, 107, 336, 50, 280, 101, 330, 117, 346]  # forehead and cheeks


@pytest.fixture(scope="module")
def landmarker() -> FaceLandmarker:
    return FaceLandmarker()


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    return np.asarray(Image.open(example_photo()).convert("RGB").resize((320, 320), Image.Resampling.LANCZOS))


def grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(picture.mean(-1, keepdims=True).astype(np.uint8), 3, axis=2)


def test_a_mouth_is_seen(landmarker: FaceLandmarker, photo: NDArray[np.uint8]) -> None:
    for picture in (photo, grey(photo), photo[:, ::-1].copy()):
        assert hidden_lips(picture, landmarker.find_face(picture)) < 0.1


def test_teeth_are_seen_between_lips_as_pale_as_skin(landmarker: FaceLandmarker, photo: NDArray[np.uint8]) -> None:
    """A small blurred smile: lips no redder than the chin, no dark line; what lies between them is white. The same without teeth is a palm."""
    landmarks = replace(landmarker.find_face(photo), mouth_unsteadiness=0.95)
    palm = Image.new("RGB", photo.shape[1::-1], (200, 150, 125))
    smile = palm.copy()
    rim = [*UPPER_INNER, *reversed(LOWER_INNER)]
    ImageDraw.Draw(smile).polygon([(float(x), float(y)) for x, y in landmarks.points[rim, :2]], fill=(215, 205, 190))
    assert hidden_lips(np.asarray(smile), landmarks) < COVERED < hidden_lips(np.asarray(palm), landmarks)


@pytest.mark.parametrize("kind", HANDS)
def test_a_hand_before_the_mouth_is_noticed(landmarker: FaceLandmarker, photo: NDArray[np.uint8], kind: str) -> None:
    mesh = landmarker.find_face(photo).points
    points = mesh[:, :2]
    columns, rows = points[SKIN].astype(int).T
    covered = with_hand(photo, points[CORNERS], np.median(photo[rows, columns], axis=0), kind, seed=1)
    for picture in (covered, grey(covered)):
        landmarks = landmarker.landmarks(picture, mesh_region(mesh))
        assert hidden_lips(picture, landmarks) > COVERED
    assert hidden_lips(covered, replace(landmarks, mouth_unsteadiness=None)) == 0  # known landmarks say nothing of it


@pytest.mark.parametrize("kind", [kind for kind in THINGS if kind != "spoon"])
def test_a_thing_before_the_mouth_is_noticed(landmarker: FaceLandmarker, photo: NDArray[np.uint8], kind: str) -> None:
    mesh = landmarker.find_face(photo).points  # the detector may no longer see a face that a phone is before
    covered = with_thing(photo, mesh[CORNERS, :2], kind, seed=1)
    assert hidden_lips(covered, landmarker.landmarks(covered, mesh_region(mesh))) > COVERED
