"""A drawn portrait follows a drawn clip: the measures on cases with known answers, and, heavy, the whole with its bounds."""

import numpy as np
import pytest

from discontrolface.editing.editor import Editor
from discontrolface.editing.performance import Performance
from discontrolface.evaluation.drawn_clip import (
    BLINK,
    JAW,
    RATE,
    YAW,
    correlations,
    curves,
    draw_clip,
    flicker,
    mean_psnr,
    measure_clip,
    shown,
)
from discontrolface.face.heads.registry import find_head
from discontrolface.face.parameters import FaceParameters


def test_the_curves_begin_neutral_and_use_their_range() -> None:
    known = curves(60)
    assert all(abs(curve[0]) < 1e-9 for curve in known.values())
    assert {name: round(float(curve.max()), 1) for name, curve in known.items()} == {"yaw": YAW, "jawOpen": JAW, "blink": BLINK}
    pairs = np.corrcoef([known[name] for name in known])
    assert np.abs(pairs[~np.eye(3, dtype=bool)]).max() < 0.3, "each has to be followed by itself"


def test_correlations_of_what_is_shown_and_of_what_stands_still() -> None:
    face = FaceParameters.default(find_head("open").geometry().head)
    known = curves(30)
    exact = correlations(known, Performance(tuple(shown(face, known, k) for k in range(30)), RATE))
    assert all(value == pytest.approx(1, abs=1e-3) for value in exact.values())
    still = correlations(known, Performance((face,) * 30, RATE))
    assert still == {"yaw": 0, "jawOpen": 0, "blink": 0}


def test_flicker_and_psnr_by_hand() -> None:
    dark, light = np.full((4, 4, 3), 100, np.uint8), np.full((4, 4, 3), 103, np.uint8)
    light[0] = 200
    wall = np.ones((4, 4), bool)
    wall[0] = False
    assert flicker([dark, light, dark], wall) == 3
    assert mean_psnr([dark], [dark + np.uint8(51)]) == pytest.approx(20 * np.log10(5))


@pytest.mark.heavy
def test_a_portrait_follows_a_clip() -> None:
    clip = draw_clip(60)
    result, made = measure_clip(Editor.load("open", cache=None), clip)
    assert len(made) == 60
    assert min(result.correlation.values()) >= 0.9
    assert result.wall <= 1
    assert result.psnr > result.warp_psnr
