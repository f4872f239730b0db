"""From picture to noise: the deterministic x_T that DDIM turns back into the picture (official `encode_stochastic`)."""

from collections.abc import Callable

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.diffusion.sampling import Condition, Step, ddim_step
from discontrolface.diffusion.schedule import spaced_timesteps
from discontrolface.nets.backbone import Backbone


@torch.no_grad()
def invert(
    model: Backbone,
    x0: Tensor,  # (B,C,h,w), in the backbone's space
    z: Tensor | None = None,  # (B,Z), the same at every step; None if `condition` gives it
    steps: int = 20,
    condition: Condition | None = None,  # z and control per step; instead of z
    clip: bool | None = None,  # clip the predicted x0 to [-1, 1] at every step (official); None: if the backbone clips
    callback: Callable[[Step], None] | None = None,  # told every step; timesteps ascend
) -> Tensor:
    """DDIM run backwards (official `ddim_reverse_sample_loop`): (B,C,h,w). The last step ends at alpha-bar 0, that is at pure noise."""
    if (z is None) == (condition is None):
        raise UserError("invert needs z, or a condition that gives z at every step, and not both.")
    timesteps = spaced_timesteps(steps)
    process, clip = model.noise_process, model.clips_x0 if clip is None else clip
    levels = [process.alphas_cumprod[t] for t in timesteps] + [0.0]
    x = x0
    for index, step_t in enumerate(timesteps):
        t = torch.full((len(x),), step_t, dtype=torch.long, device=x.device)
        step_z, control = (z, None) if condition is None else condition(index, t, x)
        assert step_z is not None
        predicted = process.to_x0(model(x, t, step_z, control=control), x, t)
        if clip:
            predicted = predicted.clamp(-1, 1)
        after = ddim_step(x, predicted, levels[index], levels[index + 1])
        if callback is not None:
            callback(Step(index, len(timesteps), step_t, x, predicted, after))
        x = after
    return x


def invert_controlled(
    model: Backbone,
    x0: Tensor,  # (B,C,h,w), in the backbone's space
    condition: Condition,  # z and control of x0 itself
    steps: int,
    spread: float,  # standard deviation of the x_T that is returned
) -> Tensor:
    """x_T (B,C,h,w) of a picture under its own control, scaled to a standard deviation.

    For networks that predict x0: inversion divides their error by the little noise of the first steps. Under control that error is small, and what is
    left of it is scaled away.
    """
    x_T = invert(model, x0, steps=steps, condition=condition)
    return x_T * (spread / x_T.std(dim=(1, 2, 3), keepdim=True))
