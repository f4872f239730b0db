"""The 468-landmark embedding of the open head: MediaPipe's mesh detected on renderings of it, read back as points on triangles.

Heads of several identities, expressions, small turns and lights are drawn with painted lips, brows and irises; each detection gives, for every
landmark, the triangle and the barycentrics under it. All of them are mapped to the template, averaged robustly, made symmetric, and put back on
the nearest point of the surface that the landmark belongs to (never an eyeball or a tooth).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree

from discontrolface.face import landmark_sets as sets
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.landmarks import FaceLandmarker
from discontrolface.render.raster import interpolate, rasterize

SIZE = 512
COLOURS = {"skin": (0.83, 0.62, 0.52), "lips": (0.68, 0.34, 0.34), "eyes": (0.93, 0.91, 0.89), "mouth_inside": (0.25, 0.06, 0.06),
           "scalp": (0.25, 0.18, 0.13), "ears": (0.80, 0.57, 0.48), "neck": (0.78, 0.57, 0.48), "upper_teeth": (0.95, 0.93, 0.88),
           "lower_teeth": (0.93, 0.9, 0.85), "tongue": (0.6, 0.25, 0.25), "eyelids": (0.72, 0.5, 0.43), "eye_socket": (0.6, 0.4, 0.35),
           "brows": (0.3, 0.2, 0.15)}  # fmt: skip


def portrait(head: HeadModel, vertices: np.ndarray, light: np.ndarray, brow: np.ndarray) -> tuple[np.ndarray, Any]:
    """A picture (SIZE, SIZE, 3) uint8 of posed vertices (V, 3) and its raster."""
    ndc = (vertices * 6.0 + np.array([0, 0.12, 0])).astype(np.float32)
    raster = rasterize(ndc, head.faces, SIZE, SIZE)
    f = head.faces
    face_normals = np.cross(vertices[f[:, 1]] - vertices[f[:, 0]], vertices[f[:, 2]] - vertices[f[:, 0]])
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, f[:, k], face_normals)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    colour = np.array([COLOURS[n] for n in head.region_names])[head.region]
    colour = colour * (1 - brow[:, None]) + np.array(COLOURS["brows"]) * brow[:, None]
    shade = 0.35 + 0.65 * np.clip(normals @ light, 0, 1)
    image = interpolate(raster, (colour * shade[:, None]).astype(np.float32), f)
    eyes = head.region_mask("eyes")
    rest = head.template.numpy()
    axis = np.zeros((len(vertices), 1), np.float32)  # cosine to the eye's forward axis, on the eyeballs
    for joint in (3, 4):
        ball = head.weights[:, joint].numpy() > 0.5
        centre = rest[ball].mean(0)
        d = rest[ball] - centre
        axis[ball, 0] = d[:, 2] / np.linalg.norm(d, axis=1)
    on_eye = np.where(raster.triangle >= 0, eyes[f[np.maximum(raster.triangle, 0)]].all(-1), False)
    cosine = interpolate(raster, axis, f)[..., 0]
    image[on_eye & (cosine > 0.87)] = (0.30, 0.19, 0.12)
    image[on_eye & (cosine > 0.975)] = (0.03, 0.03, 0.03)
    image[raster.triangle < 0] = (0.55, 0.58, 0.62)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8), raster


def detect_once(
    head: HeadModel,
    detector: FaceLandmarker,
    parameters: dict[str, torch.Tensor],
    light: np.ndarray,
    brow: np.ndarray,
    groups: list[tuple[np.ndarray, list[str]]],
) -> np.ndarray | None:
    """(468, 3) template positions under the landmarks detected on one rendering; None if no face was found."""
    vertices = head(**parameters).vertices[0].numpy().astype(np.float64)
    image, raster = portrait(head, vertices, light, brow)
    found = detector.detect(image)
    if not found:
        return None
    points = detector.landmarks(image, found[0]).points[:, :2]
    surface = interpolate(raster, head.template.numpy(), head.faces)  # template position under each pixel
    out = np.full((468, 3), np.nan)
    surfaces = surface_names(head)
    owner = np.where(raster.triangle >= 0, surfaces[head.faces[np.maximum(raster.triangle, 0), 0]], "")
    for landmark_ids, regions in groups:
        ys, xs = np.nonzero(np.isin(owner, regions))
        distance, near = cKDTree(np.stack([xs + 0.5, ys + 0.5], 1)).query(points[landmark_ids])
        out[landmark_ids] = np.where(distance[:, None] < 6, surface[ys[near], xs[near]], np.nan)
    return out


def surface_names(head: HeadModel) -> np.ndarray:
    """(V,) the region's name of each vertex, the lips split into "upper_lip" and "lower_lip" (the one that jawOpen takes down)."""
    names = np.array(head.region_names, dtype="U16")[head.region]
    down = -head.expression_dirs[head.expression_names.index("jawOpen")].reshape(-1, 3)[:, 1].numpy()
    lips = names == "lips"
    names[lips] = np.where(down[lips] > 0.5 * down[lips].max(), "lower_lip", "upper_lip")
    return names


def closest_on_triangles(points: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For points (L,3), the nearest of triangles (F,3,3): index (L,) and barycentrics (L,3) of the nearest point, by clamped projection."""
    index, weights = np.zeros(len(points), int), np.zeros((len(points), 3))
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    d00, d01, d11 = (ab * ab).sum(-1), (ab * ac).sum(-1), (ac * ac).sum(-1)
    det = np.maximum(d00 * d11 - d01 * d01, 1e-20)
    for i, p in enumerate(points):
        ap = p - a
        d20, d21 = (ap * ab).sum(-1), (ap * ac).sum(-1)
        v, w = (d11 * d20 - d01 * d21) / det, (d00 * d21 - d01 * d20) / det
        b = np.stack([1 - v - w, v, w], -1).clip(0, None)
        b /= b.sum(-1, keepdims=True)
        q = (corners * b[..., None]).sum(1)
        k = int(((q - p) ** 2).sum(-1).argmin())
        index[i], weights[i] = k, b[k]
    return index, weights


def embed(head: HeadModel, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """({landmark_triangles, landmark_barycentric}, brow weight per vertex (V,))."""
    rng = np.random.default_rng(seed)
    detector = FaceLandmarker()
    everything = np.arange(468)
    inner = np.array(sets.LIPS_INNER)
    eyes = np.array([*sets.LEFT_EYE, *sets.RIGHT_EYE])
    corners, lower, upper = inner[[0, 10]], inner[1:10], inner[11:]
    outside = ["skin", "eyelids", "scalp", "ears", "neck", "brows", "upper_lip", "lower_lip"]
    general = (np.setdiff1d(everything, np.concatenate([inner, eyes])), outside)
    lids = (eyes, ["skin", "eyelids"])
    groups_shut = [general, lids]
    groups_open = [general, lids, (corners, ["upper_lip", "lower_lip"]), (lower, ["lower_lip"]), (upper, ["upper_lip"])]

    def expression(**values: float) -> torch.Tensor:
        e = torch.zeros(1, head.expression_count)
        for k, v in values.items():
            e[0, head.expression_names.index(k)] = v
        return e

    def collect(brow: np.ndarray, count: int) -> np.ndarray:
        found = []
        for k in range(count):
            opened = k % 2 == 1
            jaw = float(rng.uniform(0.15, 0.45)) if opened else 0.0
            pose = torch.zeros(1, 5, 3)
            pose[0, 1] = torch.tensor([rng.normal(0, 0.05), rng.normal(0, 0.09), 0.0])
            light = np.array([rng.normal(0, 0.35), rng.normal(0.25, 0.2), 1.0])
            parameters = {
                "shape": torch.from_numpy(rng.normal(0, 0.6, (1, head.shape_count))).float(),
                "expression": expression(jawOpen=jaw, eyeWideLeft=0.3, eyeWideRight=0.3),
                "pose": pose,
            }
            got = detect_once(head, detector, parameters, light / np.linalg.norm(light), brow, groups_open if opened else groups_shut)
            if got is not None:
                found.append(got)
        return np.nanmedian(np.stack(found), 0)

    rest = head.template.numpy().astype(np.float64)
    first = collect(np.zeros(len(rest)), 16)
    brow = brow_weight(rest, first)
    mean = collect(brow, 60)
    tree = cKDTree(mean)
    partner = tree.query(mean * [-1, 1, 1])[1]
    mutual = partner[partner] == everything
    mean = np.where(mutual[:, None], 0.5 * (mean + mean[partner] * [-1, 1, 1]), mean)
    brow = brow_weight(rest, mean)

    triangles, weights = np.zeros(468, int), np.zeros((468, 3))
    face_region = surface_names(head)[head.faces]
    for landmark_ids, regions in groups_open:
        allowed = np.flatnonzero(np.isin(face_region, regions).all(1) & (rest[head.faces][:, :, 2].max(1) > -0.14))
        k, w = closest_on_triangles(mean[landmark_ids], rest[head.faces[allowed]])
        triangles[landmark_ids], weights[landmark_ids] = allowed[k], w
    placed = (rest[head.faces[triangles]] * weights[..., None]).sum(1)
    moved = np.linalg.norm(placed - mean, axis=1) * 1000
    print(f"{int(mutual.sum())} of 468 landmarks have a mirrored partner; snapped by {moved.mean():.2f} mm, at most {moved.max():.1f} mm")
    return {"landmark_triangles": triangles.astype(np.int32), "landmark_barycentric": weights.astype(np.float32)}, brow


def brow_weight(vertices: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(V,) in [0, 1]: 1 inside the brows' outlines (as seen from the front), fading over 2 mm."""
    from scipy.ndimage import gaussian_filter
    from skimage.draw import polygon2mask

    out = np.zeros(len(vertices))
    scale, centre = 4000.0, np.array([0.08, 0.06])
    for brow in (sets.LEFT_BROW, sets.RIGHT_BROW):
        outline = np.concatenate([landmarks[list(brow[:5])], landmarks[list(brow[:4:-1])]])[:, :2]
        mask = polygon2mask((480, 640), (outline + centre)[:, ::-1] * scale)
        soft = gaussian_filter(mask.astype(float), 5.0)
        at = ((vertices[:, :2] + centre) * scale).astype(int)
        inside = (at[:, 0] >= 0) & (at[:, 0] < 640) & (at[:, 1] >= 0) & (at[:, 1] < 480) & (vertices[:, 2] > -0.03)
        out[inside] = np.maximum(out[inside], soft[at[inside, 1], at[inside, 0]])
    return out
