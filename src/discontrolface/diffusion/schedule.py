"""Which timesteps a run of N steps visits, and how noisy the picture is at each."""

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.nets.noise_process import TRAIN_TIMESTEPS, NoiseProcess


def spaced_timesteps(steps: int) -> list[int]:
    """The timesteps of `steps` denoising steps, ascending.

    As the official `space_timesteps("ddimN")`: 0, s, 2s, ... with the smallest integer stride s that gives exactly N of them
    (20 steps: 0, 50, ..., 950). Where the official code finds no stride and raises (300 steps, for instance): floor(k 1000 / N); one step: [999].
    """
    if not 1 <= steps <= TRAIN_TIMESTEPS:
        raise UserError(f"steps is {steps}; it must lie between 1 and {TRAIN_TIMESTEPS}.")
    if steps == 1:
        return [TRAIN_TIMESTEPS - 1]
    stride = -(-TRAIN_TIMESTEPS // steps)  # the smallest s with ceil(1000 / s) <= N
    if len(range(0, TRAIN_TIMESTEPS, stride)) == steps:
        return list(range(0, TRAIN_TIMESTEPS, stride))
    return [k * TRAIN_TIMESTEPS // steps for k in range(steps)]


def log_snr_timesteps(first: int, steps: int, process: NoiseProcess) -> list[int]:
    """`steps` timesteps from `first` to 0, descending, as evenly spaced in log(alpha-bar / (1 - alpha-bar)) as whole numbers allow.

    DPM-Solver's own spacing (Lu et al., 2022, "uniform logSNR"): on evenly spaced timesteps its last, long step extrapolates badly.
    """
    a = torch.tensor(process.alphas_cumprod, dtype=torch.float64)
    log_snr = (a / (1 - a)).log()
    even = torch.linspace(float(log_snr[0]), float(log_snr[first]), steps, dtype=torch.float64)  # ascending in t
    timesteps: list[int] = []
    for k, value in enumerate(even.tolist()):
        nearest = int((log_snr - value).abs().argmin())
        lowest = timesteps[-1] + 1 if timesteps else 0
        timesteps.append(min(max(nearest, lowest), first - (steps - 1 - k)))
    return timesteps[::-1]


def denoising_timesteps(steps: int, strength: float = 1.0, solver: str = "ddim", process: NoiseProcess | None = None) -> list[int]:
    """The timesteps from noise to picture, descending.

    `strength` < 1 (a start from a draft) takes round(steps * strength) steps, at least one, from the noise level that many evenly spaced steps
    would start from. "ddim" spaces them evenly in t, "dpm++" in the log-SNR of the noise process (None: the linear one).
    """
    if not 0 < strength <= 1:
        raise UserError(f"strength is {strength}; it must lie in (0, 1]: 1 starts from noise, less from the draft with that much noise.")
    timesteps = spaced_timesteps(steps)[: max(1, round(steps * strength))][::-1]
    if solver == "dpm++" and len(timesteps) > 1:
        return log_snr_timesteps(timesteps[0], len(timesteps), process or NoiseProcess())
    return timesteps


def random_timesteps(batch: int, generator: torch.Generator | None = None) -> Tensor:
    """t ~ U{0..999}: (B,) int64 on the generator's device."""
    device = "cpu" if generator is None else generator.device
    return torch.randint(TRAIN_TIMESTEPS, (batch,), generator=generator, device=device)
