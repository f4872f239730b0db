"""Ancestral sampling (DDPM) on some of the timesteps, with fixed or learned variances; as the official code of ADM and its descendants steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.nets.noise_process import TRAIN_TIMESTEPS, NoiseProcess


def section_timesteps(steps: int) -> list[int]:
    """`steps` timesteps from 0 to 999, evenly spaced, ascending (official `space_timesteps(1000, [steps])`, which rounds half to even)."""
    if not 1 <= steps <= TRAIN_TIMESTEPS:
        raise UserError(f"steps is {steps}; it must lie between 1 and {TRAIN_TIMESTEPS}.")
    stride, place, timesteps = (TRAIN_TIMESTEPS - 1) / (steps - 1) if steps > 1 else 1.0, 0.0, []
    for _ in range(steps):
        timesteps.append(round(place))
        place += stride
    return timesteps


def posterior(a: Sequence[float]) -> list[tuple[float, float, float, float, float]]:
    """For each kept timestep, ascending, with alpha-bar a: (c0, ct, log of the smallest variance, log of the largest, log of the fixed one).

    The mean of q(x_before | x_t, x0) is c0 x0 + ct x_t (Ho et al. 2020, eq. 7). Smallest: its variance; at the first step, where that is 0, the
    next one's. Largest: beta of the kept steps. Fixed: beta, at the first step the smallest (official FIXED_LARGE).
    """
    before = [1.0, *a[:-1]]
    beta = [1 - now / then for now, then in zip(a, before, strict=True)]
    variance = [b * (1 - then) / (1 - now) for b, now, then in zip(beta, a, before, strict=True)]
    smallest = [math.log(v) for v in ([variance[1], *variance[1:]] if len(a) > 1 else [beta[0]])]
    rows = []
    for k, (now, then) in enumerate(zip(a, before, strict=True)):
        c0 = beta[k] * then**0.5 / (1 - now)
        ct = (1 - then) * (1 - beta[k]) ** 0.5 / (1 - now)
        largest = math.log(beta[k])
        rows.append((c0, ct, smallest[k], largest, largest if k else smallest[0]))
    return rows


@torch.no_grad()
def sample_ancestral(
    predict: Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]],  # (x_t, t (B,)) -> prediction, learned variance in [-1, 1] or None
    noise: Tensor,  # (B,C,h,w), x_T ~ N(0, I)
    steps: int,
    process: NoiseProcess,
    generator: torch.Generator | None = None,  # of the noise that every step adds
    timesteps: Sequence[int] | None = None,  # ascending, in place of `section_timesteps(steps)`
    clip: bool = True,  # clip every x0 prediction to [-1, 1]
) -> Tensor:
    """The denoised picture (B,C,h,w) (official `p_sample_loop`). The variance's logarithm lies between the smallest and the largest of the step."""
    kept = section_timesteps(steps) if timesteps is None else list(timesteps)
    rows = posterior([process.alphas_cumprod[t] for t in kept])
    x = noise
    for k in reversed(range(len(kept))):
        t = torch.full((len(x),), kept[k], dtype=torch.long, device=x.device)
        prediction, learned = predict(x, t)
        x0 = process.to_x0(prediction, x, t)
        x0 = x0.clamp(-1, 1) if clip else x0
        c0, ct, smallest, largest, fixed = rows[k]
        drawn = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        x = c0 * x0 + ct * x
        if k and learned is None:
            x = x + math.exp(0.5 * fixed) * drawn
        elif k:
            assert learned is not None
            x = x + torch.exp(0.5 * (smallest + (learned + 1) / 2 * (largest - smallest))) * drawn
    return x
