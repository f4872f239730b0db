"""How a head model's landmarks move with its coefficients: everything that the fit needs of the head, as small NumPy arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.face.heads.lid_meeting import LARGEST_WAY, LEAST_WAY, OUTER, OVERLAP, Lid, opening
from discontrolface.face.layout import JAW
from discontrolface.geometry.rotations import about_x

if TYPE_CHECKING:
    from discontrolface.face.heads.base import HeadModel

Array = NDArray[np.float64]


class Closing(NamedTuple):
    """How far a blink takes the landmarks of a person: a share of its direction at each of R places of the lid's rim, mean + shape @ slopes.

    row: of `dirs`. mean: (R,); slopes: (S, R). parts: (R + 1, L, 3) the direction of what follows each place, and the outer corner.
    """

    row: int
    mean: Array
    slopes: Array
    parts: Array

    def direction(self, shape: Array) -> Array:
        """(L, 3) for a shape (S,), metres."""
        share = np.clip(self.mean + shape @ self.slopes, LEAST_WAY, LARGEST_WAY)
        return np.tensordot(np.append(share, OUTER), self.parts, 1)


@dataclass(frozen=True)
class LandmarkBasis:
    """The L landmarks of a head as the mean of their triangle's corners. Model space, metres; neck and eyes at rest.

    `corner_*` are for the 3 L corners: rest position (3L, 3), directions (n, 3L, 3) of the shape and then the expression, jaw weight (3L,).
    """

    corner_rest: Array
    corner_dirs: Array
    corner_jaw: Array
    corner_jaw_dirs: Array  # (9, 3L, 3) pose correctives of the jaw's R - I, or zeros
    barycentric: Array  # (L, 3)
    points: Array  # (L, 3) landmarks at rest, jaw closed
    dirs: Array  # (n, L, 3)
    joint_rest: Array  # (5, 3)
    joint_dirs: Array  # (n, 5, 3)
    shape_count: int
    expression_names: tuple[str, ...]
    name: str
    eye_radius: float  # of the eyeballs
    closings: tuple[Closing, ...]  # of a head whose lids meet (heads/lid_meeting.py)

    @classmethod
    def of(cls, head: HeadModel) -> LandmarkBasis:
        """Gather the arrays. Raises UserError for a head model without landmarks."""
        if head.embedding is None:
            raise UserError(f"head model {head.name!r} has no landmark embedding, so it cannot be fitted to a photo")
        corners = head.faces[head.embedding.triangles.cpu().numpy()].reshape(-1)  # (3L,)
        barycentric = head.embedding.barycentric.cpu().numpy().astype(np.float64)  # (L, 3)
        v = len(head.template)
        rest = head.template.cpu().numpy()
        dirs = np.concatenate([d.cpu().numpy().reshape(-1, v, 3) for d in (head.shape_dirs, head.expression_dirs)])
        regressor = head.joint_regressor.cpu().numpy()
        weights = head.weights.cpu().numpy()
        joint_rest = regressor @ rest
        jaw_dirs = np.zeros((9, len(corners), 3))
        if len(head.pose_dirs):
            jaw_dirs = head.pose_dirs.cpu().numpy().reshape(36, v, 3)[9 * (JAW - 1) : 9 * JAW, corners].astype(np.float64)
        eye = weights[:, 3] > 0.5
        radius = np.linalg.norm(rest[eye] - joint_rest[3], axis=1) if eye.any() else np.array([0.0])
        at = dirs[:, corners].astype(np.float64)
        used = np.flatnonzero((regressor != 0).any(0))  # few columns: a joint leans on the vertices around it
        joint_dirs = np.einsum("jv,nvc->njc", regressor[:, used], dirs[:, used], optimize=True)
        return cls(
            corner_rest=rest[corners].astype(np.float64),
            corner_dirs=at,
            corner_jaw=weights[corners, JAW].astype(np.float64),
            corner_jaw_dirs=jaw_dirs,
            barycentric=barycentric,
            points=_mean(rest[corners].astype(np.float64), barycentric),
            dirs=_mean(at, barycentric),
            joint_rest=joint_rest.astype(np.float64),
            joint_dirs=joint_dirs.astype(np.float64),
            shape_count=head.shape_count,
            expression_names=head.expression_names,
            name=head.name,
            eye_radius=float(np.median(radius)),
            closings=tuple(
                _closing(lid, head.shape_count, rest[:, 1], dirs[: head.shape_count, :, 1], corners, barycentric) for lid in head.lids
            ),
        )

    def of_person(self, shape: Array) -> LandmarkBasis:
        """For a known shape (S,): a blink of 1 closes this person's eyes."""
        dirs = self.dirs.copy()
        for closing in self.closings:
            dirs[closing.row] = closing.direction(shape)
        return replace(self, dirs=dirs)

    @property
    def has_jaw_angle(self) -> bool:
        """Whether the mouth opens by the jaw joint (FLAME), not by an action (the open head)."""
        return not self.expression_names

    def joints(self, coefficients: Array) -> Array:
        """(5, 3) joints at rest for coefficients (n,)."""
        return self.joint_rest + np.tensordot(coefficients, self.joint_dirs, 1)

    def at(self, coefficients: Array, jaw: float) -> tuple[Array, Array, Array]:
        """Landmarks (L, 3) for coefficients (n,) and a jaw angle in radians, and their derivatives by the coefficients (n, L, 3) and by the
        jaw angle (L, 3)."""
        if not self.has_jaw_angle:
            points = self.points + np.tensordot(coefficients, self.dirs, 1)
            return points, self.dirs, np.zeros_like(points)
        corners = self.corner_rest + np.tensordot(coefficients, self.corner_dirs, 1)
        pivot = self.joints(coefficients)[JAW]

        def turned(angle: float) -> Array:
            turn = about_x(angle)
            moved = corners + np.tensordot((turn - np.eye(3)).reshape(-1), self.corner_jaw_dirs, 1)
            return _mean(moved + self.corner_jaw[:, None] * ((moved - pivot) @ (turn - np.eye(3)).T), self.barycentric)

        h = 1e-4
        weight = _mean(self.corner_jaw[:, None], self.barycentric)  # (L, 1)
        dirs = self.dirs + weight * (self.dirs @ (about_x(jaw) - np.eye(3)).T)
        return turned(jaw), dirs, (turned(jaw + h) - turned(jaw - h)) / (2 * h)

    def normals(self, coefficients: Array) -> Array:
        """(L, 3) unit normals of the triangles that hold the landmarks, jaw closed."""
        corners = (self.corner_rest + np.tensordot(coefficients, self.corner_dirs, 1)).reshape(-1, 3, 3)
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)


def _closing(lid: Lid, shape_count: int, rest: Array, dirs: Array, corners: NDArray[np.int32], barycentric: Array) -> Closing:
    """rest: (V,) heights; dirs: (S, V) how the shape moves them; corners: (3L,) vertices of the landmarks' triangles."""
    way, between = lid.way.cpu().numpy().astype(np.float64), lid.between.cpu().numpy()
    opened = opening(torch.from_numpy(np.concatenate([rest[None], dirs]).astype(np.float64)), lid).numpy()  # (1 + S, R)
    follows, direction = np.zeros((len(rest), between.shape[1])), np.zeros((len(rest), 3))
    follows[lid.moved], direction[lid.moved] = between, lid.direction.cpu().numpy()
    parts = _mean(follows[corners].T[..., None] * direction[corners], barycentric)
    return Closing(shape_count + lid.blink, (opened[0] + OVERLAP) / way, opened[1:] / way, parts)


def _mean(corners: Array, barycentric: Array) -> Array:
    """(..., 3L, C) at the corners to (..., L, C) at the landmarks."""
    shaped = corners.reshape(*corners.shape[:-2], len(barycentric), 3, corners.shape[-1])
    return np.einsum("...lkc,lk->...lc", shaped, barycentric)
