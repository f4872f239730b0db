"""Heads as files: what another program would read back, and the photo on them."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.face.export import export_head, glb_bytes, photo_texture, write_mesh
from discontrolface.face.flame import read_obj
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.cameras import project
from discontrolface.render.raster import interpolate, rasterize


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return HeadModel.open()


@pytest.fixture(scope="module")
def parameters(head: HeadModel) -> FaceParameters:
    return FaceParameters.default(head).edit(yaw=20, expression={"jawOpen": 0.3})


def there(head: HeadModel, parameters: FaceParameters) -> np.ndarray:
    """(V, 3) ndc."""
    p = parameters.tensors()
    return project(head(p["shape"], p["expression"], p["pose"]).vertices, p["camera"])[0].numpy()


def gradient(size: int = 256) -> np.ndarray:
    """A picture whose colour says where a pixel is."""
    x = (np.arange(size) + 0.5) / size
    return np.stack([np.tile(x, (size, 1)), np.tile(x[:, None], (1, size)), np.full((size, size), 0.25)], -1).astype(np.float32)


def read_glb(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The JSON part, and the arrays of the one mesh by name."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    assert size % 4 == 0
    document = json.loads(data[20 : 20 + size])
    blob_size, kind = struct.unpack_from("<I4s", data, 20 + size)
    blob = data[28 + size :]
    assert kind == b"BIN\0"
    assert len(blob) == blob_size == document["buffers"][0]["byteLength"]
    primitive = document["meshes"][0]["primitives"][0]
    arrays = {}
    for name, index in {**primitive["attributes"], "indices": primitive["indices"]}.items():
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[accessor["type"]]
        assert view["byteOffset"] % 4 == 0
        dtype = {5126: "<f4", 5125: "<u4"}[accessor["componentType"]]
        raw = blob[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        arrays[name] = np.frombuffer(raw, dtype).reshape(accessor["count"], width)
    return document, arrays


def test_the_texture_shows_the_photo_where_it_is_seen(head: HeadModel, parameters: FaceParameters) -> None:
    vertices = there(head, parameters)
    texture, seen = photo_texture(gradient(), vertices, head, 512)
    assert texture.shape == (512, 512, 3)
    uv = np.concatenate([head.uv * 2 - 1, np.zeros((len(head.uv), 1))], 1)  # type: ignore[operator]
    flat = rasterize(uv, head.faces_uv, 512, 512, cull=False)  # type: ignore[arg-type]
    place = interpolate(flat, vertices, head.faces)
    expected = np.stack([(place[..., 0] + 1) / 2, (1 - place[..., 1]) / 2, np.full((512, 512), 0.25)], -1)
    assert seen.sum() > 5000
    assert not seen[~flat.mask].any()
    assert np.abs(texture - expected)[seen & (np.abs(place[..., :2]).max(-1) < 0.99)].max() < 0.01
    assert texture[flat.mask].min() > 0  # the rest is filled
    assert texture[~flat.mask].max() > 0  # and so is what lies beyond the mesh, for the filters of other programs


def test_the_textured_head_looks_like_the_photo(head: HeadModel, parameters: FaceParameters) -> None:
    """Drawn with its own texture from the same camera, the head is the photo."""
    vertices = there(head, parameters)
    picture = gradient()
    texture, _ = photo_texture(picture, vertices, head, 1024)
    raster = rasterize(vertices, head.faces, 256, 256)
    uv = interpolate(raster, head.uv, head.faces_uv)  # type: ignore[arg-type]
    row, column = ((1 - uv[..., 1]) * 1024).astype(int).clip(0, 1023), (uv[..., 0] * 1024).astype(int).clip(0, 1023)
    error = np.abs(texture[row, column] - picture).max(-1)[raster.mask]
    assert np.median(error) < 0.005
    assert (error < 0.03).mean() > 0.9  # but at the outline, where the photo is not trusted


def test_obj_comes_back(head: HeadModel, parameters: FaceParameters, tmp_path: Path) -> None:
    export_head(tmp_path / "head.obj", head, parameters, (gradient() * 255).astype(np.uint8), texture_size=128)
    mesh = read_obj(tmp_path / "head.obj")
    p = parameters.tensors()
    expected = head(p["shape"], p["expression"], p["pose"]).vertices[0]
    torch.testing.assert_close(torch.from_numpy(mesh.vertices), expected, atol=1e-6, rtol=0)
    assert np.array_equal(mesh.faces, head.faces)
    assert np.array_equal(mesh.faces_uv, head.faces_uv)
    assert "map_Kd head.png" in (tmp_path / "head.mtl").read_text()
    assert Image.open(tmp_path / "head.png").size == (128, 128)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["head.mtl", "head.obj", "head.png"]
    export_head(tmp_path / "rest.obj", head, parameters, posed=False)
    torch.testing.assert_close(torch.from_numpy(read_obj(tmp_path / "rest.obj").vertices), head.neutral(p["shape"], p["expression"])[0])


def test_glb_comes_back(head: HeadModel, parameters: FaceParameters, tmp_path: Path) -> None:
    export_head(tmp_path / "head.glb", head, parameters, gradient(), own=parameters, texture_size=64)
    data = (tmp_path / "head.glb").read_bytes()
    document, arrays = read_glb(data)
    p = parameters.tensors()
    vertices = head(p["shape"], p["expression"], p["pose"]).vertices[0].numpy()
    corners = arrays["indices"].reshape(-1, 3)
    assert np.array_equal(arrays["POSITION"][corners], vertices[head.faces])
    uv = np.asarray(head.uv)[head.faces_uv] * [1, -1] + [0, 1]
    assert np.allclose(arrays["TEXCOORD_0"][corners], uv, atol=1e-6)
    assert np.allclose(np.linalg.norm(arrays["NORMAL"], axis=1), 1, atol=1e-4)
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    assert np.allclose(accessor["max"], arrays["POSITION"].max(0))
    image = document["bufferViews"][document["images"][0]["bufferView"]]
    start = 28 + struct.unpack_from("<I", data, 12)[0] + image["byteOffset"]
    assert Image.open(io.BytesIO(data[start : start + image["byteLength"]])).size == (64, 64)

    document, arrays = read_glb(glb_bytes(vertices, head.faces))
    assert "images" not in document
    assert np.array_equal(arrays["indices"].reshape(-1, 3), head.faces)


def test_other_endings_and_heads_without_texture_coordinates_are_named(
    head: HeadModel, parameters: FaceParameters, golden_flame: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"\.obj or \.glb"):
        write_mesh(tmp_path / "head.stl", head.template.numpy(), head.faces)
    bare = HeadModel.from_flame(golden_flame)
    with pytest.raises(UserError, match="texture coordinates"):
        photo_texture(gradient(), bare.template.numpy(), bare)
    export_head(tmp_path / "bare.obj", bare, FaceParameters.default(bare))
    assert (tmp_path / "bare.obj").read_text().count("\nf ") == len(bare.faces)
