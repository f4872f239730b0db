"""Stages of the peers' networks: random weights of the official shapes, pictures of 256 px."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, TypeVar

import torch

from discontrolface.baselines.gif_style import fit_style
from discontrolface.baselines.headnerf_face import SIZE as FACE_SIZE
from discontrolface.baselines.headnerf_face import FaceFit, fit_face
from discontrolface.baselines.headnerf_fit import fit_photo
from discontrolface.bench.machine import Effort, count_operations
from discontrolface.bench.network_stages import without_gradients
from discontrolface.bench.stage import SEED, Stage, Workload
from discontrolface.common.usage import Work
from discontrolface.nets.diffusion_rig import BUFFERS, DiffusionRig
from discontrolface.nets.gif import GIF
from discontrolface.nets.headnerf import HeadNeRF
from discontrolface.nets.network import Network
from discontrolface.nets.nl3dmm import NL3DMM

N = TypeVar("N", bound=Network)
SIZE, STEP = 256, 6  # pixels; GIF's step that makes them
RAYS = {
    32: (256, 128, 64, 32),
    64: (256, 128, 64),
}  # of HeadNeRF along a side: widths from the rays to 256 px; 32 is the published model_Reso32
EFFORT = Effort(seconds=0, least=3, most=3)  # seconds a run


def dome(rows: int = 150, columns: int = 231) -> NL3DMM:
    """A mesh as large as HeadNeRF's face model, of which half is seen from anywhere: 34,650 vertices."""
    model = NL3DMM(vertices=rows * columns, triangles=2 * (rows - 1) * (columns - 1))
    across, along = torch.meshgrid(torch.linspace(0.05, math.pi - 0.05, rows), torch.linspace(0, 2 * math.pi, columns), indexing="ij")
    ball = torch.stack([across.sin() * along.cos(), across.cos(), across.sin() * along.sin()], -1)
    number = torch.arange(rows * columns).view(rows, columns)
    a, b, c, d = (part.flatten() for part in (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]))
    with torch.no_grad():
        model.vertices.bias.copy_(100 * ball.flatten())
        model.colours.bias.fill_(128.0)
        model.triangles.copy_(torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)]))
        model.around.copy_(torch.arange(model.around.numel()).view_as(model.around) % len(model.triangles))
    return model


def peer_stages(w: Workload) -> Iterator[Stage]:
    """A picture of each peer, and an iteration of what it fits to a photo before its first edit."""
    generator = torch.Generator().manual_seed(SEED)

    def rand(*shape: int) -> torch.Tensor:
        return (torch.rand(shape, generator=generator) * 2 - 1).to(w.device)

    def ready(network: N) -> N:
        made: Any = network
        moved: N = made.to(device=w.device, memory_format=torch.channels_last).eval().requires_grad_(False)
        return moved

    def stage(name: str, call: Work, fits: bool = False) -> Stage:
        work = call if fits else without_gradients(call)
        operations = None if fits else partial(count_operations, work)  # PyTorch's counter does not go with autograd.grad and checkpoints
        return Stage(name, work, device=w.device, operations=operations, effort=EFFORT)

    photo, head = rand(1, 3, SIZE, SIZE), torch.ones(1, 1, SIZE, SIZE, dtype=torch.bool, device=w.device)
    gif = ready(GIF(embedding_count=1))
    condition = rand(1, 6, SIZE, SIZE)
    yield stage(f"GIF: {SIZE} px", partial(gif, condition, step=STEP, z=rand(1, int(gif.config["code_channels"]))))
    yield stage("GIF: search for a style, 1 iteration", partial(fit_style, gif, condition, photo, STEP, 1), fits=True)
    del gif
    face = dome().eval().requires_grad_(False)  # on the CPU, where its pictures are drawn
    points = torch.full((68, 2), FACE_SIZE / 2)
    face_fit = partial(fit_face, face, points, torch.rand(1, 3, FACE_SIZE, FACE_SIZE, generator=generator), (0, 1))
    yield stage("HeadNeRF: fit of its face model, 1 iteration", face_fit, fits=True)
    start = FaceFit.start(face)
    for rays, widths in RAYS.items():
        nerf = ready(HeadNeRF(rays, widths))
        yield stage(f"HeadNeRF: {SIZE} px of {rays}x{rays} rays", partial(nerf.render, size=SIZE))
        fit = partial(fit_photo, nerf, start, (photo + 1) / 2, head, 1)
        yield stage(f"HeadNeRF: fit of {rays}x{rays} rays, 1 iteration", fit, fits=True)
    rig = ready(DiffusionRig())
    t, code = torch.full((1,), 500, device=w.device), rand(1, int(rig.config["z_channels"]))
    yield stage(f"DiffusionRig: U-Net, {SIZE} px", partial(rig, photo, t, rand(1, BUFFERS, SIZE, SIZE), code=code))
