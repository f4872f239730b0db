"""From picture to noise: the deterministic x_T that DDIM turns back into the picture (official `encode_stochastic`)."""

from collections.abc import Callable

import torch
from torch import Tensor

from discontrolface.diffusion.sampling import Step, ddim_step
from discontrolface.diffusion.schedule import spaced_timesteps
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.parametrization import linear_alphas_cumprod, to_x0


@torch.no_grad()
def invert(
    model: DiffAE,
    x0: Tensor,  # (B,3,H,W) in [-1, 1]
    z: Tensor,  # (B,Z)
    steps: int = 20,
    clip: bool = True,  # clip the predicted x0 to [-1, 1] at every step (official)
    callback: Callable[[Step], None] | None = None,  # told every step; timesteps ascend
) -> Tensor:
    """DDIM run backwards (official `ddim_reverse_sample_loop`): (B,3,H,W). The last step ends at alpha-bar 0, that is at pure noise."""
    timesteps = spaced_timesteps(steps)
    alphas_cumprod = linear_alphas_cumprod().tolist()
    levels = [alphas_cumprod[t] for t in timesteps] + [0.0]
    x = x0
    for index, step_t in enumerate(timesteps):
        t = torch.full((len(x),), step_t, dtype=torch.long, device=x.device)
        predicted = to_x0(model(x, t, z), x, t, model.prediction_type)
        if clip:
            predicted = predicted.clamp(-1, 1)
        after = ddim_step(x, predicted, levels[index], levels[index + 1])
        if callback is not None:
            callback(Step(index, len(timesteps), step_t, x, predicted, after))
        x = after
    return x
