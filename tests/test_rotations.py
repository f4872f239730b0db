"""Our rotations against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from discontrolface.geometry.rotations import about_x, about_y, about_z, head_angles, head_rotation, to_axis_angle, to_matrix


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 0.3, 1.5, 3.1, np.pi - 1e-7])
def test_axis_angle_is_scipys(angle: float) -> None:
    for direction in np.random.default_rng(0).standard_normal((50, 3)):
        vector = direction / np.linalg.norm(direction) * angle
        matrix = Rotation.from_rotvec(vector).as_matrix()
        np.testing.assert_allclose(to_matrix(vector), matrix, atol=1e-12)
        np.testing.assert_allclose(to_matrix(to_axis_angle(matrix)), matrix, atol=1e-12)
        np.testing.assert_allclose(to_axis_angle(matrix), vector, atol=1e-8)


def test_turns_and_angles_are_scipys() -> None:
    for about, axis in ((about_x, "x"), (about_y, "y"), (about_z, "z")):
        np.testing.assert_allclose(about(0.7), Rotation.from_euler(axis, 0.7).as_matrix(), atol=1e-12)
    for yaw, pitch, roll in np.random.default_rng(1).uniform([-180, -89, -180], [180, 89, 180], (50, 3)):
        expected = Rotation.from_euler("YXZ", [yaw, -pitch, -roll], degrees=True)
        np.testing.assert_allclose(head_rotation(yaw, pitch, roll), expected.as_matrix(), atol=1e-12)
        np.testing.assert_allclose(head_angles(expected.as_matrix()), [yaw, pitch, roll], atol=1e-9)
