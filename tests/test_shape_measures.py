"""Measurements of a face's shape: sliders by name that move the mesh as they say, measured on the mesh itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.flame_synthetic import write_all

from discontrolface.cli.read import reading_rows
from discontrolface.common.errors import UserError
from discontrolface.face.added import with_added
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.shape_rows import MEASURES
from discontrolface.studio.control_rows import control_rows


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.open()


@pytest.fixture(scope="module")
def face(head: HeadModel) -> FaceParameters:
    """Somebody who is not average."""
    shape = np.random.default_rng(3).standard_normal(head.shape_count)
    return FaceParameters.default(head).with_(shape=shape).edit(yaw=4, expression={"smile": 0.3})


def distances(head: HeadModel, shapes: np.ndarray) -> dict[str, np.ndarray]:
    """{measure: (N,) metres} of heads at rest, off their meshes."""
    points = head.landmarks(head.neutral(torch.tensor(shapes, dtype=torch.float32))).numpy()
    own = range(468) if head.embedding.mediapipe is None else head.embedding.mediapipe.tolist()  # type: ignore[union-attr]
    place = {number: index for index, number in enumerate(own)}
    out = {}
    for measure in MEASURES:
        axis = "xyz".index(measure.axis)
        high, low = (np.mean([points[:, place[n], axis] for n in side], axis=0) for side in (measure.high, measure.low))
        out[measure.name] = high - low
    return out


def test_each_measure_moves_the_mesh_as_it_says_and_nothing_else(head: HeadModel, face: FaceParameters) -> None:
    people = distances(head, np.random.default_rng(0).standard_normal((4000, head.shape_count)))
    deviation = {name: float(values.std()) for name, values in people.items()}
    mean = {name: float(values.mean()) for name, values in people.items()}
    before = distances(head, face.shape[None])
    for name in deviation:
        assert face.shape_measure(name) == pytest.approx((before[name][0] - mean[name]) / deviation[name], abs=0.12)
        value = face.shape_measure(name) + 1.5
        edited = face.edit(shape={name: value})
        after = distances(head, edited.shape[None])
        for other in deviation:
            moved = (after[other][0] - before[other][0]) / deviation[other]
            assert moved == pytest.approx(1.5 if other == name else 0, abs=0.06 if other == name else 1e-3), (name, other)
        assert edited.shape_measure(name) == pytest.approx(value, abs=1e-5)
        assert edited.difference(face).keys() <= {f"shape.{i}" for i in range(head.shape_count)}  # head, expression, light: untouched


def test_names_say_what_grows(head: HeadModel) -> None:
    """The picture of the head, not the numbers: a wide jaw is wider in x, a long chin lower, a deep nose nearer to the camera."""
    face = FaceParameters.default(head)

    def points(**values: float) -> np.ndarray:
        return head.landmarks(head.neutral(torch.tensor(face.edit(shape=values).shape[None]))).numpy()[0]

    assert np.ptp(points(jawWidth=3)[[58, 288, 172, 397], 0]) > np.ptp(points()[[58, 288, 172, 397], 0]) + 0.01
    assert points(chinLength=3)[152, 1] - points(chinLength=3)[17, 1] < points()[152, 1] - points()[17, 1] - 0.01
    assert points(noseDepth=3)[4, 2] - points(noseDepth=3)[[98, 327], 2].mean() > points()[4, 2] - points()[[98, 327], 2].mean() + 0.008
    for name in ("eyeSlant", "browHeight", "mouthWidth"):
        mirrored = points(**{name: 2.0})
        assert mirrored[263, 1] == pytest.approx(mirrored[33, 1], abs=1e-3)  # both sides alike


def test_what_is_there_already_changes_nothing_and_the_order_does_not_matter(face: FaceParameters) -> None:
    assert face.edit(shape={"jawWidth": face.shape_measure("jawWidth")}) == face
    together = face.edit(shape={"jawWidth": 2, "noseLength": -1})
    assert np.allclose(together.shape, face.edit(shape={"noseLength": -1}).edit(shape={"jawWidth": 2}).shape, atol=1e-5)
    assert together.edit(shape={"jawWidth": face.shape_measure("jawWidth"), "noseLength": face.shape_measure("noseLength")}).shape == (
        pytest.approx(face.shape, abs=1e-5)
    )
    assert face.edit(shape={"jawWidth": 2, 5: 0.25}).shape[5] == np.float32(0.25)  # a number is the more special wish
    for value, words in ((4.5, "-4 to 4"), (float("nan"), "-4 to 4")):
        with pytest.raises(UserError, match=words):
            face.edit(shape={"jawWidth": value})
    with pytest.raises(UserError, match="did you mean jawWidth"):
        face.edit(shape={"jawWidht": 1})


def test_files_amounts_and_readings_know_them(face: FaceParameters) -> None:
    wide = face.edit(shape={"jawWidth": 2})
    assert FaceParameters.from_json('{"shape": {"jawWidth": 0}}', base=wide).shape_measure("jawWidth") == pytest.approx(0, abs=1e-5)
    document = json.loads(wide.to_json()) | {"yaw": 7.0}
    document["shape"]["jawWidth"] = -1.0
    again = FaceParameters.from_json(json.dumps(document), base=face)
    assert again.shape_measure("jawWidth") == pytest.approx(-1, abs=1e-5)
    assert again.yaw == pytest.approx(7, abs=1e-4)
    more = with_added(face, {"shape": {"noseWidth": 1.0}})
    assert more.shape_measure("noseWidth") == pytest.approx(min(face.shape_measure("noseWidth") + 1, 4), abs=1e-5)
    assert "jawWidth 2.00" in dict(reading_rows(wide))["shape"]
    rows = [row for row in control_rows(face) if row.group == "shape"]
    assert [row.name for row in rows[: len(MEASURES)]] == [measure.name for measure in MEASURES]  # before the numbers


def test_flame_has_them_where_its_landmarks_are(tmp_path: Path) -> None:
    """The official landmark file has 68 points; without landmarks there is no measurement, and numbers are left."""
    write_all(tmp_path, networks=False)
    model = tmp_path / "generic_model.pkl"
    flame = HeadModel.from_flame(model, tmp_path / "landmark_embedding.npy", shape_count=100)
    some = FaceParameters.default(flame)
    assert 10 < len(flame.shape_measures.names) < len(MEASURES)
    assert "foreheadHeight" not in flame.shape_measures.names
    edited = some.edit(shape={"jawWidth": 2})
    assert {name: edited.shape_measure(name) for name in flame.shape_measures.names} == pytest.approx(
        {name: 2.0 if name == "jawWidth" else 0.0 for name in flame.shape_measures.names}, abs=1e-4
    )
    bare = HeadModel.from_flame(model, shape_count=100)
    with pytest.raises(UserError, match="numbers from 0 to 99"):
        FaceParameters.default(bare).edit(shape={"jawWidth": 1})
