"""A head as a file for other programs: .obj (with .mtl and .png) or .glb, with the photo as its texture."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.pixels import to_uint8
from discontrolface.face.colours import region_colours
from discontrolface.geometry.cameras import project
from discontrolface.geometry.meshes import vertex_normals
from discontrolface.render.raster import interpolate, rasterize, visible_vertices

if TYPE_CHECKING:
    from discontrolface.face.heads.base import HeadModel
    from discontrolface.face.parameters import FaceParameters

Floats = NDArray[np.float32]

FACING: Final = 0.15  # least cosine to the camera at which the photo is taken for the surface's colour
DEPTH_TOLERANCE: Final = 0.02  # ndc


def photo_texture(
    picture: NDArray[Any],  # (H, W, 3) uint8, or [0, 1]: the crop that the parameters are for
    vertices: NDArray[np.floating],  # (V, 3) ndc in that picture
    head: HeadModel,
    size: int = 1024,  # texels
) -> tuple[Floats, NDArray[np.bool_]]:
    """(texture (size, size, 3) in [0, 1], seen (size, size)): the photo laid on the head's texture coordinates.

    What the photo does not show takes the colour of the nearest point that it does, of the same region of the head where there is one. Texels
    off the mesh continue its border. Raises UserError for a head without texture coordinates.
    """
    from scipy.ndimage import distance_transform_edt, map_coordinates
    from scipy.spatial import cKDTree

    if head.uv is None or head.faces_uv is None:
        raise UserError(f"head model {head.name!r} has no texture coordinates; for FLAME give head_template.obj")
    image = np.asarray(picture, np.float32) / (255 if np.asarray(picture).dtype == np.uint8 else 1)
    height, width = image.shape[:2]
    uv = np.concatenate([np.asarray(head.uv, np.float32) * 2 - 1, np.zeros((len(head.uv), 1), np.float32)], 1)
    flat = rasterize(uv, head.faces_uv, size, size, cull=False)
    on_mesh = flat.mask
    points = np.ascontiguousarray(vertices, np.float32)
    normals = vertex_normals(torch.from_numpy(points), head.faces_tensor).numpy()
    spread = interpolate(flat, np.concatenate([points, normals], 1), head.faces)[on_mesh]  # (N, 6)
    drawn = rasterize(points, head.faces, height, width)
    facing = spread[:, 5] / np.maximum(np.linalg.norm(spread[:, 3:], axis=1), 1e-9)
    seen = visible_vertices(drawn, spread[:, :3], DEPTH_TOLERANCE) & (facing > FACING)
    x, y = (spread[:, 0] + 1) / 2 * width - 0.5, (1 - spread[:, 1]) / 2 * height - 0.5
    colours = np.stack([map_coordinates(image[..., c], [y, x], order=1, mode="nearest") for c in range(3)], 1)

    region = head.region[head.faces[flat.triangle[on_mesh], 0]]
    plain = region_colours(head.region_names)
    for k in range(len(head.region_names)):
        unknown = (region == k) & ~seen
        known = (region == k) & seen
        if unknown.any() and known.any():
            _, nearest = cKDTree(spread[known, :3]).query(spread[unknown, :3])
            colours[unknown] = colours[known][nearest]
        elif unknown.any():
            colours[unknown] = plain[k]
    texture = np.zeros((size, size, 3), np.float32)
    texture[on_mesh] = colours
    if on_mesh.any():
        rows, columns = distance_transform_edt(~on_mesh, return_distances=False, return_indices=True)
        texture = texture[rows, columns]
    where = np.zeros((size, size), bool)
    where[on_mesh] = seen
    return np.clip(texture, 0, 1), where


def export_head(
    path: str | Path,
    head: HeadModel,
    parameters: FaceParameters,  # the head to write
    picture: NDArray[Any] | None = None,  # the crop; None: no texture
    own: FaceParameters | None = None,  # the head as it is in the picture; None: `parameters`
    texture_size: int = 1024,
    posed: bool = True,  # False: shape and expression only, at rest
) -> None:
    """Write a fitted or edited head in metres, with the photo as its texture, to .obj (and .mtl, .png beside it) or .glb. Atomic per file."""
    texture = None
    if picture is not None:
        seen = own or parameters
        p = seen.tensors()
        with torch.no_grad():
            there = project(head(p["shape"], p["expression"], p["pose"]).vertices, p["camera"])[0]
        texture = photo_texture(picture, there.numpy(), head, texture_size)[0]
    p = parameters.tensors()
    with torch.no_grad():
        vertices = head(p["shape"], p["expression"], p["pose"]).vertices if posed else head.neutral(p["shape"], p["expression"])
    write_mesh(path, vertices[0].numpy(), head.faces, head.uv, head.faces_uv, texture)


def write_mesh(
    path: str | Path,
    vertices: NDArray[np.floating],  # (V, 3)
    faces: NDArray[np.integer],  # (F, 3)
    uv: NDArray[np.floating] | None = None,  # (T, 2), v up
    faces_uv: NDArray[np.integer] | None = None,  # (F, 3)
    texture: NDArray[np.floating] | None = None,  # (H, W, 3) in [0, 1]
) -> None:
    """A triangle mesh to .obj or .glb, by the path's ending. Raises UserError for another ending."""
    path = Path(path)
    if texture is not None and (uv is None or faces_uv is None):
        raise UserError("a texture needs texture coordinates; the head model has none")
    if path.suffix.lower() == ".obj":
        _write_obj(path, vertices, faces, uv, faces_uv, texture)
    elif path.suffix.lower() == ".glb":
        write_atomically(path, glb_bytes(vertices, faces, uv, faces_uv, texture))
    else:
        raise UserError(f"{path} has no ending that meshes are written to; choose .obj or .glb")


def _write_obj(
    path: Path,
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    uv: NDArray[np.floating] | None,
    faces_uv: NDArray[np.integer] | None,
    texture: NDArray[np.floating] | None,
) -> None:
    lines = []
    if texture is not None:
        material, picture = path.with_suffix(".mtl"), path.with_suffix(".png")
        write_atomically(picture, _png(texture))
        white = "Ka 1 1 1\nKd 1 1 1\nKs 0 0 0\n"
        write_atomically(material, f"newmtl face\n{white}map_Kd {picture.name}\n".encode())
        lines += [f"mtllib {material.name}", "usemtl face"]
    lines += [f"v {x:.7g} {y:.7g} {z:.7g}" for x, y, z in np.asarray(vertices, np.float64).tolist()]
    corners = (np.asarray(faces, np.int64) + 1).tolist()
    if uv is None or faces_uv is None:
        lines += [f"f {a} {b} {c}" for a, b, c in corners]
    else:
        lines += [f"vt {u:.7g} {v:.7g}" for u, v in np.asarray(uv, np.float64).tolist()]
        textured = (np.asarray(faces_uv, np.int64) + 1).tolist()
        lines += [f"f {a}/{i} {b}/{j} {c}/{k}" for (a, b, c), (i, j, k) in zip(corners, textured, strict=True)]
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def glb_bytes(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    uv: NDArray[np.floating] | None = None,
    faces_uv: NDArray[np.integer] | None = None,
    texture: NDArray[np.floating] | None = None,
    extras: Mapping[str, Any] | None = None,  # what the file says about itself, JSON-ready
) -> bytes:
    """A glTF 2.0 binary: positions, normals, and texture coordinates and texture where they are given. Vertices on seams are written once a side."""
    points = np.ascontiguousarray(vertices, np.float32)
    normals = vertex_normals(torch.from_numpy(points), torch.from_numpy(np.asarray(faces, np.int64))).numpy()
    normals[np.abs(normals).sum(1) == 0] = (0, 0, 1)  # glTF wants unit length
    index = np.asarray(faces, np.int64).ravel()
    attributes = {"POSITION": points, "NORMAL": normals}
    if uv is not None and faces_uv is not None:
        pairs, index = np.unique(np.stack([index, np.asarray(faces_uv, np.int64).ravel()], 1), axis=0, return_inverse=True)
        flipped = np.asarray(uv, np.float32) * [1, -1] + [0, 1]  # glTF counts v from the top
        attributes = {"POSITION": points[pairs[:, 0]], "NORMAL": normals[pairs[:, 0]], "TEXCOORD_0": flipped[pairs[:, 1]]}

    blob = bytearray()
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []

    def add(data: bytes, target: int | None) -> int:
        blob.extend(b"\0" * (-len(blob) % 4))
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": len(data), **({"target": target} if target else {})})
        blob.extend(data)
        return len(views) - 1

    names: dict[str, int] = {}
    for name, values in attributes.items():
        packed = np.ascontiguousarray(values, "<f4")
        accessor: dict[str, Any] = {"bufferView": add(packed.tobytes(), 34962), "componentType": 5126, "count": len(packed)}
        accessor["type"] = f"VEC{packed.shape[1]}"
        if name == "POSITION":
            accessor |= {"min": packed.min(0).tolist(), "max": packed.max(0).tolist()}
        names[name] = len(accessors)
        accessors.append(accessor)
    packed = np.ascontiguousarray(index.ravel(), "<u4")
    accessors.append({"bufferView": add(packed.tobytes(), 34963), "componentType": 5125, "count": len(packed), "type": "SCALAR"})
    material: dict[str, Any] = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "discontrolface", **({"extras": dict(extras)} if extras else {})},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "head"}],
        "meshes": [{"primitives": [{"attributes": names, "indices": len(accessors) - 1, "material": 0}]}],
        "materials": [material],
        "accessors": accessors,
        "bufferViews": views,
    }
    if texture is not None:
        document["images"] = [{"bufferView": add(_png(texture), None), "mimeType": "image/png"}]
        document["textures"] = [{"source": 0}]
        material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
    blob.extend(b"\0" * (-len(blob) % 4))
    document["buffers"] = [{"byteLength": len(blob)}]
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(blob), b"BIN\0") + bytes(blob)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _png(texture: NDArray[np.floating]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(to_uint8(texture)).save(buffer, "PNG")
    return buffer.getvalue()
