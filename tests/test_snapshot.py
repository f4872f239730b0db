"""Snapshots of a sphere, whose normals and colours are known at every pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import shapes
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import MAP_CHANNELS, SnapshotSpec
from discontrolface.render.shade import light_preset, sh_shading
from discontrolface.render.snapshot import GIVEN, GREY, render_snapshot

SIZE = 96


def sphere(rings: int = 90, sectors: int = 120) -> tuple[Tensor, Tensor]:
    vertices, faces = shapes.sphere(rings, sectors, radius=0.1)
    return torch.from_numpy(vertices)[None], torch.from_numpy(faces).long()


def expected_normals(camera: Tensor, radius: float = 0.1) -> tuple[Tensor, Tensor]:
    """Normals (SIZE, SIZE, 3) and the mask of the sphere's inner 90 %, by the conventions."""
    scale, tx, ty = camera.tolist()
    centre = (torch.arange(SIZE) + 0.5) / SIZE * 2 - 1
    ndc_x, ndc_y = centre.expand(SIZE, SIZE), -centre[:, None].expand(SIZE, SIZE)
    x, y = (ndc_x / scale - tx) / radius, (ndc_y / scale - ty) / radius
    return torch.stack([x, y, (1 - x**2 - y**2).clamp(min=0).sqrt()], -1), x**2 + y**2 < 0.81


CAMERA = torch.tensor([[7.0, 0.01, -0.02], [5.0, -0.05, 0.03]])
LIGHT = torch.stack([light_preset("left", 0.6), light_preset("top", torch.tensor([0.9, 0.5, 0.7]))])


def test_normals_and_colours_of_a_sphere() -> None:
    vertices, faces = sphere()
    albedo = torch.tensor([[0.8, 0.6, 0.5], [0.3, 0.9, 0.6]])
    shot = render_snapshot(vertices.expand(2, -1, -1), faces, CAMERA, LIGHT, albedo, SIZE, maps=("normals", "lambertian", "albedo"))
    assert shot.image.shape == (2, 9, SIZE, SIZE)
    for sample in range(2):
        normals, inner = expected_normals(CAMERA[sample])
        image = shot.image[sample].permute(1, 2, 0)
        assert (image[..., :3] - normals)[inner].abs().max() < 0.01
        colour = (albedo[sample] * sh_shading(normals[None], LIGHT[sample][None])[0]).clamp(0, 1)
        assert (image[..., 3:6] - (2 * colour - 1))[inner].abs().max() < 0.02
        assert torch.allclose(image[..., 6:][inner], 2 * albedo[sample] - 1, atol=1e-6)
        on_head = shot.mask[sample, 0] > 0
        assert np.array_equal(on_head.numpy(), shot.rasters[sample].mask)
        assert inner[~on_head].sum() == 0
        assert (image[~on_head] == 0).all()
        assert torch.allclose(image[..., :3][on_head].norm(dim=-1), torch.ones(()), atol=1e-5)
    assert shot.image[:, 3:6].min() >= -1
    assert shot.image[:, 3:6].max() <= 1


def test_vertex_albedo_is_interpolated_and_grey_is_the_default() -> None:
    vertices, faces = sphere()
    paint = vertices / 0.2 + 0.5  # colour = normal / 2 + 1/2, so 2 * colour - 1 is the normal
    shot = render_snapshot(vertices, faces, CAMERA[:1], LIGHT[:1], paint, SIZE, maps=("normals", "albedo"))
    assert (shot.image[:, :3] - shot.image[:, 3:]).abs().max() < 0.01
    grey = render_snapshot(vertices, faces, CAMERA[:1], LIGHT[:1], None, SIZE, maps=("albedo",))
    assert torch.allclose(grey.image[grey.mask.expand(-1, 3, -1, -1) > 0], torch.tensor(2 * GREY - 1))


def test_order_of_channels() -> None:
    vertices, faces = sphere(20, 24)
    given = {name: torch.rand(1, MAP_CHANNELS[name], SIZE, SIZE) for name in GIVEN}
    maps = tuple(MAP_CHANNELS)
    everything = render_snapshot(vertices, faces, CAMERA[0], LIGHT[0], None, SIZE, maps, given, head="sphere")
    assert everything.spec == SnapshotSpec("sphere", maps)
    assert torch.equal(
        everything.image[:, 9:], torch.cat([given[name] for name in ("preview", "visibility", "source", "source_normals")], 1)
    )
    plain = render_snapshot(vertices, faces, CAMERA[:1], LIGHT[:1], None, SIZE)
    assert torch.equal(everything.image[:, :6], plain.image)
    alone = render_snapshot(vertices, faces, CAMERA[:1], LIGHT[:1], None, SIZE, ("preview",), given)
    assert torch.equal(alone.image, given["preview"])


def test_a_batch_is_its_samples() -> None:
    vertices, faces = sphere(30, 40)
    both = render_snapshot(vertices.expand(2, -1, -1), faces, CAMERA, LIGHT, None, SIZE)
    for sample in range(2):
        single = render_snapshot(vertices, faces, CAMERA[sample : sample + 1], LIGHT[sample : sample + 1], None, SIZE)
        torch.testing.assert_close(both.image[sample : sample + 1], single.image, atol=1e-6, rtol=0)


def test_a_head_outside_the_crop_gives_an_empty_snapshot() -> None:
    vertices, faces = sphere(10, 12)
    shot = render_snapshot(vertices + 9, faces, CAMERA[0], LIGHT[0], None, SIZE)
    assert not shot.image.any()
    assert not shot.mask.any()


def test_channels_and_bad_names() -> None:
    vertices, faces = sphere(10, 12)
    for wrong in (("normals", "depth"), (), "normals"):
        with pytest.raises(UserError, match="normals, lambertian, albedo, preview, visibility, source, source_normals"):
            render_snapshot(vertices, faces, CAMERA[0], LIGHT[0], None, SIZE, wrong)
    for disordered in (("normals", "normals"), ("lambertian", "normals")):
        with pytest.raises(UserError, match="not in the one order"):
            render_snapshot(vertices, faces, CAMERA[0], LIGHT[0], None, SIZE, disordered)
    with pytest.raises(UserError, match="preview"):
        render_snapshot(vertices, faces, CAMERA[0], LIGHT[0], None, SIZE, ("normals", "preview"))
    with pytest.raises(UserError, match="visibility"):
        render_snapshot(vertices, faces, CAMERA[0], LIGHT[0], None, SIZE, ("visibility",), {"visibility": torch.zeros(1, 1, 8, 8)})
