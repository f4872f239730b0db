"""What the preview needs to know about a head model, computed once: layers of the surface, neighbours, rigid parts, mirrored triangles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch

from discontrolface.render.raster import FloatArray, IntArray
from discontrolface.render.smoothstep import smoothstep

SKIN, EYE, MOUTH, UPPER_TEETH, LOWER_TEETH, TONGUE, SOCKET = range(7)  # layers: SKIN is the outer surface, all others lie behind openings
_LAYER_OF_REGION = {
    "eyes": EYE,
    "mouth_inside": MOUTH,
    "upper_teeth": UPPER_TEETH,
    "lower_teeth": LOWER_TEETH,
    "tongue": TONGUE,
    "eye_socket": SOCKET,
}


class HeadTopology(Protocol):
    """What `PreviewRig.of` reads of a head model: `face.HeadModel` is one.

    template: (V, 3) at rest, metres. faces: (F, 3). region: (V,) rows of region_names. mirror: (V,) index of the mirrored vertex, or None.
    weights: (V, 5), how much a vertex goes with bust, head, jaw, left and right eye, sum 1. joint_regressor: (5, V), their centres.
    """

    template: torch.Tensor
    weights: torch.Tensor
    joint_regressor: torch.Tensor

    @property
    def faces(self) -> np.ndarray: ...
    @property
    def region(self) -> np.ndarray: ...
    @property
    def region_names(self) -> tuple[str, ...]: ...
    @property
    def mirror(self) -> np.ndarray | None: ...


@dataclass(frozen=True)
class PreviewRig:
    """Facts of a head model's topology. Build it once with `PreviewRig.of(head)` and keep it.

    faces: (F, 3). face_layer: (F,) uint8, the layer each triangle belongs to. head_faces, scalp_faces: (F,) bool, they turn
    with the head, they belong to the scalp. vertex_layer: (V,).
    region: (V,) index of the region, which is also the row of `View.albedo`. region_names: their names.
    mirror: (V,) index of the mirrored vertex (itself where the model knows none). template: (V, 3) at rest, metres.
    neighbours, neighbour_start: the mesh graph in compressed rows.
    bust: (V,) 0..1, how much a vertex stays with the bust when the neck turns.
    skull, jaw: indices of vertices that move rigidly with the skull and with the jaw.
    eyes: two index arrays, the subject's left eyeball and the right one. eye_centres: (2, 3), where they turn, at rest.
    skin_trust: (V,) 0..1, how well the photo's colour at a vertex stands for the skin around it (low at lashes, ears, lip seam).
    lid_edges: (L, 2) vertices of the edges on the lids' rims. mouth_rim: indices of the vertices where the lips end inside.
    hair: (V,) 1 on scalp and ears. ears: (V,) 1 on ears. lids: (V,) 1 on the lids, falling to 0 before the brows. lips: (V,) 1 on lips.
    unpainted: (V,) 1 where hidden skin is not painted: hair, ears and the neck (who knows what clothes and hair lie on it).
    teeth: (V, 2) millimetres along the dental arch from its middle (signed), and from the gum line towards the biting edge (negative: gum).
    """

    faces: IntArray
    face_layer: np.ndarray
    head_faces: np.ndarray
    scalp_faces: np.ndarray
    vertex_layer: np.ndarray
    region: np.ndarray
    region_names: tuple[str, ...]
    mirror: np.ndarray
    template: FloatArray
    neighbours: IntArray
    neighbour_start: IntArray
    bust: FloatArray
    hair: FloatArray
    ears: FloatArray
    lids: FloatArray
    lips: FloatArray
    unpainted: FloatArray
    skull: np.ndarray
    jaw: np.ndarray
    eyes: tuple[np.ndarray, np.ndarray]
    eye_centres: FloatArray
    skin_trust: FloatArray
    lid_edges: IntArray
    mouth_rim: IntArray
    teeth: FloatArray

    @cached_property
    def eye_axes(self) -> tuple[FloatArray, np.ndarray]:
        """(V, 3) unit directions of eyeball vertices from the eye's centre, at rest (z is where it looks), and (V,) 0, 1 or 2: whose they are."""
        direction = np.zeros_like(self.template)
        owner = np.zeros(len(self.template), np.int32)
        for k, index in enumerate(self.eyes):
            offset = self.template[index] - self.eye_centres[k]
            direction[index] = offset / np.maximum(np.linalg.norm(offset, axis=1, keepdims=True), 1e-9)
            owner[index] = k + 1
        return direction, owner

    @cached_property
    def paint_region(self) -> np.ndarray:
        """(V,) the region whose albedo paints a vertex: lids are painted with skin, for a photo of an open eye shows lashes and shadow there."""
        hidden = [self.region_names.index(name) for name in ("eyelids", "eye_socket") if name in self.region_names]
        return np.where(np.isin(self.region, hidden), self.region.min(), self.region)

    @classmethod
    def of(cls, head: HeadTopology) -> PreviewRig:
        """Read everything off a head model. Works for models without regions (FLAME): they have no teeth, mouth or lids to draw."""
        names = head.region_names
        region = np.asarray(head.region).astype(np.int64)
        layer_of = np.array([_LAYER_OF_REGION.get(name, SKIN) for name in names], np.uint8)
        vertex_layer = layer_of[region]
        faces = np.ascontiguousarray(head.faces, np.int32)
        corner_layers = vertex_layer[faces]
        face_layer = corner_layers.max(1)  # a triangle with one corner inside an opening belongs to the inside
        weights = head.weights.numpy()
        template = head.template.numpy()
        starts, neighbours = _graph(faces, len(template))

        def part(*regions: str) -> np.ndarray:
            return np.isin(region, [names.index(n) for n in regions if n in names])

        rigid = part("upper_teeth", "scalp") & (weights[:, 1] > 0.97)
        skull = np.flatnonzero(rigid if rigid.sum() > 20 else weights[:, 1] > 0.97)
        jaw = np.flatnonzero(part("lower_teeth"))
        if len(jaw) < 8:
            jaw = np.flatnonzero(weights[:, 2] > 0.97)
        eyes = tuple(np.flatnonzero(weights[:, j] > 0.97) for j in (3, 4))
        centres = (head.joint_regressor.numpy() @ template)[3:5]
        trust = np.ones(len(template), np.float32)
        trust[vertex_layer != SKIN] = 0.0
        lids = _around_eyes(template, eyes, centres) * ((vertex_layer == SKIN) | (vertex_layer == SOCKET))
        trust *= 1.0 - lids
        trust[part("ears")] = 0.1
        trust[_ring(neighbours, starts, vertex_layer != SKIN)] = 0.0  # lashes, the seam of the lips
        return cls(
            faces=faces,
            face_layer=face_layer,
            head_faces=weights[faces, 0].mean(1) < 0.5,
            scalp_faces=np.asarray(part("scalp")[faces].any(1)),
            vertex_layer=vertex_layer,
            region=region,
            region_names=names,
            mirror=np.asarray(head.mirror if head.mirror is not None else np.arange(len(template))).astype(np.int64),
            template=np.ascontiguousarray(template, np.float32),
            neighbours=neighbours,
            neighbour_start=starts,
            bust=np.ascontiguousarray(weights[:, 0], np.float32),
            hair=part("scalp", "ears").astype(np.float32),
            ears=part("ears").astype(np.float32),
            lids=lids.astype(np.float32),
            lips=part("lips").astype(np.float32),
            unpainted=part("scalp", "ears", "neck").astype(np.float32),
            skull=skull,
            jaw=jaw,
            eyes=(eyes[0], eyes[1]),
            eye_centres=centres.astype(np.float32),
            skin_trust=trust,
            lid_edges=_rim(faces, face_layer, SOCKET),
            mouth_rim=np.unique(_rim(faces, face_layer, MOUTH)),
            teeth=_teeth(template, vertex_layer),
        )


def _around_eyes(template: FloatArray, eyes: tuple[np.ndarray, ...], centres: np.ndarray) -> np.ndarray:
    """(V,) 1 within 1.15 eyeball radii of an eye's centre, 0 beyond 1.45."""
    out = np.zeros(len(template), np.float32)
    for index, centre in zip(eyes, centres, strict=True):
        if len(index):
            radius = np.linalg.norm(template[index] - centre, axis=1).mean()
            out = np.maximum(out, smoothstep((1.45 - np.linalg.norm(template - centre, axis=1) / radius) / 0.3))
    return out.astype(np.float32)


def _graph(faces: IntArray, count: int) -> tuple[IntArray, IntArray]:
    """The mesh's edges in compressed rows: neighbours of v are neighbours[start[v]:start[v + 1]]."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    starts = np.searchsorted(pairs[:, 0], np.arange(count + 1)).astype(np.int32)
    return starts, np.ascontiguousarray(pairs[:, 1], np.int32)


def _ring(neighbours: IntArray, starts: IntArray, inside: np.ndarray) -> np.ndarray:
    """Vertices with a neighbour in `inside`."""
    touched = np.add.reduceat(np.r_[inside[neighbours], False].astype(np.int32), starts[:-1]) > 0
    return touched & (np.diff(starts) > 0)


def _rim(faces: IntArray, face_layer: np.ndarray, behind: int) -> IntArray:
    """Edges (L, 2) between the outer skin and a layer behind it: the lids' rims (SOCKET), the lips' (MOUTH)."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    layer = np.concatenate([face_layer] * 3)
    key = np.sort(edges, axis=1)
    key = key[:, 0].astype(np.int64) * (int(faces.max()) + 1) + key[:, 1]
    shared = np.intersect1d(key[layer == SKIN], key[layer == behind])
    base = int(faces.max()) + 1
    return np.stack([shared // base, shared % base], 1).astype(np.int32)


CROWN = 9.0  # millimetres of a tooth that stand out of the gum


def _teeth(template: FloatArray, layer: np.ndarray) -> FloatArray:
    out = np.zeros((len(template), 2), np.float32)
    for which, sign in ((UPPER_TEETH, -1.0), (LOWER_TEETH, 1.0)):
        index = np.flatnonzero(layer == which)
        if not len(index):
            continue
        points = template[index] * 1000.0
        side, back = np.abs(points[:, 0]), points[:, 2].max() - points[:, 2]
        edge = (sign * points[:, 1]).max()  # the biting edge
        rim = sign * points[:, 1] > edge - 0.8 * CROWN
        line = np.stack([side, back], 1)[rim]
        line = line[np.argsort(line.sum(1))]  # side + back grows along the arch
        length = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
        along = np.interp(side + back, line.sum(1), length)
        out[index, 0] = np.sign(points[:, 0]) * along
        out[index, 1] = sign * points[:, 1] - (edge - CROWN)
    return out
