"""How far a reading can be trusted: parts that fall where they should, and pictures that are no clear frontal face."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discontrolface.common.example import example_photo
from discontrolface.common.images import Photo
from discontrolface.editing.person import Person
from discontrolface.editing.reading import Reader
from discontrolface.face.confidence import LOW, disagreement, rate
from discontrolface.face.layout import GLOBAL
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.regions_of_faces import mesh_region
from discontrolface.geometry.rotations import head_rotation, to_axis_angle
from discontrolface.synthetic.portraits import HELD_OUT, make_scene, random_parameters, render_scene

PHOTO = example_photo()


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.open()


@pytest.fixture(scope="module")
def person(reader: Reader) -> Person:
    return reader.read(PHOTO)


def drawn(yaw: float, seed: int = HELD_OUT + 7) -> tuple[np.ndarray, FaceParameters]:
    scene = make_scene(seed)
    face = random_parameters(scene, np.random.default_rng(seed)).edit(neutral=True, gaze=(0, 0))
    pose = np.zeros_like(face.pose)
    pose[GLOBAL] = to_axis_angle(head_rotation(yaw, 0))
    face = face.with_(pose=pose)
    return np.clip(np.rint(render_scene(scene, face, 320).image * 255), 0, 255).astype(np.uint8), face


def test_a_clear_photo_is_trusted(person: Person) -> None:
    assert person.confidence.value > 0.9
    assert not person.confidence.low


@pytest.mark.parametrize("yaw", [0, 30, -30])
def test_a_drawn_face_turned_a_little_is_trusted(reader: Reader, yaw: float) -> None:
    picture, face = drawn(yaw)
    person = reader.read(Photo(picture, Path("drawn.png"), "", None, (320, 320)))
    assert person.confidence.value > LOW
    assert person.parameters.yaw == pytest.approx(face.yaw, abs=8)


@pytest.mark.parametrize("yaw", [80, -80])
def test_a_profile_is_never_trusted(reader: Reader, yaw: float) -> None:
    """Looked at where the face is, whether or not the detector would find it."""
    picture, face = drawn(yaw)
    geometry = reader.geometry
    points = geometry.landmarks(face, 320).astype(np.float32)
    landmarks = reader.landmarker.landmarks(picture, mesh_region(points))
    read = reader.person(Photo(picture, Path("drawn.png"), "", None, (320, 320)), landmarks)
    assert read.confidence.low


def test_each_part_falls_by_itself(person: Person) -> None:
    landmarks, fit, face = person.landmarks, person.fit, person.parameters
    clear = rate(landmarks, fit, face)
    worse = {
        "detection": rate(replace(landmarks, detection=0.5), fit, face),
        "landmarks": rate(replace(landmarks, score=0.7), fit, face),
        "fit": rate(landmarks, replace(fit, mean_percent=2.4), face),
        "agreement": rate(replace(landmarks, blendshapes=1 - landmarks.blendshapes), fit, face),
        "view": rate(landmarks, fit, face.edit(yaw=60)),
    }
    for name, confidence in worse.items():
        assert confidence.weakest == name
        assert confidence.value < 0.7 * clear.value
        same = {part: value for part, value in clear.readable().items() if part not in (name, "value")}
        assert {part: confidence.readable()[part] for part in same} == same


def test_without_a_network_nothing_disagrees(person: Person) -> None:
    assert disagreement(replace(person.landmarks, blendshapes=None), person.fit, person.parameters) == 0


def test_known_parameters_are_trusted(reader: Reader) -> None:
    picture, face = drawn(0)
    assert Person.known(picture, face, reader.geometry).confidence.value == 1


def test_the_file_says_it_and_is_read_without_it(person: Person) -> None:
    text = person.parameters.to_json(person.confidence.readable())
    assert json.loads(text)["confidence"]["value"] == pytest.approx(person.confidence.value, abs=1e-3)
    assert FaceParameters.from_json(text) == person.parameters


def test_a_blurred_face_is_trusted_less(reader: Reader, person: Person) -> None:
    small = Image.open(PHOTO).convert("RGB").resize((128, 128)).resize((512, 512))
    read = reader.read(Photo(np.asarray(small), Path("blurred.png"), "", None, (512, 512)))
    assert read.confidence.value <= person.confidence.value
