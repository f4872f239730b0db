"""Rotations in NumPy: axis-angle, matrices, and the angles that users say (docs/conventions.md)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def about_x(angle: float) -> Array:
    """(3, 3) right-handed turn about x, radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def about_y(angle: float) -> Array:
    """(3, 3) right-handed turn about y, radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def about_z(angle: float) -> Array:
    """(3, 3) right-handed turn about z, radians."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def head_rotation(yaw: float, pitch: float, roll: float = 0.0) -> Array:
    """(3, 3) from degrees: R_y(yaw) R_x(-pitch) R_z(-roll). yaw > 0: the nose goes to the image's right; pitch > 0: up; roll > 0: the top
    of the head goes to the image's right."""
    return about_y(math.radians(yaw)) @ about_x(-math.radians(pitch)) @ about_z(-math.radians(roll))


def head_angles(rotation: NDArray[np.floating]) -> tuple[float, float, float]:
    """(yaw, pitch, roll) in degrees: the inverse of `head_rotation`, pitch in [-90, 90] (at +-90 roll is taken as 0)."""
    r = np.asarray(rotation, np.float64)
    pitch = math.asin(min(1.0, max(-1.0, float(r[1, 2]))))
    if math.hypot(r[0, 2], r[2, 2]) < 1e-9:
        return math.degrees(math.atan2(-r[2, 0], r[0, 0])), math.degrees(pitch), 0.0
    return math.degrees(math.atan2(r[0, 2], r[2, 2])), math.degrees(pitch), math.degrees(math.atan2(-r[1, 0], r[1, 1]))


def to_matrix(axis_angle: NDArray[np.floating]) -> Array:
    """Axis-angle (3,) in radians to a matrix (3, 3) (Rodrigues)."""
    v = np.asarray(axis_angle, np.float64)
    angle = float(np.linalg.norm(v))
    k = np.array([[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]])
    a, b = (1.0, 0.5) if angle < 1e-8 else (math.sin(angle) / angle, (1 - math.cos(angle)) / angle**2)
    return np.eye(3) + a * k + b * (k @ k)


def to_axis_angle(rotation: NDArray[np.floating]) -> Array:
    """A rotation matrix (3, 3) to axis-angle (3,), angle in [0, pi]. Through the quaternion with the largest component, so also good at pi."""
    r = np.asarray(rotation, np.float64)
    x, y, z = r[0, 0], r[1, 1], r[2, 2]
    squares = np.array([1 + x + y + z, 1 + x - y - z, 1 - x + y - z, 1 - x - y + z])  # 4 q^2 of w, x, y, z
    best = int(squares.argmax())
    big = math.sqrt(squares[best]) / 2
    if best == 0:
        q = np.array([0.0, r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    elif best == 1:
        q = np.array([r[2, 1] - r[1, 2], 0.0, r[1, 0] + r[0, 1], r[0, 2] + r[2, 0]])
    elif best == 2:
        q = np.array([r[0, 2] - r[2, 0], r[1, 0] + r[0, 1], 0.0, r[2, 1] + r[1, 2]])
    else:
        q = np.array([r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[2, 1] + r[1, 2], 0.0])
    q /= 4 * big
    q[best] = big
    if q[0] < 0:
        q = -q
    sine = float(np.linalg.norm(q[1:]))
    if sine < 1e-12:
        return 2 * q[1:]
    return q[1:] * (2 * math.atan2(sine, q[0]) / sine)
