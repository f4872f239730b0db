"""Shading against DECA's outputs, closed forms on the sphere, and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.goldens import load_golden
from torch import Tensor
from torch.nn.functional import normalize

from discontrolface.common.errors import UserError
from discontrolface.geometry import cameras, meshes
from discontrolface.render import shade


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_golden("render")


def random_directions(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, 3, generator=generator, dtype=torch.float64), dim=-1)


def random_rotations(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    q, r = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator, dtype=torch.float64))
    q = q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None]
    return q * torch.linalg.det(q)[:, None, None]


def sphere_quadrature(count: int = 48) -> tuple[Tensor, Tensor]:
    """Directions (N, 3) and weights (N,) that integrate over the sphere: Gauss-Legendre in z, even in the angle."""
    z, weight = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(count))
    angle = torch.arange(2 * count, dtype=torch.float64) * math.pi / count
    radius = (1 - z**2).sqrt()
    directions = torch.stack([radius[:, None] * angle.cos(), radius[:, None] * angle.sin(), z[:, None].expand(-1, 2 * count)], -1)
    return directions.reshape(-1, 3), (weight[:, None] * (math.pi / count)).expand(-1, 2 * count).reshape(-1)


# --- DECA's own outputs ---


def test_vertex_normals_are_decas(golden: dict[str, Tensor]) -> None:
    vertices, faces = golden["in.vertices"], golden["in.faces"]
    torch.testing.assert_close(meshes.vertex_normals(vertices, faces), golden["vertex_normals"], atol=1e-5, rtol=0)
    torch.testing.assert_close(meshes.vertex_normals(vertices[0], faces), golden["vertex_normals"][0], atol=1e-5, rtol=0)


def test_projection_is_decas(golden: dict[str, Tensor]) -> None:
    torch.testing.assert_close(cameras.project(golden["in.vertices"], golden["in.cam"]), golden["batch_orth_proj"], atol=1e-5, rtol=0)


def test_sh_light_is_decas(golden: dict[str, Tensor]) -> None:
    normals = golden["in.normal_images"].permute(0, 2, 3, 1)
    shading = shade.sh_shading(normals, golden["in.sh"]).permute(0, 3, 1, 2)
    torch.testing.assert_close(shading, golden["add_SHlight"], atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.tensor(shade.SH_CONSTANTS), golden["constant_factor"], atol=1e-6, rtol=0)
    albedo = torch.rand(normals.shape, generator=torch.Generator().manual_seed(0))
    lit = shade.add_sh_light(albedo, normals, golden["in.sh"]).permute(0, 3, 1, 2)
    torch.testing.assert_close(lit, albedo.permute(0, 3, 1, 2) * golden["add_SHlight"], atol=1e-4, rtol=0)


def test_point_and_direction_lights_are_decas(golden: dict[str, Tensor]) -> None:
    point = shade.point_light_shading(golden["in.points"], golden["in.normals"], golden["in.lights"])
    torch.testing.assert_close(point, golden["add_pointlight"], atol=1e-4, rtol=0)
    direction = shade.direction_light_shading(golden["in.normals"], golden["in.lights"])
    torch.testing.assert_close(direction, golden["add_directionlight"], atol=1e-4, rtol=0)


# --- Closed forms ---


def test_vertex_normals_of_a_plane_a_loose_vertex_and_no_winding() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [5, 5, 5]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    expected = torch.tensor([[0.0, 0, 1]] * 4 + [[0.0, 0, 0]])
    assert torch.equal(meshes.vertex_normals(vertices, faces), expected)
    assert torch.equal(meshes.vertex_normals(vertices * 1e-4, faces.flip(1).int()), -expected)


def test_pixels_and_ndc() -> None:
    ndc = torch.tensor([[-1.0, 1.0], [1.0, -1.0], [0.0, 0.0]])
    pixels = cameras.ndc_to_pixels(ndc, height=100, width=200)
    assert pixels.tolist() == [[0, 0], [200, 100], [100, 50]]


def test_a_directional_light_is_the_projection_of_the_clamped_cosine() -> None:
    """Least squares on the sphere: what remains of max(n . d, 0) is orthogonal to all nine functions."""
    normals, weights = sphere_quadrature()
    basis = shade.sh_basis(normals)
    for direction in random_directions(5):
        light = shade.sh_from_direction(3.0 * direction, ambient=0.0, strength=1.0)
        residual = (normals @ direction).clamp(min=0)[:, None] - basis @ light
        assert (basis.T @ (weights[:, None] * residual)).abs().max() < 2e-3  # the kink costs the quadrature this much
        assert residual.abs().max() < 0.1
        at_lamp = shade.sh_shading(direction[None, None], light[None])
        assert torch.allclose(at_lamp, torch.full_like(at_lamp, 1 / 4 + 1 / 2 + 5 / 16))


def test_ambient_and_colours() -> None:
    direction, colour = random_directions(4), torch.rand(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    even = shade.sh_from_direction(direction, ambient=colour, strength=0.0)
    torch.testing.assert_close(shade.sh_shading(random_directions(40).expand(4, 40, 3), even), colour[:, None].expand(4, 40, 3))
    single = shade.sh_from_direction(direction, ambient=0.0, strength=1.0)
    torch.testing.assert_close(shade.sh_from_direction(direction, 0.0, colour), single * colour[:, None])


def test_a_rotated_light_shades_rotated_normals_alike() -> None:
    generator = torch.Generator().manual_seed(2)
    light, rotation = torch.randn(6, 9, 3, generator=generator, dtype=torch.float64), random_rotations(6)
    normals = random_directions(50).expand(6, 50, 3)
    turned = normals @ rotation.mT
    rotated = shade.rotate_sh(light, rotation)
    torch.testing.assert_close(shade.sh_shading(turned, rotated), shade.sh_shading(normals, light), atol=1e-12, rtol=0)
    torch.testing.assert_close(shade.rotate_sh(rotated, rotation.mT), light, atol=1e-12, rtol=0)
    direction = random_directions(6, seed=5)
    lamp = shade.sh_from_direction(direction, 0.2, 0.7)
    torch.testing.assert_close(
        shade.rotate_sh(lamp, rotation), shade.sh_from_direction((rotation @ direction[..., None])[..., 0], 0.2, 0.7), atol=1e-12, rtol=0
    )
    assert shade.rotate_sh(light[0].float(), rotation[0].float()).dtype == torch.float32


def test_mean_face_shading_is_the_mean_over_the_pixels_of_a_sphere() -> None:
    x, y = torch.meshgrid(*[(torch.arange(800, dtype=torch.float64) + 0.5) / 400 - 1] * 2, indexing="xy")
    inside = x**2 + y**2 < 1
    normals = torch.stack([x, y, (1 - x**2 - y**2).clamp(min=0).sqrt()], -1)[inside]
    light = torch.randn(9, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    mean = shade.sh_shading(normals[None], light[None])[0].mean(0)
    torch.testing.assert_close(shade.mean_face_shading(light), mean, atol=2e-3, rtol=0)


@pytest.mark.parametrize("name", shade.LIGHT_PRESETS)
def test_presets_keep_the_brightness_and_are_nowhere_dark(name: str) -> None:
    tint = torch.tensor([0.9, 0.8, 0.7])
    light = shade.light_preset(name, tint)
    torch.testing.assert_close(shade.mean_face_shading(light), tint)
    everywhere = shade.sh_shading(random_directions(2000).float()[None], shade.light_preset(name)[None])
    assert everywhere.min() > 0.2
    assert everywhere.max() < 2.6


def test_presets_light_the_side_they_name() -> None:
    sides = {"left": [-1.0, 0, 0], "right": [1.0, 0, 0], "top": [0, 1.0, 0], "bottom": [0, -1.0, 0]}
    for name, side in sides.items():
        normals = torch.tensor([[side, [-value for value in side]]])
        lit, dark = shade.sh_shading(normals, shade.light_preset(name)[None])[0, :, 0]
        assert lit > 2 * dark
    centre, outline = shade.sh_shading(torch.tensor([[[0.0, 0, 1], [1.0, 0, 0]]]), shade.light_preset("rim")[None])[0, :, 0]
    assert outline > 2 * centre


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'lefft'.*'left'"):
        shade.light_preset("lefft")


# --- Derivatives ---


def test_gradients_agree_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(6)
    vertices = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [0, 3, 4]])
    camera = torch.rand(2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    light = torch.randn(2, 9, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    direction = random_directions(2).requires_grad_()
    rotation = random_rotations(2).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, l: shade.sh_shading(meshes.vertex_normals(v, faces), l), (vertices, light))
    assert torch.autograd.gradcheck(cameras.project, (vertices, camera))
    assert torch.autograd.gradcheck(lambda d: shade.sh_from_direction(d, 0.1, 0.9), (direction,))
    assert torch.autograd.gradcheck(shade.rotate_sh, (light, rotation))
