"""Lids that close: a blink of 1 shuts anybody's eyes and goes no farther, whatever the shape of the face."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from discontrolface.face.heads.base import HeadModel
from discontrolface.face.landmark_basis import LandmarkBasis

UPPER, LOWER = (159, 386), (145, 374)  # MediaPipe's landmarks in the middle of the lids, right and left
NAMES = ("eyeBlinkLeft", "eyeBlinkRight")


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.open()


@pytest.fixture(scope="module")
def shapes() -> torch.Tensor:
    return torch.randn(40, 80, generator=torch.Generator().manual_seed(3))


def blinking(head: HeadModel, shapes: torch.Tensor, value: float, **others: float) -> torch.Tensor:
    """(B, V, 3) heads before pose with both eyes shut that far."""
    expression = torch.zeros(len(shapes), head.expression_count)
    for name, coefficient in {**dict.fromkeys(NAMES, value), **others}.items():
        expression[:, head.expression_names.index(name)] = coefficient
    return head.neutral(shapes, expression)


def gaps(head: HeadModel, vertices: torch.Tensor) -> torch.Tensor:
    """(B, 2) metres between the landmarks in the middle of the lids."""
    points = head.landmarks(vertices)[..., 1]
    return points[:, UPPER] - points[:, LOWER]


def test_a_blink_of_one_shuts_the_eyes_of_anybody(head: HeadModel, shapes: torch.Tensor) -> None:
    """The linear blendshape left up to 2 mm open of wide eyes and drew the lids of others 5 mm over the cheek."""
    opened, half, shut = (gaps(head, blinking(head, shapes, value)) for value in (0.0, 0.5, 1.0))
    assert opened.std() > 0.001
    assert shut.abs().max() < 0.0015
    torch.testing.assert_close(half, 0.5 * (opened + shut), atol=1e-5, rtol=0)
    torch.testing.assert_close(gaps(head, blinking(head, shapes, 1.5)), shut, atol=1e-5, rtol=0)


def test_eyes_shut_from_any_expression(head: HeadModel, shapes: torch.Tensor) -> None:
    for others in ({"eyeWideLeft": 1.0, "eyeWideRight": 1.0}, {"eyeSquintLeft": 1.0, "eyeSquintRight": 1.0}):
        assert gaps(head, blinking(head, shapes, 1.0, **others)).abs().max() < 0.0025


def test_a_wink_leaves_the_other_eye(head: HeadModel) -> None:
    rest = torch.zeros(1, 80)
    wink = blinking(head, rest, 0.0, eyeBlinkLeft=1.0) - blinking(head, rest, 0.0)
    lids, side = torch.from_numpy(head.region_mask("eyelids")), head.template[:, 0]
    assert wink[0, lids & (side < 0)].abs().max() < 1e-6
    assert wink[0, lids & (side > 0)].abs().max() > 0.005


def test_what_is_not_a_lid_moves_by_the_blendshape(head: HeadModel, shapes: torch.Tensor) -> None:
    blinked, rest = blinking(head, shapes, 1.0), blinking(head, shapes, 0.0)
    still = head.expression_dirs[[head.expression_names.index(n) for n in NAMES]].reshape(2, -1, 3).norm(dim=-1).amax(0) == 0
    torch.testing.assert_close(blinked[:, still], rest[:, still])


def test_the_fit_knows_how_far_a_person_has_to_go(head: HeadModel, shapes: torch.Tensor) -> None:
    """The landmarks' way of a blink, by the basis of a known shape, against the head itself."""
    basis = LandmarkBasis.of(head)
    rows = [basis.shape_count + head.expression_names.index(name) for name in NAMES]
    true = (head.landmarks(blinking(head, shapes, 1.0)) - head.landmarks(blinking(head, shapes, 0.0)))[:, UPPER, 1].numpy()
    of_person = np.array([basis.of_person(shape.double().numpy()).dirs[rows][:, UPPER, 1].sum(0) for shape in shapes])
    of_mean = np.broadcast_to(basis.dirs[rows][:, UPPER, 1].sum(0), true.shape)
    assert np.abs(of_person - true).max() < 2e-5  # the lower lid follows a blink a little
    assert np.abs(of_mean - true).mean() > 0.0005, "metres: and the mean person's would not do"


def test_a_head_may_change_its_numbers() -> None:
    """float64 after float32: the lids were made by then."""
    head = HeadModel.open()
    blink = torch.zeros(1, head.expression_count)
    blink[0, head.expression_names.index("eyeBlinkLeft")] = 1.0
    single = head.neutral(expression=blink)
    double = head.double().neutral(expression=blink.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, atol=1e-6, rtol=0)


def test_a_head_without_lids_has_none(head: HeadModel) -> None:
    plain = HeadModel(
        template=head.template.numpy(),
        faces=head.faces,
        shape_dirs=head.shape_dirs.reshape(80, -1, 3).numpy(),
        expression_dirs=head.expression_dirs.reshape(head.expression_count, -1, 3).numpy(),
        joint_regressor=head.joint_regressor.numpy(),
        weights=head.weights.numpy(),
        parents=head.parents,
    )
    assert plain.lids == ()
