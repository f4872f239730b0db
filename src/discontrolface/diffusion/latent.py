"""The latent DPM: codes, and so faces, from noise (Diff-AE, Section 5.4; official `render_uncondition`)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.diffusion.sampling import denoise, sample
from discontrolface.diffusion.schedule import denoising_timesteps, log_snr_timesteps, random_timesteps
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.latent import MLPSkipNet
from discontrolface.nets.parametrization import TRAIN_TIMESTEPS, at_timesteps

BETA = 0.008  # every step's beta (official schedule "const0.008")


def latent_alphas_cumprod() -> list[float]:
    """alpha-bar of t = 0..999 for constant betas of 0.008."""
    return torch.full((TRAIN_TIMESTEPS,), 1 - BETA, dtype=torch.float64).cumprod(0).tolist()


def _noisy(z: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    a = torch.tensor(latent_alphas_cumprod(), dtype=torch.float64)
    return at_timesteps(a.sqrt(), t, z) * z + at_timesteps((1 - a).sqrt(), t, z) * noise


@torch.no_grad()
def sample_latent(net: MLPSkipNet, noise: Tensor, steps: int = 20, solver: str = "ddim") -> Tensor:
    """Codes from noise: (B,Z) ~ N(0, I) -> z_sem (B,Z), denormalised. No clipping, as the official code."""
    alphas = latent_alphas_cumprod()
    timesteps = denoising_timesteps(steps)
    if solver == "dpm++" and steps > 1:
        timesteps = log_snr_timesteps(timesteps[0], steps, alphas)

    def predict(index: int, z_t: Tensor, t: Tensor) -> Tensor:
        a = alphas[int(t[0])]
        return (z_t - (1 - a) ** 0.5 * net(z_t, t)) / a**0.5

    z = noise
    for step in denoise(predict, noise, timesteps, alphas, solver, clip=False):
        z = step.sample
    return net.denormalize(z)


def sample_faces(
    model: DiffAE,
    net: MLPSkipNet,
    count: int,
    steps: int = 20,  # for the picture
    latent_steps: int = 20,  # for the code
    generator: torch.Generator | None = None,  # where the noise comes from
    solver: str = "ddim",  # for both
) -> Tensor:
    """Faces that nobody has: (count,3,H,W) in about [-1, 1]."""
    device = model.unet.stem.weight.device
    where = device if generator is None else generator.device
    latent_noise = torch.randn(count, net.mean.numel(), generator=generator, device=where).to(device)
    noise = torch.randn(count, 3, model.image_size, model.image_size, generator=generator, device=where).to(device)
    z = sample_latent(net, latent_noise, latent_steps, solver)
    return sample(model, noise, z, steps, solver=solver)


def latent_loss(
    net: MLPSkipNet,
    z: Tensor,  # (B,Z), z_sem as the encoder gives it
    t: Tensor | None = None,  # (B,); None: drawn uniformly from 0..999
    noise: Tensor | None = None,  # (B,Z); None: drawn from N(0, I)
    generator: torch.Generator | None = None,  # where the draws come from
    kind: str = "l1",  # "l1" (official) or "mse"
) -> Tensor:
    """The error of the predicted noise on normalised codes: (B,)."""
    if t is None:
        t = random_timesteps(len(z), generator).to(z.device)
    if noise is None:
        device = z.device if generator is None else generator.device
        noise = torch.randn(z.shape, generator=generator, device=device, dtype=z.dtype).to(z.device)
    losses = {"l1": F.l1_loss, "mse": F.mse_loss}
    if kind not in losses:
        raise UserError(f"latent loss {kind!r} is not known; choose one of {', '.join(losses)}.")
    predicted = net(_noisy(net.normalize(z), noise, t), t)
    return losses[kind](predicted, noise, reduction="none").mean(1)
