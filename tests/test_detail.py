"""Detail: DECA's formula against its outputs; the tilt, which changes normals where the surface is displaced and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.goldens import load_golden
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.face.detail import DetailSpace, displacement_to_normals, grid_faces
from discontrolface.face.heads.base import HeadModel
from discontrolface.geometry.meshes import vertex_normals
from discontrolface.render.raster import interpolate
from discontrolface.render.shade import light_preset, sh_shading
from discontrolface.render.snapshot import render_snapshot

SIZE = 256
CAMERA = torch.tensor([[7.0, 0.0, 0.03]])
LIGHT = light_preset("left", 0.8)[None]


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_golden("deca")


@pytest.fixture(scope="module")
def space() -> DetailSpace:
    return DetailSpace.of(HeadModel.open())


@pytest.fixture(scope="module")
def vertices(space: DetailSpace) -> Tensor:
    return space.head().vertices


def bump(space: DetailSpace, landmark: int = 151, radius: float = 12, height: float = 0.003) -> tuple[Tensor, Tensor]:
    """A hill at a landmark (the forehead), and each texel's distance from its centre in texels."""
    head = space.head
    assert head.embedding is not None
    u, v = head.uv[head.faces_uv[int(head.embedding.triangles[landmark])]].mean(0)  # type: ignore[index]
    centre = torch.arange(256) + 0.5
    distance = ((centre[None] - u * 256) ** 2 + (centre[:, None] - (1 - v) * 256) ** 2).sqrt()
    return (height * (1 - (distance / radius) ** 2).clamp(min=0))[None, None], distance


def test_displacement_to_normals_is_decas(golden: dict[str, Tensor]) -> None:
    inputs = [golden[f"d2n.in.{name}"] for name in ("uv_z", "uv_vertices", "uv_normals", "mask", "fixed_dis")]
    torch.testing.assert_close(displacement_to_normals(*inputs), golden["d2n.out"], atol=1e-4, rtol=0)
    ours = {tuple(face) for face in grid_faces(32).tolist()}
    assert ours == {tuple(face) for face in golden["grid_faces_32"].tolist()}


def test_texels_lie_on_the_surface(space: DetailSpace, vertices: Tensor) -> None:
    """A linear function of the position is spread as the position is."""
    field = vertices @ torch.tensor([[1.0], [2.0], [-3.0]])
    texels = space.spread(torch.cat([vertices, field], -1))
    on_mesh = space.triangle >= 0
    there = texels[0, :, on_mesh]
    torch.testing.assert_close(there[3], there[0] + 2 * there[1] - 3 * there[2], atol=1e-5, rtol=0)
    assert not texels[0, :, ~on_mesh].any()


def test_no_displacement_is_the_plain_snapshot_to_the_bit(space: DetailSpace, vertices: Tensor) -> None:
    maps = ("normals", "lambertian", "albedo")
    plain = render_snapshot(vertices, space.head.faces_tensor, CAMERA, LIGHT, None, SIZE, maps)
    for displacement in (None, torch.zeros(1, 1, 256, 256), torch.full((1, 1, 256, 256), 0.0)):
        shot = space.snapshot(vertices, CAMERA, LIGHT, None, SIZE, maps, displacement)
        assert torch.equal(shot.image, plain.image)


def test_normals_change_where_the_surface_is_displaced_and_nowhere_else(space: DetailSpace, vertices: Tensor) -> None:
    hill, distance = bump(space)
    plain = space.snapshot(vertices, CAMERA, LIGHT, None, SIZE)
    shot = space.snapshot(vertices, CAMERA, LIGHT, None, SIZE, displacement=hill)
    changed = (shot.image != plain.image).any(1)[0].numpy()
    raster = shot.rasters[0]
    uv = interpolate(raster, space.head.uv, space.head.faces_uv)  # type: ignore[arg-type]
    row, column = (np.clip(((1 - uv[..., 1]) * 256).astype(int), 0, 255), np.clip((uv[..., 0] * 256).astype(int), 0, 255))
    away = distance.numpy()[row, column]
    assert not changed[raster.mask & (away > 12 + 3)].any()  # a normal leans on its neighbours, and is sampled between texels
    assert not changed[~raster.mask].any()
    slope = raster.mask & (away > 2) & (away < 11)
    assert slope.sum() > 500
    assert changed[slope].all()
    normals = shot.image[0, :3].permute(1, 2, 0)[torch.from_numpy(changed)]
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(len(normals)))
    lit = 2 * (0.7 * sh_shading(normals[None], LIGHT)[0]).clamp(0, 1) - 1  # GREY, shaded with the detailed normals
    torch.testing.assert_close(shot.image[0, 3:].permute(1, 2, 0)[torch.from_numpy(changed)], lit, atol=1e-5, rtol=0)


def test_the_mask_holds_detail_back_and_the_fixed_displacement_is_part_of_the_surface(vertices: Tensor) -> None:
    head = HeadModel.open()
    hill, distance = bump(DetailSpace.of(head))
    nowhere = DetailSpace.of(head, mask=np.zeros((512, 512), np.float32))
    assert not nowhere.tilt(vertices, hill).any()
    fixed = DetailSpace.of(head, fixed=hill[0, 0].numpy())
    assert not fixed.tilt(vertices, torch.zeros_like(hill)).any()
    free = DetailSpace.of(head)
    assert free.tilt(vertices, hill)[0].abs().sum(0)[distance < 10].max() > 0.05
    # the same surface, whichever part the height is counted to; DECA's own map has both
    torch.testing.assert_close(fixed.normals(vertices, torch.zeros_like(hill)), free.normals(vertices, hill))
    flat = free.mesh(vertices[0], hill[0]).vertices
    assert np.array_equal(fixed.mesh(vertices[0], torch.zeros(1, 256, 256)).vertices, flat)


def test_the_tilt_is_the_turn_of_the_true_normals(space: DetailSpace, vertices: Tensor) -> None:
    """A displacement that is a linear function of the position, d = g . x: on a surface with normal n the new one is along n - (g - (g . n) n)."""
    gradient = torch.tensor([0.15, -0.1, 0.05])
    points = space.spread(vertices)
    displacement = (points * gradient[None, :, None, None]).sum(1, keepdim=True)
    normals = space.spread(vertex_normals(vertices, space.head.faces_tensor))[0]
    from discontrolface.face.heads.base import rodrigues

    _, distance = bump(space)
    where = (distance < 8) & (space.triangle >= 0)
    n = torch.nn.functional.normalize(normals[:, where].T, dim=-1)
    turned = (rodrigues(space.tilt(vertices, displacement)[0, :, where].T) @ n[..., None])[..., 0]
    expected = torch.nn.functional.normalize(n - (gradient - (n @ gradient)[:, None] * n), dim=-1)
    angle = (turned * expected).sum(-1).clamp(-1, 1).acos()
    moved = (n * expected).sum(-1).clamp(-1, 1).acos()
    assert angle.median() < 0.15 * moved.median()  # the rest is the curvature, times the displacement


def test_the_detailed_mesh_is_closed_and_displaced(space: DetailSpace, vertices: Tensor) -> None:
    hill, _ = bump(space)
    flat = space.mesh(vertices[0], torch.zeros(1, 256, 256))
    mesh = space.mesh(vertices[0], hill[0])
    assert len(mesh.faces) == 16 * len(space.head.faces)
    torch.testing.assert_close(torch.from_numpy(flat.vertices[: vertices.shape[1]]), vertices[0], atol=1e-6, rtol=0)
    height = np.linalg.norm(mesh.vertices - flat.vertices, axis=1)
    assert 0.0028 < height.max() < 0.0031
    assert 0.0005 < (height > 0).mean() < 0.2
    borders = [np.unique(np.sort(np.stack([f, np.roll(f, 1, 1)], -1).reshape(-1, 2), 1), axis=0, return_counts=True)[1]
               for f in (mesh.faces, space.head.faces)]  # fmt: skip
    assert (borders[0] == 1).sum() == 4 * (borders[1] == 1).sum()  # no new holes
    assert mesh.faces_uv.max() < len(mesh.uv)


def test_a_head_without_texture_coordinates_is_named(golden_flame: Path) -> None:
    head = HeadModel.from_flame(golden_flame)
    with pytest.raises(UserError, match="texture coordinates"):
        DetailSpace.of(head)
    with pytest.raises(UserError, match=r"256, 256"):
        DetailSpace.of(HeadModel.open(), fixed=np.zeros((3, 3)))
