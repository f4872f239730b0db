"""Snapshots: the pictures of the 3D face that Exp-FaceNet sees, pixel-aligned with the crop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import MAP_CHANNELS, PAPER_MAPS, SnapshotSpec, check_maps
from discontrolface.geometry.cameras import project
from discontrolface.geometry.meshes import vertex_normals
from discontrolface.render.raster import Raster, interpolate, rasterize_batch
from discontrolface.render.shade import add_sh_light

GREY = 0.7  # albedo of a head that has none
GIVEN = ("preview", "visibility", "source", "source_normals")  # maps that are not drawn from the posed head


@dataclass(frozen=True)
class Snapshot:
    """What a head looks like from its camera.

    image: (B, C, size, size) float32, the maps of `spec`. `normals` in [-1, 1] (view space, unit
    length), `lambertian` and `albedo` as 2 * colour - 1; all three 0 off the head. The maps of `GIVEN` as they were given.
    mask: (B, 1, size, size) float32, 1 on the head, 0 off it.
    rasters: one per sample.
    spec: which head and maps these are; networks compare it with theirs.
    """

    image: Tensor
    mask: Tensor
    rasters: list[Raster]
    spec: SnapshotSpec


@torch.no_grad()
def render_snapshot(
    vertices: Tensor,  # (B, V, 3) view space
    faces: Tensor,  # (F, 3)
    camera: Tensor,  # (B, 3), or (3,) for all
    light: Tensor,  # (B, 9, 3), or (9, 3) for all
    albedo: Tensor | None,  # (B, V, 3) per vertex or (B, 3) even, [0, 1]; None: grey
    size: int,  # pixels
    maps: Sequence[str] = PAPER_MAPS,
    given: Mapping[str, Tensor] | None = None,  # maps of `GIVEN` by name, (B, C, size, size): in [-1, 1], visibility in [0, 1]
    head: str = "",  # the head model's name; networks that were trained on one take no snapshot without
) -> Snapshot:
    """Draw heads as control images. Not differentiable; drawn on the CPU, returned on the device of `vertices`.

    The normals of the vertices are interpolated over each triangle and normalised again, then shaded per pixel.
    Raises UserError for unknown maps or their wrong order, and for a map that is asked for but not given.
    """
    spec = SnapshotSpec(head, check_maps(maps))
    names = spec.maps
    extra = _given_maps(names, given or {}, (len(vertices), size))

    batch, device, faces = len(vertices), vertices.device, faces.cpu()
    vertices = vertices.detach().float().cpu()
    camera = camera.detach().float().cpu().expand(batch, 3)
    light = light.detach().float().cpu().expand(batch, 9, 3)
    colours = torch.full((batch, 3), GREY) if albedo is None else albedo.detach().float().cpu()
    rasters = rasterize_batch(project(vertices, camera).numpy(), faces.numpy(), size, size)
    attributes = vertex_normals(vertices, faces)
    if colours.ndim == 3:
        attributes = torch.cat([attributes, colours], dim=-1)

    drawn = [name for name in names if name not in GIVEN]
    image = torch.zeros(batch, sum(MAP_CHANNELS[name] for name in drawn), size * size)
    mask = torch.zeros(batch, 1, size, size)
    for sample, raster in enumerate(rasters):
        on_head = torch.from_numpy(raster.mask)
        mask[sample, 0] = on_head
        pixels = on_head.flatten().nonzero()[:, 0]  # (N,)
        values = torch.from_numpy(interpolate(raster, attributes[sample].numpy(), faces.numpy())).flatten(0, 1)
        values = values.index_select(0, pixels).t().contiguous()  # (C, N): channel by channel is much faster from here on
        normals = values[:3] * values[:3].square().sum(0).clamp(min=1e-20).rsqrt()
        colour = colours[sample][:, None].expand(3, len(pixels)) if colours.ndim == 2 else values[3:]
        channels = []
        for name in drawn:
            if name == "normals":
                channels.append(normals)
            elif name == "lambertian":
                channels.append(add_sh_light(colour.t()[None], normals.t()[None], light[sample][None])[0].t().clamp(0, 1) * 2 - 1)
            else:
                channels.append(colour.clamp(0, 1) * 2 - 1)
        if channels:
            image[sample].index_copy_(1, pixels, torch.cat(channels))
    image = image.view(batch, -1, size, size)
    if extra:
        image = torch.cat([image, *extra], dim=1)
    return Snapshot(image.to(device), mask.to(device), rasters, spec)


def _given_maps(names: Sequence[str], given: Mapping[str, Tensor], batch_and_size: tuple[int, int]) -> list[Tensor]:
    """Those of the maps `names` that are given, in their order, on the CPU. UserError for a missing one and another shape."""
    batch, size = batch_and_size
    out = []
    for name in [name for name in names if name in GIVEN]:
        shape, tensor = (batch, MAP_CHANNELS[name], size, size), given.get(name)
        if tensor is None or tensor.shape != shape:
            instead = "nothing" if tensor is None else f"one of shape {tuple(tensor.shape)}"
            raise UserError(f"the snapshot map {name!r} needs a tensor of shape {shape} in given=, but {instead} was given.")
        out.append(tensor.detach().float().cpu())
    return out
