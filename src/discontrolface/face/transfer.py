"""The open head's blendshapes on FLAME: which of its expression and jaw vectors best makes each.

For each blendshape of the source head the displacement of the surface is carried over to the target head (correspond.py). Then

    minimise  sum_v w_v |V(e, jaw)_v - V(0, 0)_v - d_v|^2 / sigma^2  +  |e|^2

over the target's expression e, whose directions have unit variance, and, for the blendshapes of the jaw, its joint's angle. `V` is the whole model
with pose correctives. So "jawOpen" of 0.6 means the same on both heads, as far as the target can do it: what it cannot is the blendshape's residual.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.face.correspond import Correspondence, correspond
from discontrolface.face.embeddings import LandmarkEmbedding
from discontrolface.face.heads.base import HeadModel

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[np.float64]

JAW: Final = 2
JAW_BLENDSHAPES: Final = ("jawOpen", "jawForward", "jawLeft", "jawRight", "mouthClose")
SIGMA: Final = 0.001  # metres: how exactly the surface is to be met
INDEPENDENT: Final = 150  # vertices that count as independent measurements: neighbours move together
JAW_SIGMA: Final = 0.3  # radians
STILL: Final = 1e-4  # metres
STEPS: Final = 8  # Gauss-Newton steps for the jaw


@dataclass(frozen=True)
class BlendshapeTable:
    """Blendshapes as vectors of a head model with E raw expressions.

    names (A,), expression (A, E), jaw (A, 3) axis-angle in radians, residual (A,): share of its motion that is not made (root mean square,
    0 is exact), fields (A, V, 3): what each blendshape does to the neutral head, in metres.
    """

    names: tuple[str, ...]
    expression: NDArray[np.float32]
    jaw: NDArray[np.float32]
    residual: NDArray[np.float32]
    fields: NDArray[np.float32]

    def split(self, expression: NDArray[np.floating], jaw: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A plain expression (E,) and jaw (3,) as coefficients (A + E,) of `named_head` and a remaining jaw: blendshapes in [0, 1] that explain the
        vectors best, a few at a time, and what is left of them."""
        from scipy.optimize import lsq_linear

        vector = np.concatenate([_padded(expression, self.expression.shape[1]), np.asarray(jaw, np.float64) / JAW_SIGMA])
        vectors = np.concatenate([self.expression.astype(np.float64), self.jaw / JAW_SIGMA], 1)  # (A, E + 3)
        reach = np.linalg.norm(vectors, axis=1) > 1e-6
        amount = np.zeros(len(self.names))
        if reach.any():
            # a small price on each, so that few are taken
            system = np.concatenate([vectors[reach].T, 0.3 * np.eye(int(reach.sum()))])
            amount[reach] = lsq_linear(system, np.concatenate([vector, np.zeros(int(reach.sum()))]), (0, 1)).x
        amount[amount < 0.02] = 0
        rest = vector - amount @ vectors
        count = self.expression.shape[1]
        return np.concatenate([amount, rest[:count]]).astype(np.float32), (rest[count:] * JAW_SIGMA).astype(np.float32)

    def join(self, coefficients: NDArray[np.floating], jaw: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The inverse of `split`: coefficients (A + E,) and jaw (3,) to a plain expression (E,) and jaw (3,)."""
        amount, raw = np.split(np.asarray(coefficients, np.float64), [len(self.names)])
        return (raw + amount @ self.expression).astype(np.float32), (np.asarray(jaw) + amount @ self.jaw).astype(np.float32)

    def report(self) -> str:
        """A table of the residuals, worst first."""
        order = np.argsort(-self.residual)
        lines = [f"{self.names[i]:<22}{100 * self.residual[i]:6.1f} %   jaw {np.degrees(self.jaw[i, 0]):6.1f} degrees" for i in order]
        return "\n".join(["blendshape            residual", *lines])

    def save(self, path: Path) -> None:
        """As safetensors. Atomic."""
        from safetensors.numpy import save

        tensors = {name: np.ascontiguousarray(getattr(self, name)) for name in ("expression", "jaw", "residual", "fields")}
        write_atomically(path, save(tensors, {"names": json.dumps(self.names)}))

    @classmethod
    def load(cls, path: Path) -> BlendshapeTable:
        """What `save` wrote. Raises UserError for another file."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "np") as file:
                names = json.loads((file.metadata() or {}).get("names", "[]"))
                arrays: dict[str, Any] = {name: file.get_tensor(name) for name in ("expression", "jaw", "residual", "fields")}
        except (OSError, SafetensorError, ValueError) as error:
            raise UserError(f"{path} is not a table of blendshapes ({error}); delete it, and it is made again.") from None
        if any(len(a) != len(names) for a in arrays.values()):
            raise UserError(f"{path} has {len(names)} names for {len(arrays['jaw'])} blendshapes; delete it, and it is made again.")
        return cls(tuple(str(n) for n in names), **arrays)


def transfer_blendshapes(source: HeadModel, target: HeadModel, match: Correspondence | None = None) -> BlendshapeTable:
    """Solve every blendshape of the source head on the target head."""
    if not source.expression_names:
        raise UserError(f"head model {source.name!r} has no named expressions to transfer")
    match = correspond(source, target) if match is None else match
    fields = source.expression_dirs.double().cpu().numpy().reshape(source.expression_count, -1, 3)
    goals = match.carry(fields, source.faces)  # (A, V, 3)
    weight = match.trust / max(match.trust.sum(), 1e-9) * INDEPENDENT / SIGMA**2  # (V,)
    vertices = np.flatnonzero(weight > 0)
    dirs = target.expression_dirs.double().cpu().numpy().reshape(target.expression_count, -1, 3)
    root = np.sqrt(weight[vertices])[:, None]
    linear = (dirs[:, vertices] * root).reshape(len(dirs), -1)  # (E, 3 used)
    expression = np.zeros((len(goals), len(dirs)))
    jaw, residual = np.zeros((len(goals), 3)), np.zeros(len(goals))
    gram = linear @ linear.T + np.eye(len(dirs))
    motions = np.zeros((len(goals), len(target.template), 3), np.float32)
    for i, name in enumerate(source.expression_names):
        goal = (goals[i, vertices] * root).reshape(-1)
        if np.abs(goals[i, vertices]).max() < STILL:  # nothing that is seen of the surface moves (tongueOut)
            residual[i] = 1
            continue
        if name in JAW_BLENDSHAPES:
            expression[i], jaw[i] = _with_jaw(target, vertices, root, linear, goal)
        else:
            expression[i] = np.linalg.solve(gram, linear @ goal)
        motions[i] = _field(target, expression[i], jaw[i])
        missed = ((motions[i, vertices] * root).reshape(-1) - goal) ** 2
        residual[i] = np.sqrt(missed.sum() / max((goal**2).sum(), 1e-12))
    return BlendshapeTable(
        tuple(source.expression_names), expression.astype(np.float32), jaw.astype(np.float32), residual.astype(np.float32), motions
    )


def _with_jaw(target: HeadModel, vertices: NDArray[np.int64], root: Array, linear: Array, goal: Array) -> tuple[Array, Array]:
    """Expression (E,) and jaw (3,) by Gauss-Newton: the expression's part is linear but for the jaw's turn, the jaw's derivative is a difference."""
    count = len(linear)
    e, jaw = np.zeros(count), np.zeros(3)
    prior = np.concatenate([np.ones(count), np.full(3, 1 / JAW_SIGMA**2)])
    step = 1e-3
    for _ in range(STEPS):
        now = (_field(target, e, jaw)[vertices] * root).reshape(-1)
        by_jaw = [((_field(target, e, jaw + step * axis)[vertices] * root).reshape(-1) - now) / step for axis in np.eye(3)]
        jacobian = np.concatenate([linear, np.stack(by_jaw)])
        gradient = jacobian @ (goal - now) - prior * np.concatenate([e, jaw])
        change = np.linalg.solve(jacobian @ jacobian.T + np.diag(prior), gradient)
        e, jaw = e + change[:count], jaw + change[count:]
    return e, jaw


@torch.no_grad()
def _field(head: HeadModel, expression: Array, jaw: Array) -> NDArray[np.float32]:
    """(V, 3): how far expression and jaw move the neutral head's vertices."""
    pose = torch.zeros(1, 5, 3)
    pose[0, JAW] = torch.from_numpy(np.asarray(jaw, np.float32))
    points = head(expression=torch.from_numpy(expression.astype(np.float32))[None], pose=pose).vertices[0]
    return (points - head.template).cpu().numpy()


def named_head(head: HeadModel, table: BlendshapeTable) -> HeadModel:
    """The head with A blendshapes before its E raw expressions (`flame00`, ...). They are fields of displacements, linear in their value as the open
    head's are: exact at 0 and 1; between, a chord stands for the jaw's arc, at most angle^2 / 8 of its arm off it (1.6 mm for 0.4)."""
    count, size = head.expression_count, len(head.template)
    if table.expression.shape[1] != count or table.fields.shape[1] != size:
        raise UserError(
            f"the table of blendshapes is for {table.expression.shape[1]} expressions, head model {head.name!r} has {count}; delete it"
        )
    raw = head.expression_dirs.cpu().numpy().reshape(count, size, 3)
    return rebuilt(
        head,
        expression_dirs=np.concatenate([table.fields, raw]),
        expression_names=(*table.names, *raw_names(count)),
    )


def raw_names(count: int) -> Sequence[str]:
    """What FLAME's own coefficients are called beside the blendshapes."""
    return [f"flame{i:02d}" for i in range(count)]


def with_mesh_landmarks(head: HeadModel, match: Correspondence) -> HeadModel:
    """The head with the source head's 468 landmarks as its embedding, so that the landmark fit works on it as on the open head."""
    embedding = LandmarkEmbedding(
        torch.from_numpy(match.landmark_triangle), torch.from_numpy(match.landmark_barycentric.astype(np.float32))
    )
    return rebuilt(head, embedding=embedding)


def rebuilt(head: HeadModel, **changes: Any) -> HeadModel:
    """A head like another but for some of HeadModel's arguments."""
    size = len(head.template)

    def array(value: torch.Tensor) -> NDArray[np.float32]:
        return value.cpu().numpy().reshape(len(value), size, 3)

    same: dict[str, Any] = {
        "template": head.template.cpu().numpy(),
        "faces": head.faces,
        "shape_dirs": array(head.shape_dirs),
        "expression_dirs": array(head.expression_dirs),
        "joint_regressor": head.joint_regressor.cpu().numpy(),
        "weights": head.weights.cpu().numpy(),
        "parents": head.parents,
        "pose_dirs": array(head.pose_dirs) if len(head.pose_dirs) else None,
        "embedding": head.embedding,
        "contour": head.contour,
        "expression_names": head.expression_names,
        "uv": head.uv,
        "faces_uv": head.faces_uv,
        "region": head.region,
        "region_names": head.region_names,
        "mirror": head.mirror,
        "name": head.name,
    }
    return HeadModel(**{**same, **changes})


def _padded(values: NDArray[np.floating], count: int) -> Array:
    out = np.zeros(count)
    out[: min(count, len(values))] = np.asarray(values, np.float64)[:count]
    return out
