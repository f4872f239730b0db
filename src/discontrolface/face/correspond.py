"""Which point of one neutral head is which of another: landmarks that both know, a smooth warp between them, then the nearest surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.geometry.similarity import Similarity

if TYPE_CHECKING:
    from discontrolface.face.heads.base import HeadModel

Array = NDArray[np.float64]

SURFACE: Final = ("skin", "lips", "eyelids", "brows", "neck", "scalp", "ears")  # what is seen of a head with its mouth closed
CANDIDATES: Final = 16  # triangles looked at for each point
FACING: Final = 0.3  # least cosine between the normals of two points that may be the same
REFINEMENTS: Final = 4
CONTROLS: Final = 400  # surface points that the refined warp goes through
TRUSTED: Final = 0.015  # metres: farther from the other surface than this is no correspondence


class Surface:
    """A triangle mesh that is asked for its nearest point."""

    def __init__(self, vertices: Array, faces: NDArray[np.integer]) -> None:
        from scipy.spatial import cKDTree

        self.corners = vertices[faces]  # (F, 3, 3)
        self.faces = np.asarray(faces, np.int64)
        cross = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        self.normals = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-12)
        self.tree = cKDTree(self.corners.mean(1))

    def nearest(self, points: Array, normals: Array | None = None) -> tuple[NDArray[np.int64], Array, Array]:
        """(triangle (N,), barycentric (N, 3), distance (N,)); with normals (N, 3), on triangles that face the same way where there are any."""
        _, index = self.tree.query(points, k=min(CANDIDATES, len(self.corners)))
        index = index.reshape(len(points), -1)
        weights = _closest_on_triangle(points[:, None], self.corners[index])  # (N, K, 3)
        feet = np.einsum("nkc,nkcx->nkx", weights, self.corners[index])
        distance = np.linalg.norm(feet - points[:, None], axis=-1)
        penalty = distance
        if normals is not None:
            penalty = distance + 10.0 * (np.einsum("nkx,nx->nk", self.normals[index], normals) < FACING)
        best = penalty.argmin(1)
        row = np.arange(len(points))
        return index[row, best], weights[row, best], penalty[row, best]


def _closest_on_triangle(p: Array, corners: Array) -> Array:
    """Barycentrics (..., 3) of the point of a triangle (..., 3, 3) that is nearest to p (..., 3)."""
    a, b, c = corners[..., 0, :], corners[..., 1, :], corners[..., 2, :]
    ab, ac, ap = b - a, c - a, p - a
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-18)
    v, w = (d11 * d20 - d01 * d21) / area, (d00 * d21 - d01 * d20) / area
    inside = np.stack([1 - v - w, v, w], -1)
    # or the nearest point of an edge
    along = []
    for i, j in ((0, 1), (1, 2), (2, 0)):
        start, edge = corners[..., i, :], corners[..., j, :] - corners[..., i, :]
        t = np.clip(((p - start) * edge).sum(-1) / np.maximum((edge * edge).sum(-1), 1e-18), 0, 1)
        weight = np.zeros((*t.shape, 3))
        weight[..., i], weight[..., j] = 1 - t, t
        along.append(weight)
    options = np.stack(along, -2)  # (..., 3 edges, 3)
    feet = np.einsum("...ec,...cx->...ex", options, corners)
    edge_best = np.linalg.norm(feet - p[..., None, :], axis=-1).argmin(-1)
    on_edge = np.take_along_axis(options, edge_best[..., None, None], -2)[..., 0, :]
    return np.where((inside >= 0).all(-1, keepdims=True), inside, on_edge)


@dataclass(frozen=True)
class Correspondence:
    """Target vertices on the source head. triangle (V,) rows of the source's faces, barycentric (V, 3), trust (V,) in [0, 1], similarity: source
    space to target space; landmarks: where the source's landmarks lie on the target, triangle (L,) and barycentric (L, 3)."""

    triangle: NDArray[np.int64]
    barycentric: Array
    trust: Array
    similarity: Similarity
    landmark_triangle: NDArray[np.int64]
    landmark_barycentric: Array

    def carry(self, field: Array, faces: NDArray[np.integer]) -> Array:
        """A displacement per source vertex (..., S, 3) to one per target vertex (..., V, 3), turned and scaled."""
        corners = np.asarray(faces, np.int64)[self.triangle]  # (V, 3)
        return self.similarity.vectors(np.einsum("...vcx,vc->...vx", field[..., corners, :], self.barycentric))


def shared_landmarks(source: HeadModel, target: HeadModel) -> tuple[Array, Array]:
    """Points (N, 3) on either neutral head that are the same: MediaPipe's, as far as the target has them. Those of iBUG's jaw line are left out
    but for the chin: they lie on the outline of a face seen from the front, MediaPipe's do not."""
    if (
        source.embedding is None
        or target.embedding is None
        or source.embedding.mediapipe is not None
        or len(source.embedding.triangles) != 468
    ):
        raise UserError("corresponding landmarks are needed: a source head with MediaPipe's 468, and a target head with an embedding")
    indices = target.embedding.mediapipe
    if indices is None:
        raise UserError(f"the landmarks of head model {target.name!r} are not known as MediaPipe's; give an embedding file that says so")
    index = indices.numpy()
    use = np.ones(len(index), bool)
    if len(index) == 68:
        use[:17] = False
        use[8] = True
    ours = source.landmarks(source.template[None])[0].double().cpu().numpy()[index]
    theirs = target.landmarks(target.template[None])[0].double().cpu().numpy()
    return ours[use], theirs[use]


def correspond(source: HeadModel, target: HeadModel) -> Correspondence:
    """Register the source's neutral head to the target's. Both need landmarks (`shared_landmarks`)."""
    ours, theirs = shared_landmarks(source, target)
    similarity = Similarity.between(ours, theirs)
    points = similarity(source.template.double().cpu().numpy())
    faces = source.faces[source.region_mask(*[n for n in SURFACE if n in source.region_names])[source.faces].all(1)]
    vertices = np.unique(faces)
    goal_vertices = target.template.double().cpu().numpy()
    eyes = target.region_mask("eyes") if "eyes" in target.region_names else np.zeros(len(goal_vertices), bool)
    goal_faces = target.faces[~eyes[target.faces].any(1)]
    goal = Surface(goal_vertices, goal_faces)
    anchors = similarity(ours)
    warped = points + _smooth(anchors, theirs - anchors, points, 1e-6)
    near = np.linalg.norm(points[vertices, None] - anchors[None], axis=-1).min(1)  # how far from a landmark
    controls = vertices[_spread(points[vertices], near < 0.06, CONTROLS)]
    for _ in range(REFINEMENTS):
        triangle, weight, distance = goal.nearest(warped[controls], _normals(warped, faces)[controls])
        feet = np.einsum("nc,ncx->nx", weight, goal.corners[triangle])
        close = distance < TRUSTED
        at = np.concatenate([points[controls[close]], anchors])
        to = np.concatenate([feet[close], theirs])
        warped = points + _smooth(at, to - at, points, 1e-5)
    # the way back: where each target vertex lies on the source
    ours_now = Surface(warped, faces)
    normals = _normals(goal_vertices, target.faces)
    triangle, weight, distance = ours_now.nearest(goal_vertices, normals)
    trust = np.clip(1.5 - distance / TRUSTED * 3, 0, 1) * ~eyes
    row = _rows_of(source.faces, faces)[triangle]
    assert source.embedding is not None
    marks = np.einsum(
        "lc,lcx->lx",
        source.embedding.barycentric.double().numpy(),
        warped[source.faces[source.embedding.triangles.numpy()].astype(np.int64)],
    )
    mark_triangle, mark_weight, _ = goal.nearest(marks)
    mark_row = _rows_of(target.faces, goal_faces)[mark_triangle]
    return Correspondence(row, weight, trust, similarity, mark_row, mark_weight)


def _smooth(at: Array, displacement: Array, points: Array, smoothing: float) -> Array:
    """Thin-plate spline through displacements (N, 3) at points (N, 3), at other points."""
    from scipy.interpolate import RBFInterpolator

    _, first = np.unique(np.round(at, 6), axis=0, return_index=True)  # no point twice
    return RBFInterpolator(at[first], displacement[first], kernel="thin_plate_spline", smoothing=smoothing)(points)


def _spread(points: Array, mask: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Up to `count` of the allowed points, far from one another (farthest-point sampling)."""
    index = np.flatnonzero(mask)
    if len(index) <= count:
        return index
    picks = [0]
    distance = np.linalg.norm(points[index] - points[index[0]], axis=1)
    for _ in range(count - 1):
        picks.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points[index] - points[index[picks[-1]]], axis=1))
    return index[picks]


def _normals(vertices: Array, faces: NDArray[np.integer]) -> Array:
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(total, faces[:, k], cross)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def _rows_of(all_faces: NDArray[np.integer], some: NDArray[np.integer]) -> NDArray[np.int64]:
    """For each of some faces its row among all."""
    place = {tuple(face): i for i, face in enumerate(all_faces.tolist())}
    return np.array([place[tuple(face)] for face in some.tolist()], np.int64)
