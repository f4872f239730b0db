"""The table of controls: one row is a keyword, an option, a key of files, a line of differences and readings, and a row of docs/controls.md."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from discontrolface.cli.common import grouped, plain_errors
from discontrolface.cli.controls import Controls
from discontrolface.cli.read import reading_rows
from discontrolface.common.errors import UserError
from discontrolface.face.blendshape_gains import GAINS
from discontrolface.face.control_kinds import combination, shape_direction
from discontrolface.face.control_table import Control
from discontrolface.face.controls import BUILT_IN, CONTROLS, ControlRegistry
from discontrolface.face.controls_page import controls_page
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.random_edits import EXPRESSIONS

DOCS = Path(__file__).parents[1] / "docs"

NOD = Control(
    name="nod",
    group="head",
    label="Nod",
    help="The chin goes down.",
    range=(-45, 45),
    unit="degrees",
    apply=lambda state, value: state.set_head("pitch", -value),
    read=lambda face: -face.pitch,
)
GRIMACE = combination("grimace", "mouth", "Grimace", "Bares the teeth.", {"mouthStretchLeft": 1.0, "mouthUpperUpLeft": 0.5})


@pytest.fixture(scope="module")
def face() -> FaceParameters:
    return FaceParameters.default(HeadModel.open()).edit(yaw=3, expression={"smile": 0.4}, gaze=(8, -4))


@pytest.fixture
def registered() -> Iterator[None]:
    CONTROLS.register(NOD, GRIMACE)
    yield
    CONTROLS.remove(NOD.key, GRIMACE.key)


def plain_face(names: tuple[str, ...] = (), count: int = 50) -> FaceParameters:
    """A face of a FLAME-like head."""
    pose = np.zeros((5, 3))
    return FaceParameters(np.zeros(100), np.zeros(len(names) or count), pose, np.ones(3), np.ones((9, 3)), np.ones((1, 3)), "flame", names)


def given(face: FaceParameters, *arguments: str) -> FaceParameters:
    """The face that these options of the command line make."""
    app, results = typer.Typer(), []

    @app.command()
    @grouped
    def edit(controls: Controls) -> None:
        with plain_errors():
            results.append(controls.target(SimpleNamespace(parameters=face), {}))  # type: ignore[arg-type]

    outcome = CliRunner().invoke(app, arguments)
    if outcome.exit_code:
        raise UserError(outcome.output)
    return results[0]


# ---- one row, everywhere


def test_a_toy_control_is_one_row(face: FaceParameters, registered: None) -> None:
    edited = face.edit(controls={"nod": 12})
    assert edited.pitch == pytest.approx(-12, abs=1e-4)
    assert given(face, "--nod", "12") == edited
    assert edited.difference(face) == {"pitch": [0.0, -12.0], "nod": [0.0, 12.0]}
    assert ("nod", "12.0°") in reading_rows(edited)
    document = json.loads(edited.to_json())
    assert document["nod"] == 12.0
    assert FaceParameters.from_json(edited.to_json()) == edited
    document["nod"] = 5.0
    assert FaceParameters.from_json(json.dumps(document)).pitch == pytest.approx(-5, abs=1e-4)
    assert FaceParameters.from_json('{"nod": 12}', base=face) == edited
    for refused in ({"nod": 46}, {"nodd": 1}):
        with pytest.raises(UserError, match="nod"):
            face.edit(controls=refused)
    with pytest.raises(UserError, match="-45 to 45 degrees"):
        given(face, "--nod", "90")


def test_a_toy_combination_is_one_row(face: FaceParameters, registered: None) -> None:
    edited = face.edit(expression={"grimace": 0.8})
    assert edited.difference(face) == {"expression.mouthStretchLeft": [0.0, 0.8], "expression.mouthUpperUpLeft": [0.0, 0.4]}
    assert edited == face.edit(controls={"grimace": 0.8}) == given(face, "--expression", "grimace=0.8")
    assert edited == FaceParameters.from_json('{"expression": {"grimace": 0.8}}', base=face)
    assert edited.controls.find("expression", "grimace").read(edited) == pytest.approx(0.8)  # type: ignore[misc]
    assert face.edit(expression={"mouthUpperUpLeft": 0.1, "grimace": 0.8}).blendshape("mouthUpperUpLeft") == pytest.approx(0.1)
    with pytest.raises(UserError, match="did you mean grimace"):
        face.edit(expression={"grimmace": 0.8})
    with pytest.raises(UserError, match="numbers from 0 to 49"):
        plain_face().edit(expression={"grimace": 0.8})


def test_the_command_line_lists_a_toy_control() -> None:
    code = """
from discontrolface.face import CONTROLS, Control
CONTROLS.register(Control(name="nod", group="head", label="Nod", help="The chin goes down.", range=(-45, 45), unit="degrees",
    apply=lambda state, value: state.set_head("pitch", -value), read=lambda face: -face.pitch))
from discontrolface.cli.app import app
app(["edit", "--help"])
"""
    wide = os.environ | {"COLUMNS": "200"}
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=wide).stdout
    assert "--nod" in text
    assert "The chin goes down." in text
    assert "-45 to 45 degrees" in text


def test_a_row_without_the_toy_is_unknown_again(face: FaceParameters) -> None:
    with pytest.raises(UserError, match="unknown control 'nod'"):
        face.edit(controls={"nod": 12})
    with pytest.raises(UserError, match="unknown key 'nod'"):
        FaceParameters.from_json('{"nod": 12}', base=face)


def test_a_shape_direction_may_have_a_name(face: FaceParameters) -> None:
    wide = shape_direction("wideFace", "Wide face", "A broader skull.", {0: 1.0, 4: -0.5}, heads=("open",))
    CONTROLS.register(wide)
    try:
        edited = face.edit(shape={"wideFace": 2, 4: 0.5})
        assert edited.shape[[0, 4]].tolist() == [2.0, 0.5]
        assert given(face, "--shape", "wideFace=2,4=0.5") == edited
        with pytest.raises(UserError, match="numbers from 0 to 99"):
            plain_face().edit(shape={"wideFace": 2})
    finally:
        CONTROLS.remove(wide.key)


# ---- the table itself


def test_the_keywords_of_edit_are_the_arguments_of_the_table() -> None:
    keywords = [name for name in inspect.signature(FaceParameters.edit).parameters if name not in ("self", "controls")]
    assert sorted(keywords) == sorted(argument.name for argument in BUILT_IN.arguments)


def test_every_row_is_complete() -> None:
    for row in BUILT_IN.rows:
        assert row.label
        assert row.help.endswith(".")
        assert row.range[0] < row.range[1]
    assert {row.group for row in BUILT_IN.rows} == set(BUILT_IN.groups)


def test_random_edits_use_names_of_the_table() -> None:
    assert set(EXPRESSIONS) <= {row.name for row in BUILT_IN.of("expression")}


def test_docs_are_up_to_date() -> None:
    made = "python -m discontrolface.face.controls_page docs/controls.md"
    assert (DOCS / "controls.md").read_text(encoding="utf-8") == controls_page(), f"run {made}"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"name": "yaw"}, "taken"),
        ({"name": "expression"}, "taken"),
        ({"name": "exact"}, "taken"),
        ({"name": "jawOpen", "argument": "expression"}, "taken"),
        ({"name": "a b"}, "letters"),
        ({"group": "hat"}, "groups are"),
        ({"argument": "hat"}, "such arguments are"),
    ],
)
def test_rows_that_do_not_fit_are_refused(row: dict, words: str) -> None:
    values = {"name": "toy", "group": "head", "label": "Toy", "help": "Toy.", "apply": lambda state, value: None, **row}
    with pytest.raises(UserError, match=words):
        BUILT_IN.with_controls(Control(**values))


def test_registering_from_many_threads_loses_nothing() -> None:
    registry = ControlRegistry(BUILT_IN)
    before = registry.table
    rows = [Control(name=f"toy{i}", group="head", label="Toy", help="Toy.", apply=lambda state, value: None) for i in range(64)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(registry.register, rows))
    assert {row.key for row in rows} <= {argument.name for argument in registry.table.arguments}
    assert before.rows == BUILT_IN.rows  # a table never changes


def test_importing_the_table_is_light() -> None:
    heavy = "[m for m in ('torch', 'scipy', 'numba', 'numpy') if m in sys.modules]"
    code = f"import sys, discontrolface.face.controls, discontrolface.cli.controls; print({heavy})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# ---- any control by name


def test_controls_by_name_are_the_keywords(face: FaceParameters) -> None:
    by_keyword = face.edit(expression={"jawOpen": 0.5, "smile": 0.2}, yaw=10, gaze=(5, 6), shape={3: 1}, light="left", neutral=True)
    sliders = {"jawOpen": 0.5, "smile": 0.2, "yaw": 10, "gaze_yaw": 5, "gaze_pitch": 6, "shape.3": 1, "light": "left", "neutral": True}
    assert face.edit(controls=sliders) == by_keyword
    assert face.edit(controls={"expression.jawOpen": 0.5, "expression": {"smile": 0.2}, "yaw": None}) == face.edit(
        expression={"jawOpen": 0.5, "smile": 0.2}
    )


def test_one_axis_of_the_gaze_keeps_the_other(face: FaceParameters) -> None:
    assert face.edit(controls={"gaze_pitch": 9}).gaze == pytest.approx((8, 9), abs=1e-4)


def test_what_is_given_twice_or_undone_is_refused(face: FaceParameters) -> None:
    for values in ({"yaw": 5}, {"turn": (3, 0, 0)}, {"turn_yaw": 3}):
        with pytest.raises(UserError, match="yaw"):
            face.edit(yaw=10, controls=values)
    with pytest.raises(UserError, match="give one of them"):
        face.edit(controls={"gaze_yaw": 3, "eyeLookUpLeft": 0.2})
    assert face.edit(yaw=10, turn=(0, 2, 0)).yaw == pytest.approx(10, abs=1e-4)  # a turn by 0 says nothing


def test_the_same_options_as_the_keywords(face: FaceParameters) -> None:
    options = ["--expression", "smile=0.8,jawOpen=0.2", "--yaw", "15", "--gaze", "10,-5", "--jaw", "3", "--light", "left"]
    options += ["--light-rotation", "20", "--shape", "0=1.5", "--neutral", "--turn", "0,2,0"]
    wish = {"yaw": 15, "gaze": (10, -5), "jaw": 3, "light": "left", "light_rotation": 20, "neutral": True, "turn": (0, 2, 0)}
    assert given(face, *options) == face.edit(expression={"smile": 0.8, "jawOpen": 0.2}, shape={0: 1.5}, **wish)  # type: ignore[arg-type]


def test_heads_without_names_and_with_some(face: FaceParameters) -> None:
    numbered, mixed = plain_face(), plain_face(("jawOpen", "flame00", "earsUp"))
    assert numbered.edit(controls={"expression.49": -3}).expression[49] == -3
    assert {row.group for row in numbered.controls.controls if row.argument == "expression"} == {"expression"}
    assert mixed.edit(expression={"flame00": -3, "earsUp": 1.5, "openMouth": 0.5}).expression.tolist() == pytest.approx(
        [0.5 * GAINS["jawOpen"], -3, 1.5]
    )
    for wrong in ({"earsUp": -1}, {"flame00": -5}, {"smile": 1}, {"0": 1}):
        with pytest.raises(UserError):
            mixed.edit(expression=wrong)
    assert "smile" in {row.name for row in face.controls.controls}
    assert "smile" not in {row.name for row in mixed.controls.controls}
    assert ("expression", "49 -3.00") in reading_rows(numbered.edit(expression={"49": -3}))
    assert ("expression", "neutral") in reading_rows(numbered)


# A file as version 1 was first written, before there was a table of controls.
FILE = """{
  "format": "discontrolface.parameters",
  "version": 1,
  "head": "toy",
  "yaw": 11.4592,
  "pitch": 0.0,
  "roll": 0.0,
  "gaze": [0.0, 0.0],
  "jaw": 5.7296,
  "expression": {"jawOpen": 0.25},
  "shape": {"1": -1.5},
  "exact": {
    "shape": [0.0, -1.5],
    "expression": [0.25, 0.0],
    "pose": [[0.0, 0.0, 0.0], [0.0, 0.2, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    "camera": [7.0, 0.0, 0.03],
    "light": [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0],
      [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    "albedo": [[0.5, 0.5, 0.5]],
    "expression_names": ["jawOpen", "tongueOut"]
  }
}
"""


def test_files_written_before_are_read_and_written_alike() -> None:
    face = FaceParameters.from_json(FILE)
    assert face.expression.tolist() == [0.25, 0.0]
    assert json.loads(face.to_json()) == {**json.loads(FILE), "version": 2}
    assert list(json.loads(face.to_json())) == list(json.loads(FILE))
    changed = FaceParameters.from_json(FILE.replace('"jaw": 5.7296', '"jaw": 9'))
    assert changed.jaw == pytest.approx(9)
    assert changed.with_(pose=face.pose) == face


def test_controls_count_what_is_seen_and_older_files_the_heads_coefficients(face: FaceParameters) -> None:
    """A control's 1 is `gain` of the head's coefficient; a file of version 1 is read to the bit, and what was changed in it by hand counts."""
    edited = face.edit(expression={"browsDown": 0.5, "jawOpen": 0.25})
    row = face.expression_names.index("browDownLeft")
    assert edited.expression[row] == pytest.approx(0.5 * GAINS["browDownLeft"])
    assert edited.blendshape("browDownLeft") == pytest.approx(0.5)
    assert edited.readable()["expression"]["browDownLeft"] == pytest.approx(0.5)
    older = json.loads(edited.to_json()) | {"version": 1}
    for name in older["expression"]:
        older["expression"][name] = round(float(edited.expression[face.expression_names.index(name)]), 4)
    assert FaceParameters.from_json(json.dumps(older)) == edited
    older["expression"]["jawOpen"] = 0.7
    changed = FaceParameters.from_json(json.dumps(older))
    assert changed.expression[face.expression_names.index("jawOpen")] == pytest.approx(0.7)
    assert changed.blendshape("browDownLeft") == edited.blendshape("browDownLeft")
