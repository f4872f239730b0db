"""Amounts that are added to what a face shows."""

import numpy as np
import pytest

from discontrolface.common.errors import UserError
from discontrolface.face.added import with_added
from discontrolface.face.heads.registry import find_head
from discontrolface.face.parameters import FaceParameters


@pytest.fixture(scope="module")
def face() -> FaceParameters:
    return FaceParameters.default(find_head("open").geometry().head)


def test_amounts_are_added_and_kept_in_range(face: FaceParameters) -> None:
    own = face.edit(yaw=10, expression={"mouthSmileLeft": 0.5, "mouthSmileRight": 0.2, "jawOpen": 0.9}, gaze=(4, 0))
    changed = with_added(own, {"yaw": 5.0, "expression": {"smile": 0.2, "jawOpen": 0.3}, "gaze": (3, 1), "light": "left"})
    assert changed.yaw == pytest.approx(15, abs=1e-3)
    assert changed.blendshape("mouthSmileLeft") == pytest.approx(0.7)
    assert changed.blendshape("mouthSmileRight") == pytest.approx(0.4), "a crooked smile stays crooked"
    assert changed.blendshape("jawOpen") == pytest.approx(1.2)
    assert changed.gaze == pytest.approx((7, 1), abs=0.1)
    assert not np.array_equal(changed.light, own.light)
    assert with_added(own, {"yaw": -80.0}).yaw == pytest.approx(-60, abs=1e-3)
    assert with_added(own, {"expression": {"jawOpen": -0.5}}).blendshape("jawOpen") == pytest.approx(0.4)
    assert with_added(own, {"shape": {0: 1.5}}, {"shape.1": -1.0}).shape[:2] == pytest.approx([own.shape[0] + 1.5, own.shape[1] - 1.0])


def test_nothing_is_the_same_to_the_bit(face: FaceParameters) -> None:
    own = face.edit(yaw=3, expression={"smile": 0.3})
    assert with_added(own) == own
    assert with_added(own, {"yaw": 0.0, "expression": {"smile": 0.0}, "neutral": False}) == own


def test_a_switch_acts_first(face: FaceParameters) -> None:
    changed = with_added(face.edit(expression={"jawOpen": 0.6}), {"expression": {"smile": 0.2}, "neutral": True})
    assert changed.expression_dict(0.01) == pytest.approx({"mouthSmileLeft": 0.2, "mouthSmileRight": 0.2})


def test_too_much_and_unknown_names_are_refused(face: FaceParameters) -> None:
    with pytest.raises(UserError, match="a change of yaw = 130"):
        with_added(face, {"yaw": 130.0})
    with pytest.raises(UserError, match="smile"):
        with_added(face, {"expression": {"smiel": 0.2}})
