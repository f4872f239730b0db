"""From noise to picture: DDIM as the official code steps, or DPM-Solver++(2M)."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.diffusion.schedule import denoising_timesteps
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.control import Control
from discontrolface.nets.noise_process import NoiseProcess
from discontrolface.nets.unet import DeepFeatures

SOLVERS = ("ddim", "dpm++")


class Condition(Protocol):
    """What steers one step: `condition(step, t, x_t)` with step = 0, 1, ... in the order taken, t (B,), x_t (B,C,h,w) -> z (B,Z), control."""

    def __call__(self, step: int, t: Tensor, x_t: Tensor) -> tuple[Tensor, Control | Sequence[Tensor | None] | None]: ...


@dataclass(frozen=True)
class Step:
    """What a callback is told after a step."""

    index: int  # 0, 1, ... in the order taken
    count: int  # steps in all
    t: int  # the timestep just left
    x_t: Tensor  # (B,C,h,w), the picture (in the backbone's space) at t, before the step
    x0: Tensor  # (B,C,h,w), the picture predicted at t, clipped
    sample: Tensor  # (B,C,h,w), the picture after the step


class Update(Protocol):
    """One step of a solver: (step, x_t, predicted x0) -> the picture one step less noisy."""

    def __call__(self, index: int, x_t: Tensor, x0: Tensor) -> Tensor: ...


def ddim_step(x_t: Tensor, x0: Tensor, a: float, a_next: float) -> Tensor:
    """From alpha-bar a to a_next along the noise that x0 implies (Song et al., 2021, eq. 12, sigma 0), rounding as the official code."""
    eps = ((1 / a) ** 0.5 * x_t - x0) / (1 / a - 1) ** 0.5
    return a_next**0.5 * x0 + (1 - a_next) ** 0.5 * eps


def ddim_update(timesteps: Sequence[int], alphas_cumprod: Sequence[float]) -> Update:
    """DDIM with eta = 0 (official `ddim_sample`); the last step ends at alpha-bar 1."""
    levels = [alphas_cumprod[t] for t in timesteps] + [1.0]

    def update(index: int, x_t: Tensor, x0: Tensor) -> Tensor:
        return ddim_step(x_t, x0, levels[index], levels[index + 1])

    return update


def dpm_update(timesteps: Sequence[int], alphas_cumprod: Sequence[float]) -> Update:
    """DPM-Solver++(2M) on x0 predictions (Lu et al., 2022, Algorithm 2), as diffusers' DPMSolverMultistepScheduler.

    The first step and the last one, to alpha-bar 1, are of first order; the last one is the prediction itself.
    """
    levels = [alphas_cumprod[t] for t in timesteps]
    log_snr = [0.5 * math.log(a / (1 - a)) for a in levels]  # lambda
    before: Tensor | None = None  # the x0 predicted one step earlier

    def update(index: int, x_t: Tensor, x0: Tensor) -> Tensor:
        nonlocal before
        earlier, before = before, x0
        if index + 1 == len(levels):
            return x0
        a, a_next = levels[index], levels[index + 1]
        h = log_snr[index + 1] - log_snr[index]
        d = x0
        if earlier is not None:
            r = (log_snr[index] - log_snr[index - 1]) / h
            d = x0 + (x0 - earlier) / (2 * r)
        return ((1 - a_next) / (1 - a)) ** 0.5 * x_t - a_next**0.5 * math.expm1(-h) * d

    return update


UPDATES: dict[str, Callable[[Sequence[int], Sequence[float]], Update]] = {"ddim": ddim_update, "dpm++": dpm_update}


def denoise(
    predict_x0: Callable[[int, Tensor, Tensor], Tensor],  # (step, x_t, t (B,)) -> x0 prediction, unclipped
    x: Tensor,  # (B, ...), the picture (or code) at the first timestep
    timesteps: Sequence[int],  # descending
    process: NoiseProcess,
    solver: str = "ddim",
    clip: bool = True,  # clip every x0 prediction to [-1, 1]
) -> Iterator[Step]:
    """The loop behind `sample` and the latent DPM: yields every step; the last one's `sample` is the result."""
    if solver not in UPDATES:
        raise UserError(f"solver {solver!r} is not known; choose one of {', '.join(SOLVERS)}.")
    update = UPDATES[solver](timesteps, process.alphas_cumprod)
    for index, step_t in enumerate(timesteps):
        t = torch.full((len(x),), step_t, dtype=torch.long, device=x.device)
        x0 = predict_x0(index, x, t)
        if clip:
            x0 = x0.clamp(-1, 1)
        after = update(index, x, x0)
        yield Step(index, len(timesteps), step_t, x, x0, after)
        x = after


@torch.no_grad()
def sample(
    model: Backbone,
    noise: Tensor,  # (B,C,h,w), x_T ~ N(0, I), of the backbone's space
    z: Tensor | None = None,  # (B,Z), the same at every step; None if `condition` gives it
    steps: int = 20,
    control: Control | Sequence[Tensor | None] | None = None,  # the same at every step; rarely useful, see `condition`
    condition: Condition | None = None,  # z and control per step (an edit: masked crop and snapshot); instead of z and control
    start: Tensor | None = None,  # (B,C,h,w): a draft to start from, in the same space
    strength: float = 1.0,  # with `start`: the share of the steps that is taken, 1: the draft does not count
    solver: str = "ddim",  # "ddim" (official) or "dpm++" (fewer steps)
    clip: bool | None = None,  # clip x0 to [-1, 1] at every step (official); None: if the backbone clips
    callback: Callable[[Step], None] | None = None,  # told every step
    deep_every: int = 1,  # > 1: compute the backbone's deep levels only at every n-th step (approximate)
    deep_depth: int = 1,  # with `deep_every`: levels from the top that are computed at every step
) -> Tensor:
    """The denoised picture in the backbone's space: (B,C,h,w), for Diff-AE the picture itself, in about [-1, 1]; see `Backbone.from_space`.

    With `start` and `strength` s the run begins at the draft with noise at the level of the first of the last round(steps * s) timesteps.
    Deterministic: the same noise gives the same picture.
    """
    if (z is None) == (condition is None):
        raise UserError("sample needs z, or a condition that gives z at every step, and not both.")
    if start is None and strength != 1.0:
        raise UserError(f"strength {strength} says how much to change a draft, but no draft was given; pass start as well.")
    if deep_every < 1 or not 1 <= deep_depth <= model.unet.levels:
        raise UserError(f"deep_every {deep_every} must be at least 1 and deep_depth {deep_depth} between 1 and {model.unet.levels}.")
    process = model.noise_process
    timesteps = denoising_timesteps(steps, strength, solver, process)
    x = noise
    if start is not None and strength < 1:
        x = process.add_noise(start, noise, torch.full((len(noise),), timesteps[0], device=noise.device))
    deep = DeepFeatures(deep_depth) if deep_every > 1 else None

    def predict_x0(index: int, x_t: Tensor, t: Tensor) -> Tensor:
        step_z, step_control = (z, control) if condition is None else condition(index, t, x_t)
        assert step_z is not None
        if deep is not None and index % deep_every == 0:
            deep.stored = None
        return process.to_x0(model(x_t, t, step_z, control=step_control, deep=deep), x_t, t)

    for step in denoise(predict_x0, x, timesteps, process, solver, model.clips_x0 if clip is None else clip):
        x = step.sample
        if callback is not None:
            callback(step)
    return x
