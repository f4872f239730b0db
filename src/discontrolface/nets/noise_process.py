"""The noise process of a diffusion model: how noisy a picture (or code) is at each timestep, and what a network's output means there.

x_t = sqrt(a) x0 + sqrt(1 - a) eps, with a = alpha-bar(t) (Ho et al., 2020, eq. 4); v = sqrt(a) eps - sqrt(1 - a) x0 (Salimans & Ho, 2022).
A backbone has one (`model.noise_process`), so it lives beside the networks and knows nothing of steps and solvers, which are in diffusion/.
"""

import torch
from torch import Tensor

from discontrolface.common.errors import UserError

TRAIN_TIMESTEPS = 1000
PREDICTION_TYPES = ("epsilon", "sample", "v_prediction")  # as diffusers' schedulers call them: noise, x0, velocity
SCHEDULES = ("linear", "const")
CONST_BETA = 0.008  # every step's beta in the latent DPM (official schedule "const0.008")


def betas(schedule: str) -> Tensor:
    """(1000,) float64 on the CPU: "linear" from 1e-4 to 0.02 (official `get_named_beta_schedule("linear", 1000)`), "const" 0.008."""
    if schedule == "linear":
        return torch.linspace(1e-4, 0.02, TRAIN_TIMESTEPS, dtype=torch.float64, device="cpu")
    if schedule == "const":
        return torch.full((TRAIN_TIMESTEPS,), CONST_BETA, dtype=torch.float64, device="cpu")
    raise UserError(f"noise schedule {schedule!r} is not known; choose one of {', '.join(SCHEDULES)}.")


class NoiseProcess:
    """A schedule and a prediction type. Immutable but for its tables, which are computed once, in float64, and kept per device and dtype.

    Threads may share one: a table that two of them make at the same time is the same table, and either may stay.
    Everywhere x0, x_t, noise and predictions are (B,...) of one shape, t is (B,) integers in 0..999, and the result has the shape of x0.
    """

    def __init__(
        self,
        schedule: str = "linear",  # one of SCHEDULES
        prediction_type: str = "epsilon",  # what the network predicts, one of PREDICTION_TYPES
    ) -> None:
        if prediction_type not in PREDICTION_TYPES:
            raise UserError(f"prediction_type {prediction_type!r} is not known; choose one of {', '.join(PREDICTION_TYPES)}.")
        alphas = (1 - betas(schedule)).cumprod(0)
        self.schedule, self.prediction_type = schedule, prediction_type
        self.alphas_cumprod: tuple[float, ...] = tuple(alphas.tolist())
        """alpha-bar of t = 0..999, for solvers."""
        self._exact = {
            "signal": alphas.sqrt(),
            "noise": (1 - alphas).sqrt(),
            "1/signal": (1 / alphas).sqrt(),
            "noise/signal": (1 / alphas - 1).sqrt(),
        }
        self._tables: dict[tuple[str, torch.device, torch.dtype], Tensor] = {}

    def __repr__(self) -> str:
        return f"NoiseProcess({self.schedule!r}, {self.prediction_type!r})"

    def at(self, name: str, t: Tensor, like: Tensor) -> Tensor:
        """A table's values at t with the dtype and device of `like`, shaped to multiply it: (B,1,...,1)."""
        key = (name, like.device, like.dtype)
        table = self._tables.get(key)
        if table is None:
            with torch.inference_mode(False):  # a table made while editing must also serve a training
                table = self._exact[name].to(like.dtype).to(like.device)
            self._tables[key] = table
        return table[t.long()].view(-1, *(1,) * (like.ndim - 1))

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_t = sqrt(a) x0 + sqrt(1 - a) noise."""
        return self.at("signal", t, x0) * x0 + self.at("noise", t, x0) * noise

    def to_x0(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The x0 that a prediction implies, not clipped."""
        if self.prediction_type == "sample":
            return prediction
        if self.prediction_type == "epsilon":
            # sqrt(1/a) x_t - sqrt(1/a - 1) eps, in the official order of rounding: at large t the difference of large numbers
            return self.at("1/signal", t, x_t) * x_t - self.at("noise/signal", t, x_t) * prediction
        return self.at("signal", t, x_t) * x_t - self.at("noise", t, x_t) * prediction

    def from_x0(self, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The prediction that implies this x0: the inverse of `to_x0`."""
        if self.prediction_type == "sample":
            return x0
        signal, noise = self.at("signal", t, x_t), self.at("noise", t, x_t)
        if self.prediction_type == "epsilon":
            return (x_t - signal * x0) / noise
        return (signal * x_t - x0) / noise

    def training_target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network shall predict for `add_noise(x0, noise, t)`."""
        if self.prediction_type == "sample":
            return x0
        if self.prediction_type == "epsilon":
            return noise
        return self.at("signal", t, x0) * noise - self.at("noise", t, x0) * x0
