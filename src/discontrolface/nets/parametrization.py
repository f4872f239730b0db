"""What a network's output means: noise, picture or velocity; and how one is turned into the other.

x_t = sqrt(a) x0 + sqrt(1 - a) eps, with a = alpha-bar(t) of the linear schedule (Ho et al., 2020).
v = sqrt(a) eps - sqrt(1 - a) x0 (Salimans & Ho, 2022).
"""

import torch
from torch import Tensor

from discontrolface.common.errors import UserError

PREDICTION_TYPES = ("epsilon", "sample", "v_prediction")  # as diffusers' schedulers call them
TRAIN_TIMESTEPS = 1000


def check_prediction_type(name: str) -> str:
    if name not in PREDICTION_TYPES:
        raise UserError(f"prediction_type {name!r} is not known; choose one of {', '.join(PREDICTION_TYPES)}.")
    return name


def linear_alphas_cumprod() -> Tensor:
    """alpha-bar of t = 0..999 for betas linear from 1e-4 to 0.02, float64 on the CPU (official `get_named_beta_schedule("linear", 1000)`)."""
    betas = torch.linspace(1e-4, 0.02, TRAIN_TIMESTEPS, dtype=torch.float64)
    return (1 - betas).cumprod(0)


def at_timesteps(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """table[t] with the dtype and device of `like`, shaped to multiply it: table (1000,), t (B,) integer -> (B,1,...,1)."""
    return table.to(like.dtype).to(like.device)[t.long()].view(-1, *(1,) * (like.ndim - 1))


def signal_and_noise(t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """sqrt(alpha-bar(t)) and sqrt(1 - alpha-bar(t)), shaped to multiply `like`."""
    a = linear_alphas_cumprod()
    return at_timesteps(a.sqrt(), t, like), at_timesteps((1 - a).sqrt(), t, like)


def to_x0(prediction: Tensor, x_t: Tensor, t: Tensor, prediction_type: str) -> Tensor:
    """The picture that a prediction implies: (B,C,H,W), x_t (B,C,H,W), t (B,) -> x0 (B,C,H,W), not clipped."""
    if prediction_type == "sample":
        return prediction
    if prediction_type == "epsilon":
        a = linear_alphas_cumprod()
        # sqrt(1/a) x_t - sqrt(1/a - 1) eps, in the official order of rounding: at large t the difference of large numbers
        return at_timesteps((1 / a).sqrt(), t, x_t) * x_t - at_timesteps((1 / a - 1).sqrt(), t, x_t) * prediction
    signal, noise = signal_and_noise(t, x_t)
    return signal * x_t - noise * prediction


def from_x0(x0: Tensor, x_t: Tensor, t: Tensor, prediction_type: str) -> Tensor:
    """The prediction that implies this picture: the inverse of `to_x0`."""
    if prediction_type == "sample":
        return x0
    signal, noise = signal_and_noise(t, x_t)
    if prediction_type == "epsilon":
        return (x_t - signal * x0) / noise
    return (signal * x_t - x0) / noise


def training_target(x0: Tensor, noise: Tensor, t: Tensor, prediction_type: str) -> Tensor:
    """What the network shall predict for x_t = sqrt(a) x0 + sqrt(1 - a) noise: (B,C,H,W)."""
    if prediction_type == "sample":
        return x0
    if prediction_type == "epsilon":
        return noise
    signal, sigma = signal_and_noise(t, x0)
    return signal * noise - sigma * x0
