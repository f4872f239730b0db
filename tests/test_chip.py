"""Where dlib cuts a face out, by the head model, against dlib's own chips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from discontrolface.face.chip import chip_of
from discontrolface.face.heads.registry import find_head
from discontrolface.face.landmark_sets import IBUG_68
from discontrolface.face.parameters import FaceParameters
from discontrolface.training.likeness import CHIP_GROWTH, CHIP_PIXELS, CHIP_SHIFT, chip_grid, cut_out

SIZE = 256


def dlibs_chip(dlib: Any, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """(4,) as `chip_of`, of what dlib cuts out of a picture whose colours are its coordinates. points: (68, 2) pixels of a crop of SIZE."""
    margin = 200  # so that the whole chip lies on the picture
    side = SIZE + 2 * margin
    rows, columns = np.mgrid[:side, :side]
    picture = np.stack([columns // 4, rows // 4, np.zeros((side, side))], -1).astype(np.uint8)
    shape = dlib.full_object_detection(
        dlib.rectangle(0, 0, side, side), [dlib.point(round(float(x) + margin), round(float(y) + margin)) for x, y in points]
    )
    chip = dlib.get_face_chip(picture, shape, CHIP_PIXELS, 0.25).astype(float)
    down, right = np.mgrid[:CHIP_PIXELS, :CHIP_PIXELS] + 0.5 - CHIP_PIXELS / 2
    known = np.stack([right.ravel(), down.ravel(), np.ones(CHIP_PIXELS**2)], 1)
    fit = np.linalg.lstsq(known, 4 * chip[..., :2].reshape(-1, 2) + 2 - margin, rcond=None)[0]
    middle, step = fit[2] / SIZE, fit[0]
    return np.array([middle[0], middle[1], np.hypot(*step) * CHIP_PIXELS / SIZE, np.arctan2(step[1], step[0])])


@pytest.mark.parametrize("edit", [{}, {"yaw": 40}, {"yaw": -40}, {"pitch": 15}, {"roll": 20}, {"expression": {"jawOpen": 0.8}}])
def test_the_chip_is_dlibs(edit: dict[str, Any]) -> None:
    dlib = pytest.importorskip("_dlib_pybind11")
    geometry = find_head("open").geometry()
    face = FaceParameters.default(geometry.head).edit(**edit)
    ours, theirs = chip_of(geometry, face), dlibs_chip(dlib, geometry.landmarks(face, SIZE)[list(IBUG_68), :2])
    # dlib rounds points to pixels. A fixed place, which is what this replaces, is 45 % of a side off at 40 degrees.
    np.testing.assert_allclose(ours[:3], theirs[:3], atol=0.012 * theirs[2])
    assert abs(np.degrees(ours[3] - theirs[3])) < 1


def test_the_grid_reads_the_square_that_the_chip_names() -> None:
    """A picture whose colours are its coordinates, from -1 to 1: the chip shows where it lies, turned; beyond the picture it is black."""
    axis = (torch.arange(64) + 0.5) / 32 - 1
    picture = torch.stack([axis.expand(64, 64), axis[:, None].expand(64, 64), torch.zeros(64, 64)])[None]
    seen = cut_out(picture, chip_grid(torch.tensor([[0.5, 0.625, 0.25, np.pi / 2]]), torch.zeros(1, 3)))[0]
    step = 0.5 / CHIP_PIXELS
    along = (torch.arange(CHIP_PIXELS) + 0.5) * step - 0.25
    assert torch.allclose(seen[1], 0.25 + along.expand(CHIP_PIXELS, -1), atol=1e-4)  # a step to the right in the chip leads down
    assert torch.allclose(seen[0], -along[:, None].expand(-1, CHIP_PIXELS), atol=1e-4)
    corner = cut_out(picture, chip_grid(torch.tensor([[0.0, 0.0, 0.5, 0.0]]), torch.zeros(1, 3)))[0]
    assert torch.equal(corner[:, :70, :70], -torch.ones(3, 70, 70))


def test_chance_moves_and_grows_the_chip() -> None:
    chip = torch.tensor([[0.4, 0.6, 0.5, 0.0]])
    plain, right, down, large = (chip_grid(chip, torch.tensor([chance])) for chance in ([0.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]))
    assert torch.allclose(right - plain, torch.tensor([2 * 0.5 * CHIP_SHIFT, 0.0]), atol=1e-6)
    assert torch.allclose(down - plain, torch.tensor([0.0, 2 * 0.5 * CHIP_SHIFT]), atol=1e-6)
    spread = (large.amax((1, 2)) - large.amin((1, 2))) / (plain.amax((1, 2)) - plain.amin((1, 2)))
    assert torch.allclose(spread, torch.exp(torch.tensor(CHIP_GROWTH)), atol=1e-4)
