"""Stages of the peers' networks: random weights of the official shapes, pictures of 256 px."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, TypeVar

import torch

from discontrolface.baselines.gif_style import fit_style
from discontrolface.baselines.headnerf_fit import fit_photo
from discontrolface.baselines.headnerf_landmarks import LandmarkFit
from discontrolface.bench.machine import Effort, count_operations
from discontrolface.bench.network_stages import without_gradients
from discontrolface.bench.stage import SEED, Stage, Workload
from discontrolface.nets.diffusion_rig import BUFFERS, DiffusionRig
from discontrolface.nets.gif import GIF
from discontrolface.nets.headnerf import EXPRESSION, HeadNeRF
from discontrolface.nets.network import Network

N = TypeVar("N", bound=Network)
SIZE, STEP = 256, 6  # pixels; GIF's step that makes them
RAYS = {
    32: (256, 128, 64, 32),
    64: (256, 128, 64),
}  # of HeadNeRF along a side: widths from the rays to 256 px; 32 is the published model_Reso32
EFFORT = Effort(seconds=0, least=3, most=3)  # seconds a run


def peer_stages(w: Workload) -> Iterator[Stage]:
    """A picture of each peer, and an iteration of what it fits to a photo before its first edit."""
    generator = torch.Generator().manual_seed(SEED)

    def rand(*shape: int) -> torch.Tensor:
        return (torch.rand(shape, generator=generator) * 2 - 1).to(w.device)

    def ready(network: N) -> N:
        made: Any = network
        moved: N = made.to(device=w.device, memory_format=torch.channels_last).eval().requires_grad_(False)
        return moved

    def stage(name: str, call: partial[object], fits: bool = False) -> Stage:
        work = call if fits else without_gradients(call)
        return Stage(name, work, device=w.device, operations=partial(count_operations, work), effort=EFFORT)

    photo, head = rand(1, 3, SIZE, SIZE), torch.ones(1, 1, SIZE, SIZE, dtype=torch.bool, device=w.device)
    gif = ready(GIF(embedding_count=1))
    condition = rand(1, 6, SIZE, SIZE)
    yield stage(f"GIF: {SIZE} px", partial(gif, condition, step=STEP, z=rand(1, int(gif.config["code_channels"]))))
    yield stage("GIF: search for a style, 1 iteration", partial(fit_style, gif, condition, photo, STEP, 1), fits=True)
    del gif
    for rays, widths in RAYS.items():
        nerf = ready(HeadNeRF(rays, widths))
        yield stage(f"HeadNeRF: {SIZE} px of {rays}x{rays} rays", partial(nerf.render, size=SIZE))
        codes = torch.zeros(1, nerf.code_sizes["shape"]), torch.zeros(1, EXPRESSION)
        start = LandmarkFit(*codes, torch.zeros(1, 3), torch.zeros(1, 3))
        fit = partial(fit_photo, nerf, start, (photo + 1) / 2, head, 1)
        yield stage(f"HeadNeRF: fit of {rays}x{rays} rays, 1 iteration", fit, fits=True)
    rig = ready(DiffusionRig())
    t, code = torch.full((1,), 500, device=w.device), rand(1, int(rig.config["z_channels"]))
    yield stage(f"DiffusionRig: U-Net, {SIZE} px", partial(rig, photo, t, rand(1, BUFFERS, SIZE, SIZE), code=code))
