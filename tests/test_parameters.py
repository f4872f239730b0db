"""Face parameters: absolute edits, signs of angles, names and ranges, JSON, what differs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from discontrolface.common.errors import UserError
from discontrolface.face.controls import COMBINATION_ROWS
from discontrolface.face.heads.base import HeadModel, rodrigues
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.rotations import head_angles, head_rotation, to_axis_angle, to_matrix
from discontrolface.render.shade import mean_face_shading


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.open()


@pytest.fixture(scope="module")
def face(head: HeadModel) -> FaceParameters:
    """A face with nothing at its default."""
    rng = np.random.default_rng(0)
    start = FaceParameters.default(head)
    pose = rng.normal(size=(5, 3)) * 0.1
    return start.with_(
        shape=rng.normal(size=head.shape_count),
        expression=rng.random(head.expression_count),
        pose=pose,
        camera=[7.5, 0.01, -0.02],
        light=start.light + rng.normal(size=(9, 3)) * 0.1,
        albedo=rng.random((len(head.region_names), 3)),
    )


@pytest.fixture(scope="module")
def unnamed() -> FaceParameters:
    """A face of a head without names of expressions, as FLAME."""
    return FaceParameters(np.zeros(100), np.zeros(50), np.zeros((5, 3)), np.ones(3), np.ones((9, 3)), np.ones((1, 3)), head="flame")


# ---- angles


@settings(deadline=None)
@given(st.floats(-80, 80), st.floats(-80, 80), st.floats(-170, 170))
def test_angles_come_back(yaw: float, pitch: float, roll: float) -> None:
    np.testing.assert_allclose(head_angles(head_rotation(yaw, pitch, roll)), (yaw, pitch, roll), atol=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.floats(0, math.pi - 1e-3))
def test_axis_angle_comes_back(axis: list[float], angle: float) -> None:
    length = float(np.linalg.norm(axis))
    if length < 1e-3:
        return
    vector = np.array(axis) / length * angle
    matrix = to_matrix(vector)
    np.testing.assert_allclose(matrix, rodrigues(torch.from_numpy(vector)).numpy(), atol=1e-9)
    np.testing.assert_allclose(to_axis_angle(matrix), vector, atol=1e-6)


def test_axis_angle_at_half_a_turn() -> None:
    for axis in np.eye(3):
        matrix = to_matrix(axis * math.pi)
        np.testing.assert_allclose(to_matrix(to_axis_angle(matrix)), matrix, atol=1e-9)


def test_signs_are_those_of_the_conventions(head: HeadModel) -> None:
    start = FaceParameters.default(head)

    def tip_and_top(face: FaceParameters) -> tuple[np.ndarray, np.ndarray]:
        tensors = face.tensors()
        turn = head(tensors["shape"], tensors["expression"], tensors["pose"]).rotations[0, 1].numpy()
        return turn @ [0, 0, 1], turn @ [0, 1, 0]

    assert tip_and_top(start.edit(yaw=20))[0][0] > 0.3  # the nose to the image's right
    assert tip_and_top(start.edit(pitch=20))[0][1] > 0.3  # up
    assert tip_and_top(start.edit(roll=20))[1][0] > 0.3  # the top of the head to the image's right


def test_angles_are_absolute_and_the_bust_stays(face: FaceParameters) -> None:
    turned = face.edit(yaw=25)
    assert turned.yaw == pytest.approx(25, abs=1e-3)
    assert turned.pitch == pytest.approx(face.pitch, abs=1e-3)
    assert turned.roll == pytest.approx(face.roll, abs=1e-3)
    np.testing.assert_array_equal(np.delete(turned.pose, 1, 0), np.delete(face.pose, 1, 0))
    assert turned.edit(yaw=25).yaw == pytest.approx(25, abs=1e-3)
    relative = face.edit(turn=(5, 0, -3))
    assert relative.yaw == pytest.approx(face.yaw + 5, abs=1e-3)
    assert relative.pitch == pytest.approx(face.pitch, abs=1e-3)
    assert relative.roll == pytest.approx(face.roll - 3, abs=1e-3)


def test_none_keeps_to_the_bit(face: FaceParameters) -> None:
    assert face.edit() == face
    only = face.edit(expression={"jawOpen": 0.5})
    assert only.with_(expression=face.expression) == face
    assert face.edit(light_rotation=10).with_(light=face.light) == face


# ---- expressions, gaze, jaw, shape


def test_expressions_are_absolute_and_aliases_spread(face: FaceParameters) -> None:
    edited = face.edit(expression={"smile": 0.8, "mouthSmileLeft": 0.2}).expression_dict()
    assert edited["mouthSmileRight"] == pytest.approx(0.8)
    assert edited["mouthSmileLeft"] == pytest.approx(0.2)  # an action overrides its share of a short name
    before = face.expression_dict()
    assert all(edited[name] == before[name] for name in before if not name.startswith("mouthSmile"))


def test_every_combination_is_of_blendshapes_of_the_open_head(head: HeadModel) -> None:
    assert {name for row in COMBINATION_ROWS for name in row.blendshapes} <= set(head.expression_names)
    assert not {row.name for row in COMBINATION_ROWS} & set(head.expression_names)


def test_gaze_turns_eyes_and_lids_together(head: HeadModel) -> None:
    start = FaceParameters.default(head)
    looking = start.edit(gaze=(17.5, -12.5))
    assert looking.gaze == pytest.approx((17.5, -12.5), abs=1e-3)
    actions = looking.expression_dict(0.01)
    assert actions == pytest.approx({"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5, "eyeLookDownLeft": 0.5, "eyeLookDownRight": 0.5})
    by_actions = start.edit(expression=actions)
    np.testing.assert_allclose(by_actions.pose, looking.pose, atol=1e-6)
    assert looking.edit(expression={"jawOpen": 0.3}).gaze == looking.gaze
    assert looking.edit(gaze=(0, 0)) == start
    assert looking.edit(neutral=True) == looking  # the gaze is not an expression
    with pytest.raises(UserError, match="give one of them"):
        start.edit(gaze=(5, 5), expression={"eyeLookUpLeft": 0.3})


def test_neutral(face: FaceParameters) -> None:
    calm = face.edit(neutral=True, expression={"jawOpen": 0.25})
    actions = {name: value for name, value in calm.expression_dict(1e-6).items() if not name.startswith("eyeLook")}
    assert actions == pytest.approx({"jawOpen": 0.25})
    assert calm.jaw == 0
    assert (calm.yaw, calm.gaze) == (face.yaw, face.gaze)


def test_jaw_and_shape(face: FaceParameters, head: HeadModel) -> None:
    edited = face.edit(jaw=15, shape={3: 1.5, "7": -2})
    assert edited.jaw == pytest.approx(15)
    assert edited.shape[[3, 7]].tolist() == [1.5, -2]
    np.testing.assert_array_equal(np.delete(edited.shape, [3, 7]), np.delete(face.shape, [3, 7]))
    start = FaceParameters.default(head)
    opened = start.edit(jaw=20).tensors()
    chin = head(pose=opened["pose"]).vertices[0, :, 1].sub(head.template[:, 1])[head.weights[:, 2] > 0.9]
    assert chin.mean() < -0.005  # the jaw goes down


def test_heads_without_names_take_numbers(unnamed: FaceParameters) -> None:
    edited = unnamed.edit(expression={"3": -2.5})
    assert edited.expression[3] == -2.5
    with pytest.raises(UserError, match="numbers from 0 to 49"):
        unnamed.edit(expression={"smile": 1})


# ---- light


def test_light_presets_keep_brightness_and_tint(face: FaceParameters) -> None:
    lit = face.edit(light="left")
    want, got = (mean_face_shading(torch.tensor(f.light)).numpy() for f in (face, lit))
    np.testing.assert_allclose(got, want, rtol=1e-5)
    assert lit.light[1].mean() < -0.1  # brighter where the normal points to the image's left


def test_light_rotation_turns_to_the_right(face: FaceParameters) -> None:
    front = face.edit(light="front")
    turned = front.edit(light_rotation=60)
    assert turned.light[1].mean() > 0.1
    np.testing.assert_allclose(turned.edit(light_rotation=-60).light, front.light, atol=1e-5)
    np.testing.assert_array_equal(face.edit(light=front.light).light, front.light)


# ---- errors


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"expression": {"jawopen": 0.5}}, ["'jawopen'", "jawOpen"]),
        ({"expression": {"smyle": 0.5}}, ["'smyle'", "smile"]),
        ({"expression": {"qqqq": 0.5}}, ["'qqqq'", "known are", "tongueOut"]),
        ({"expression": {"jawOpen": 1.7}}, ["jawOpen", "1.7", "0 to 1.5"]),
        ({"expression": {"jawOpen": -0.1}}, ["jawOpen", "-0.1"]),
        ({"expression": {"jawOpen": "wide"}}, ["jawOpen", "'wide'"]),
        ({"expression": {"jawOpen": True}}, ["jawOpen", "True"]),
        ({"yaw": 61}, ["yaw", "61", "-60 to 60"]),
        ({"pitch": -46}, ["pitch", "-46", "-45 to 45"]),
        ({"roll": math.nan}, ["roll", "nan"]),
        ({"turn": (100, 0, 0)}, ["yaw", "-60 to 60"]),
        ({"turn": (10, 0, 0), "yaw": 5}, ["yaw", "one of them"]),
        ({"gaze": (36, 0)}, ["gaze yaw", "36", "-35 to 35"]),
        ({"gaze": (0, 26)}, ["gaze pitch", "26", "-25 to 25"]),
        ({"gaze": (1,)}, ["gaze", "2 numbers"]),
        ({"jaw": 31}, ["jaw", "31", "0 to 30"]),
        ({"shape": {80: 1}}, ["'80'", "0 to 79"]),
        ({"shape": {"nose": 1}}, ["'nose'"]),
        ({"shape": {0: 5}}, ["shape 0", "-4 to 4"]),
        ({"light": "lefty"}, ["'lefty'", "'left'"]),
        ({"light": np.zeros((3, 3))}, ["light", "9x3"]),
        ({"light_rotation": 181}, ["light rotation", "181"]),
    ],
)
def test_errors_name_the_value_and_the_way_out(face: FaceParameters, change: dict, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        face.edit(**change)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"pose": np.zeros((4, 3))}, "5x3"),
        ({"shape": np.full(80, np.inf)}, "finite"),
        ({"albedo": np.full((13, 3), 1.5)}, "albedo"),
        ({"camera": ["a", "b", "c"]}, "camera"),
        ({"expression": np.zeros(3)}, "names"),
    ],
)
def test_arrays_are_checked(face: FaceParameters, change: dict, word: str) -> None:
    with pytest.raises(UserError, match=word):
        face.with_(**change)


def test_arrays_cannot_be_written_to(face: FaceParameters) -> None:
    with pytest.raises(ValueError, match="read-only"):
        face.pose[0, 0] = 1
    source = np.zeros(80, np.float32)
    copy = face.with_(shape=source)
    source[0] = 3
    assert copy.shape[0] == 0


# ---- taking from another face, differences


def test_take_from(face: FaceParameters, head: HeadModel) -> None:
    other = FaceParameters.default(head).edit(expression={"smile": 0.7}, yaw=30, gaze=(10, 5), light="top", shape={0: 2})
    smiling = face.take_from(other, "expression")
    assert smiling.expression_dict()["mouthSmileLeft"] == pytest.approx(0.7)
    assert smiling.gaze == face.gaze
    assert smiling.expression_dict()["eyeLookUpLeft"] == face.expression_dict()["eyeLookUpLeft"]
    turned = face.take_from(other, "pose")
    assert (turned.yaw, turned.pitch, turned.roll) == pytest.approx((30, 0, 0), abs=1e-3)
    np.testing.assert_array_equal(turned.pose[0], face.pose[0])
    everything = face.take_from(other, "expression", "pose", "gaze", "light", "shape", "albedo")
    assert everything.gaze == other.gaze
    np.testing.assert_array_equal(everything.light, other.light)
    np.testing.assert_array_equal(everything.camera, face.camera)
    assert everything.with_(pose=other.pose, camera=other.camera) == other
    with pytest.raises(UserError, match=r"'hair'.*known are"):
        face.take_from(other, "hair")


def test_take_from_another_model_is_refused(face: FaceParameters, unnamed: FaceParameters) -> None:
    with pytest.raises(UserError, match="different head models"):
        face.take_from(unnamed, "pose")


def test_difference_lists_what_was_edited(head: HeadModel) -> None:
    start = FaceParameters.default(head)
    assert start.difference(start) == {}
    edited = start.edit(expression={"jawOpen": 0.6}, yaw=15, light="left", shape={2: 1})
    difference = edited.difference(start)
    assert set(difference) == {"expression.jawOpen", "yaw", "light", "shape.2"}
    assert difference["yaw"] == [0.0, 15.0]
    assert difference["expression.jawOpen"] == [0.0, 0.6]
    json.dumps(difference)


# ---- tensors and files


def test_tensors(face: FaceParameters) -> None:
    tensors = face.tensors(dtype=torch.float64)
    assert {name: tuple(value.shape) for name, value in tensors.items()} == {
        "shape": (1, 80),
        "expression": (1, 52),
        "pose": (1, 5, 3),
        "camera": (1, 3),
        "light": (1, 9, 3),
        "albedo": (1, 13, 3),
    }
    assert all(value.dtype == torch.float64 for value in tensors.values())
    np.testing.assert_array_equal(tensors["pose"][0].float().numpy(), face.pose)


def test_json_is_exact_and_readable(face: FaceParameters, unnamed: FaceParameters) -> None:
    for one in (face, unnamed):
        assert FaceParameters.from_json(one.to_json()) == one
    document = json.loads(face.edit(yaw=12, expression={"jawOpen": 0.4}).to_json())
    assert document["yaw"] == pytest.approx(12, abs=1e-3)
    assert document["expression"]["jawOpen"] == pytest.approx(0.4)
    assert document["version"] == 2


def test_json_changed_by_hand_is_an_edit(face: FaceParameters) -> None:
    document = json.loads(face.to_json())
    document["yaw"] = 22.0
    document["expression"]["jawOpen"] = 0.9
    del document["expression"]["mouthPucker"]
    changed = FaceParameters.from_json(json.dumps(document))
    assert changed.yaw == pytest.approx(22, abs=1e-3)
    assert changed.expression_dict()["jawOpen"] == pytest.approx(0.9)
    assert changed.expression_dict()["mouthPucker"] == 0
    assert set(changed.difference(face)) == {"yaw", "expression.jawOpen", "expression.mouthPucker"}


def test_a_few_lines_of_json_change_a_base(face: FaceParameters) -> None:
    text = '{"yaw": 10, "expression": {"smile": 0.5}}'
    changed = FaceParameters.from_json(text, base=face)
    assert changed == face.edit(yaw=10, expression={"smile": 0.5})
    with pytest.raises(UserError, match="'exact' is missing"):
        FaceParameters.from_json(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[1]", "holds list"),
        ('{"format": "something"}', "format"),
        ('{"version": 3}', "version 3"),
        ('{"version": true}', "version"),
        ('{"colour": 1}', "'colour'"),
        ('{"yaw": 1e999}', "yaw"),
        ('{"yaw": NaN}', "not valid JSON"),
        ('{"yaw": "left"}', "yaw"),
        ('{"gaze": 3}', "gaze"),
        ('{"expression": [1]}', "expression"),
        ('{"expression": {"jawOpen": {}}}', "jawOpen"),
        ('{"exact": {}}', "exact"),
        (" " * 1_000_001, "too long"),
    ],
)
def test_hostile_json_is_refused(face: FaceParameters, text: str, word: str) -> None:
    with pytest.raises(UserError, match=word) as error:
        FaceParameters.from_json(text, base=face, source="me.json")
    assert "me.json" in str(error.value)


@pytest.mark.parametrize("broken", [None, 1, "x", [[]], [True] * 80, [1e300] * 80, ["1"] * 80, [[[[1]]]]])
def test_hostile_arrays_are_refused(face: FaceParameters, broken: object) -> None:
    document = json.loads(face.to_json())
    document["exact"]["shape"] = broken
    with pytest.raises(UserError, match="shape"):
        FaceParameters.from_json(json.dumps(document))
