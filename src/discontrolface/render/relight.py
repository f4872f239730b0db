"""Normals and light on the vertices, for the preview. Kernels in float32, in the order of the mesh's lists, so the same input gives the same bits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from discontrolface.render.compiled import compiled
from discontrolface.render.raster import FloatArray
from discontrolface.render.rig import SKIN, PreviewRig
from discontrolface.render.shade import mean_face_shading, sh_shading

SMOOTH = 5  # rounds over the mesh's neighbours: a fitted head's creases are not exactly those of the photo
HAIR_RELIGHT = 0.7  # hair follows a change of light this far (exponent of the ratio)


def skin_normals(vertices: FloatArray, rig: PreviewRig) -> FloatArray:
    """(V, 3) unit normals as `shade.vertex_normals`; those of the skin do not see the surfaces that turn inwards at lids and lips."""
    return _normals(vertices, rig.faces, rig.face_layer, rig.vertex_layer)


def vertex_shading(normals: FloatArray, light: FloatArray) -> FloatArray:
    """Shading per vertex (V, 3), kept above a tenth of its mean: a fitted light may go to zero or below where no photo checked it."""
    bent = np.concatenate([normals[:, :2], np.maximum(normals[:, 2:], 0.25)], 1)  # at the outline a fitted normal means little
    bent = (bent / np.linalg.norm(bent, axis=1, keepdims=True)).astype(np.float32)
    shading = sh_shading(torch.from_numpy(bent)[None], torch.from_numpy(np.array(light, np.float32))[None])[0].numpy()
    front = np.clip(normals[:, 2:], 0.0, 1.0)
    least = np.maximum(0.15 * (shading * front).sum(0) / max(float(front.sum()), 1e-6), 1e-3)
    soft = 0.5 * (shading - least) + np.sqrt(0.25 * (shading - least) ** 2 + (0.5 * least) ** 2)  # a smooth max(shading - least, 0)
    return (least + soft).astype(np.float32)


def relighting(before: FloatArray, after: FloatArray, rig: PreviewRig, same_light: bool) -> FloatArray:
    """(V, 3) log of how many times brighter the photo becomes, from the shadings in the photo and in the target (V, 3).

    same_light: the head moves in the photo's own light. What a fit says of that light beside and behind the head is a guess: ears that turn away
    would become black, so this changes less.
    """
    limited = _softly_limited(np.log(after / before), TURNED if same_light else RELIT)
    smooth = _smoothed(limited, rig.neighbours, rig.neighbour_start, SMOOTH)
    return smooth * (1.0 - (1.0 - HAIR_RELIGHT) * rig.hair[:, None])


def mean_shading(light: FloatArray) -> FloatArray:
    """(3,) how bright a light makes a face on average."""
    return np.maximum(mean_face_shading(torch.from_numpy(np.array(light, np.float32))).numpy(), 0.02)


class _Limits(NamedTuple):
    """Logs of ratios of shadings that are taken as they are, from low to high; beyond, they bend by at most deeper and higher."""

    low: float
    deeper: float
    high: float
    higher: float


RELIT = _Limits(low=-0.8, deeper=0.5, high=0.5, higher=0.4)
TURNED = _Limits(low=-0.2, deeper=0.3, high=0.2, higher=0.2)


def _softly_limited(log_ratio: FloatArray, limits: _Limits) -> FloatArray:
    """A fitted light is a rough guess, more so where it is dark."""
    low, deeper, high, higher = limits
    if log_ratio.max() <= high and log_ratio.min() >= low:
        return log_ratio.astype(np.float32)
    up = high + higher * np.tanh((np.maximum(log_ratio, high) - high) / higher)
    down = low - deeper * np.tanh((low - np.minimum(log_ratio, low)) / deeper)
    return np.where(log_ratio > high, up, np.where(log_ratio < low, down, log_ratio)).astype(np.float32)


@compiled
def _normals(vertices, faces, face_layer, vertex_layer):  # type: ignore[no-untyped-def]
    """The sum of the adjacent triangles' normals, weighted by area, per vertex: triangles of the skin for the skin, all others for the rest."""
    across = np.empty((len(faces), 3), np.float32)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        across[f, 0], across[f, 1], across[f, 2] = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    normals = np.zeros(vertices.shape, np.float32)
    for corner in range(3):
        for f in range(len(faces)):
            v = faces[f, corner]
            if (face_layer[f] == SKIN) == (vertex_layer[v] == SKIN):
                for k in range(3):
                    normals[v, k] += across[f, k]
    for v in range(len(normals)):
        x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
        length = max(np.sqrt(x * x + y * y + z * z), np.float32(1e-12))
        normals[v, 0], normals[v, 1], normals[v, 2] = x / length, y / length, z / length
    return normals


@compiled
def _smoothed(value, neighbours, starts, rounds):  # type: ignore[no-untyped-def]
    """Vertex values (V, C) averaged with their neighbours."""
    count, channels = value.shape
    for _ in range(rounds):
        new = np.empty_like(value)
        for v in range(count):
            first, last = starts[v], starts[v + 1]
            for k in range(channels):
                total = np.float32(0.0)
                for e in range(first, last):
                    total += value[neighbours[e], k]
                around = total / np.float64(last - first) if last > first else np.float64(value[v, k])
                new[v, k] = np.float32(np.float32(0.4) * value[v, k] + 0.6 * around)
        value = new
    return value
