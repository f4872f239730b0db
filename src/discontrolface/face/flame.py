"""FLAME's official files to a head model: the model itself, landmark embeddings, texture coordinates, regions, texture space.

Sources: FLAME (Li et al. 2017) and its pickles; `FLAME`, `FLAMETex` and the data folder of DECA (Feng et al. 2021); EMOCA v2's embedding for
MediaPipe's landmarks. Files come from outside: they are read without executing anything, and every shape is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from discontrolface.common.errors import UserError
from discontrolface.common.unpickle import load_file
from discontrolface.face.embeddings import CONTOUR_LIMIT, ContourEmbedding, LandmarkEmbedding
from discontrolface.face.joints import JOINTS
from discontrolface.face.landmark_sets import IBUG_68

SHAPES, EXPRESSIONS = 300, 100  # directions in every FLAME since 2017, in this order
FLAME_KEYS = ("f", "v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
MAX_VERTICES = 10**6

# FLAME_masks.pkl's names to ours, from the general to the special.
MASK_REGIONS = {
    "scalp": "scalp",
    "neck": "neck",
    "boundary": "neck",
    "left_ear": "ears",
    "right_ear": "ears",
    "lips": "lips",
    "left_eyeball": "eyes",
    "right_eyeball": "eyes",
}


@dataclass(frozen=True)
class FlameArrays:
    """What a FLAME file holds, checked: faces (F, 3) int32, template (V, 3), shape_dirs (300, V, 3), expression_dirs (100, V, 3), pose_dirs
    (36, V, 3), joint_regressor (5, V), weights (V, 5), parents (5,); float32."""

    faces: NDArray[np.int32]
    template: NDArray[np.float32]
    shape_dirs: NDArray[np.float32]
    expression_dirs: NDArray[np.float32]
    pose_dirs: NDArray[np.float32]
    joint_regressor: NDArray[np.float32]
    weights: NDArray[np.float32]
    parents: tuple[int, ...]


def load_content(path: str | Path) -> Any:
    """An official file, or the safetensors that `discontrolface assets import` made of one."""
    if Path(path).suffix != ".safetensors":
        return load_file(path)
    from safetensors import SafetensorError
    from safetensors.numpy import load_file as load_tensors

    try:
        return load_tensors(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}); import the official file again.") from None


def read_flame(path: str | Path) -> FlameArrays:
    """A FLAME model: the official pickle (generic_model.pkl, flame2023.pkl), or a .npz with the same arrays.

    Raises UserError, in one sentence, for a file that is not FLAME's, is damaged, or has a wrong shape.
    """
    return check_flame(load_content(path), str(path))


def check_flame(content: Any, name: str) -> FlameArrays:
    """The arrays of a FLAME model, by their official names, checked. Raises UserError that names the array."""
    missing_keys = [key for key in FLAME_KEYS if not isinstance(content, dict) or key not in content]
    if missing_keys:
        what = f"{name} is not a FLAME model: it has no {', '.join(missing_keys)}"
        raise UserError(f"{what}; give generic_model.pkl of FLAME 2020 or flame2023.pkl.")
    vertices = len(_numbers(content["v_template"], f"v_template of {name}"))
    faces = len(_numbers(content["f"], f"f of {name}"))
    joints = len(JOINTS)
    if not 4 <= vertices <= MAX_VERTICES:
        raise UserError(f"v_template of {name} has {vertices} vertices; a FLAME model has 5023.")

    def array(key: str, *shape: int) -> NDArray[np.float32]:
        value = _numbers(content[key], f"{key} of {name}")
        if value.shape != shape:
            raise UserError(
                f"{key} of {name} has the shape {value.shape}, but {shape} is wanted; the file is not a FLAME model with jaw and eyes."
            )
        return np.ascontiguousarray(value, np.float32)

    triangles = array("f", faces, 3).astype(np.int64)
    if triangles.min() < 0 or triangles.max() >= vertices:
        raise UserError(f"f of {name} names vertex {triangles.max()}, but there are {vertices}; the file is damaged.")
    shapedirs = array("shapedirs", vertices, 3, SHAPES + EXPRESSIONS).transpose(2, 0, 1)
    parents = [int(p) for p in _numbers(content["kintree_table"], f"kintree_table of {name}").reshape(-1)[:joints]]
    parents[0] = -1
    if len(parents) != joints or not all(0 <= parents[j] < j for j in range(1, joints)):
        raise UserError(f"kintree_table of {name} is not a tree of {joints} joints: {parents}.")
    return FlameArrays(
        faces=triangles.astype(np.int32),
        template=array("v_template", vertices, 3),
        shape_dirs=shapedirs[:SHAPES],
        expression_dirs=shapedirs[SHAPES:],
        pose_dirs=array("posedirs", vertices, 3, 9 * (joints - 1)).transpose(2, 0, 1),
        joint_regressor=array("J_regressor", joints, vertices),
        weights=array("weights", vertices, joints),
        parents=tuple(parents),
    )


def flame_arguments(
    model: str | Path | FlameArrays,
    landmarks: str | Path | None = None,
    topology: str | Path | None = None,
    masks: str | Path | None = None,
    shape_count: int = SHAPES,
    expression_count: int = EXPRESSIONS,
) -> dict[str, Any]:
    """What `HeadModel` is made of for FLAME; see HeadModel.from_flame.

    Regions: from `masks`, else the eyeballs (which FLAME has as parts of their own) and skin.
    """
    arrays = model if isinstance(model, FlameArrays) else read_flame(model)
    if not (0 < shape_count <= SHAPES and 0 <= expression_count <= EXPRESSIONS):
        raise UserError(
            f"FLAME has {SHAPES} shape and {EXPRESSIONS} expression directions; {shape_count} and {expression_count} were asked for."
        )
    embedding, contour = (None, None) if landmarks is None else read_landmarks(landmarks, len(arrays.faces))
    uv, faces_uv = (None, None) if topology is None else read_topology(topology, arrays.faces)
    region, region_names = _regions(arrays) if masks is None else read_masks(masks, len(arrays.template))
    return {
        "template": arrays.template,
        "faces": arrays.faces,
        "shape_dirs": arrays.shape_dirs[:shape_count],
        "expression_dirs": arrays.expression_dirs[:expression_count],
        "joint_regressor": arrays.joint_regressor,
        "weights": arrays.weights,
        "parents": arrays.parents,
        "pose_dirs": arrays.pose_dirs,
        "embedding": embedding,
        "contour": contour,
        "uv": uv,
        "faces_uv": faces_uv,
        "region": region,
        "region_names": region_names,
        "name": "flame",
    }


# ---- landmarks


def read_landmarks(path: str | Path, face_count: int) -> tuple[LandmarkEmbedding, ContourEmbedding | None]:
    """DECA's landmark_embedding.npy: the 68 points of the iBUG markup and the contour that depends on the yaw. Or EMOCA v2's
    mediapipe_landmark_embedding.npz: 105 of MediaPipe's points, no contour. Told apart by their keys."""
    return check_landmarks(load_content(path), str(path), face_count)


def check_landmarks(content: Any, name: str, face_count: int = MAX_VERTICES) -> tuple[LandmarkEmbedding, ContourEmbedding | None]:
    """The embedding of a file's content, checked. Raises UserError that names the array."""
    if isinstance(content, dict) and "full_lmk_faces_idx" in content:
        full = _embedding(content, "full_lmk_faces_idx", "full_lmk_bary_coords", face_count, name)
        indices = torch.tensor(IBUG_68) if len(full.triangles) == 68 else None
        static = _embedding(content, "static_lmk_faces_idx", "static_lmk_bary_coords", face_count, name)
        outline = _embedding(content, "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords", face_count, name, 2 * CONTOUR_LIMIT + 1)
        contour = ContourEmbedding(outline.triangles, outline.barycentric, static)
        return LandmarkEmbedding(full.triangles, full.barycentric, indices), contour
    if isinstance(content, dict) and "landmark_indices" in content and "lmk_face_idx" in content:
        points = _embedding(content, "lmk_face_idx", "lmk_b_coords", face_count, name)
        indices = torch.from_numpy(_numbers(content["landmark_indices"], f"landmark_indices of {name}").astype(np.int64).reshape(-1))
        if len(indices) != len(points.triangles) or indices.min() < 0:
            raise UserError(
                f"landmark_indices of {name} does not name a point for each of {len(points.triangles)} landmarks; the file is damaged."
            )
        on_mesh = indices < 468  # the rest are the irises'
        return LandmarkEmbedding(points.triangles[on_mesh], points.barycentric[on_mesh], indices[on_mesh]), None
    raise UserError(f"{name} is not a landmark embedding; give DECA's landmark_embedding.npy or EMOCA's mediapipe_landmark_embedding.npz.")


def _embedding(
    content: dict[str, Any], triangles: str, weights: str, face_count: int, path: str | Path, rows: int = 0
) -> LandmarkEmbedding:
    """One embedding of the file; (L,) and (L, 3), or with `rows` (rows, L) and (rows, L, 3)."""
    if triangles not in content or weights not in content:
        raise UserError(f"{path} has no {triangles} or no {weights}; give DECA's landmark_embedding.npy.")
    index = _numbers(content[triangles], f"{triangles} of {path}")
    coordinates = _numbers(content[weights], f"{weights} of {path}")
    index = index.reshape(rows, -1) if rows and index.size % rows == 0 else index.reshape(-1)
    if coordinates.size != 3 * index.size or (rows and index.ndim != 2):
        raise UserError(f"{triangles} and {weights} of {path} do not fit together: {index.shape} and {coordinates.shape}.")
    if index.size == 0 or index.min() < 0 or index.max() >= face_count:
        raise UserError(f"{triangles} of {path} names triangles outside of 0 to {face_count - 1}; it belongs to another head model.")
    weight = torch.from_numpy(np.ascontiguousarray(coordinates, np.float32).reshape(*index.shape, 3))
    return LandmarkEmbedding(torch.from_numpy(index.astype(np.int64)), weight)


# ---- texture coordinates and regions


@dataclass(frozen=True)
class ObjMesh:
    """A triangle mesh of a Wavefront file: vertices (V, 3), uv (T, 2), faces (F, 3) and faces_uv (F, 3), counted from 0."""

    vertices: NDArray[np.float32]
    uv: NDArray[np.float32]
    faces: NDArray[np.int32]
    faces_uv: NDArray[np.int32]


def read_obj(path: str | Path) -> ObjMesh:
    """The lines `v`, `vt` and `f` of a triangle mesh with texture coordinates. Raises UserError for other files."""
    rows: dict[str, list[list[float]]] = {"v": [], "vt": [], "f": [], "ft": []}
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; give a .obj file.")
    try:
        with path.open(encoding="latin1") as file:
            for line in file:
                word, *rest = line.split() or [""]
                if word == "v":
                    rows["v"].append([float(x) for x in rest[:3]])
                elif word == "vt":
                    rows["vt"].append([float(x) for x in rest[:2]])
                elif word == "f":
                    corners = [corner.split("/") for corner in rest]
                    rows["f"].append([int(corner[0]) - 1 for corner in corners])
                    rows["ft"].append([int(corner[1]) - 1 for corner in corners])
        vertices, uv = np.array(rows["v"], np.float32).reshape(-1, 3), np.array(rows["vt"], np.float32).reshape(-1, 2)
        faces, faces_uv = np.array(rows["f"], np.int32).reshape(-1, 3), np.array(rows["ft"], np.int32).reshape(-1, 3)
    except (ValueError, IndexError) as error:
        raise UserError(f"{path} is not a .obj file of triangles with texture coordinates ({error}).") from None
    for index, count in ((faces, len(vertices)), (faces_uv, len(uv))):
        if not index.size or index.min() < 0 or index.max() >= count:
            raise UserError(f"{path} has faces without corners, or that name corners which it does not have; the file is damaged.")
    return ObjMesh(vertices, uv, faces, faces_uv)


def read_topology(path: str | Path, faces: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Texture coordinates uv (T, 2) and faces_uv (F, 3) of head_template.obj, in the order of `faces`. Raises UserError for another mesh."""
    mesh = _stored_topology(path) if Path(path).suffix == ".safetensors" else read_obj(path)
    if mesh.faces.shape != faces.shape:
        raise UserError(
            f"{path} has {len(mesh.faces)} triangles and the head model {len(faces)}; give the head_template.obj that goes with it."
        )
    if not np.array_equal(mesh.faces, faces):  # the same triangles in another order, or turned
        ours, theirs = (np.sort(f, 1) for f in (faces, mesh.faces))
        order_ours, order_theirs = np.lexsort(ours.T), np.lexsort(theirs.T)
        if not np.array_equal(ours[order_ours], theirs[order_theirs]):
            raise UserError(f"{path} is of another mesh than the head model; give the head_template.obj that goes with it.")
        match = np.empty(len(faces), np.int64)
        match[order_ours] = order_theirs
        corner = np.argmax(mesh.faces[match][:, None, :] == faces[:, :, None], 2)  # (F, 3): where each of our corners stands in theirs
        return mesh.uv, np.take_along_axis(mesh.faces_uv[match], corner, 1)
    return mesh.uv, mesh.faces_uv


def _stored_topology(path: str | Path) -> ObjMesh:
    content = load_content(path)
    try:
        return ObjMesh(np.zeros((0, 3), np.float32), content["uv"], content["faces"], content["faces_uv"])
    except KeyError as error:
        raise UserError(f"{path} has no {error}; import head_template.obj again.") from None


def read_masks(path: str | Path, vertex_count: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """FLAME_masks.pkl (lists of vertices by name) to one region per vertex."""
    return check_masks(load_content(path), str(path), vertex_count)


def check_masks(content: Any, path: str, vertex_count: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The regions of a file's content, checked. Raises UserError that names the list."""
    if not isinstance(content, dict) or not set(MASK_REGIONS) & set(content):
        raise UserError(f"{path} is not FLAME_masks.pkl: it has none of {', '.join(MASK_REGIONS)}.")
    names = ["skin"]
    region = np.zeros(vertex_count, np.uint8)
    for key, ours in MASK_REGIONS.items():
        if key not in content:
            continue
        index = _numbers(content[key], f"{key} of {path}").astype(np.int64).reshape(-1)
        if index.size and (index.min() < 0 or index.max() >= vertex_count):
            raise UserError(f"{key} of {path} names vertices that the head model does not have; it belongs to another one.")
        if ours not in names:
            names.append(ours)
        region[index] = names.index(ours)
    return region, tuple(names)


def _regions(arrays: FlameArrays) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Without masks: parts that hang together with nothing else and follow an eye joint are eyes; all else is skin."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = len(arrays.template)
    a, b = arrays.faces.ravel(), np.roll(arrays.faces, 1, 1).ravel()
    parts, part = connected_components(coo_matrix((np.ones(len(a)), (a, b)), (count, count)), directed=False)
    eye_weight = arrays.weights[:, 3:].sum(1)
    mean = np.bincount(part, eye_weight, parts) / np.bincount(part, minlength=parts)
    eyes = mean[part] > 0.5
    return eyes.astype(np.uint8), ("skin", "eyes") if eyes.any() else ("skin",)


# ---- texture space


class FlameTexture(nn.Module):
    """FLAME's texture space: a code (B, n) to an albedo map (B, 3, 256, 256) in [0, 1], RGB. DECA's `FLAMETex`."""

    mean: Tensor
    basis: Tensor

    def __init__(self, mean: NDArray[np.floating], basis: NDArray[np.floating], size: int = 256) -> None:
        """mean (S, S, 3) and basis (S, S, 3, n): BGR, in [0, 1]."""
        super().__init__()
        self.size = size
        # Nearest pixels, as the official `interpolate` takes them; done once here instead of in every call.
        self.register_buffer("mean", _shrunk(mean[..., None], size)[..., 0].float(), persistent=False)  # (size, size, 3) RGB
        self.register_buffer("basis", _shrunk(basis, size).float(), persistent=False)  # (size, size, 3, n)

    @classmethod
    def read(cls, path: str | Path, count: int = 50, size: int = 256) -> FlameTexture:
        """FLAME_texture.npz (`mean`, `tex_dir`; 0 to 255) or FLAME_albedo_from_BFM.npz (`MU`, `PC`; 0 to 1), the first `count` components."""
        return cls.of(load_content(path), str(path), count, size)

    @classmethod
    def of(cls, content: Any, path: str, count: int = 50, size: int = 256) -> FlameTexture:
        """From a file's content. Raises UserError for another one."""
        keys = texture_keys(content, path)
        mean, basis = (_numbers(content[key], f"{key} of {path}") for key in keys)
        side = round((mean.size / 3) ** 0.5)
        if side < 1 or mean.size != 3 * side * side or basis.size % mean.size:
            raise UserError(f"{keys[0]} and {keys[1]} of {path} do not fit together: {mean.shape} and {basis.shape}.")
        components = basis.size // mean.size
        if not 0 < count <= components:
            raise UserError(f"{path} has {components} texture components; {count} were asked for.")
        scale = 255.0 if keys[0] == "mean" else 1.0
        return cls(mean.reshape(side, side, 3) / scale, basis.reshape(side, side, 3, components)[..., :count] / scale, size)

    def forward(self, code: Tensor) -> Tensor:
        """(B, n) to (B, 3, size, size)."""
        texture = self.mean + torch.einsum("hwcn,bn->bhwc", self.basis[..., : code.shape[1]], code)
        return texture.permute(0, 3, 1, 2)


def texture_keys(content: Any, name: str) -> tuple[str, str]:
    """What mean and basis are called in a texture space's file. Raises UserError for another one."""
    for pair in (("MU", "PC"), ("mean", "tex_dir")):
        if isinstance(content, dict) and set(pair) <= set(content):
            return pair
    raise UserError(f"{name} is not a FLAME texture space; give FLAME_texture.npz or FLAME_albedo_from_BFM.npz.")


def _shrunk(array: NDArray[np.floating], size: int) -> Tensor:
    """(S, S, 3, n) BGR to (size, size, 3, n) RGB, nearest pixels."""
    index = interpolate(torch.arange(len(array), dtype=torch.float64)[None, None], size)[0, 0].long().numpy()
    return torch.from_numpy(np.ascontiguousarray(array[index][:, index][:, :, ::-1]))


def _numbers(value: Any, what: str) -> NDArray[Any]:
    """An array of finite numbers. UserError otherwise."""
    if isinstance(value, bytes | bytearray):
        raise UserError(f"{what} is {len(value)} bytes without a shape, not an array of numbers; the file is damaged or of another kind.")
    array = np.asarray(value)
    if not array.size:
        raise UserError(f"{what} is empty: an array of shape {array.shape}; give the complete file.")
    if array.dtype.kind not in "biuf":
        raise UserError(f"{what} is not an array of numbers; the file is damaged or of another kind.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UserError(f"{what} holds NaN or infinite numbers; the file is damaged.")
    return array
