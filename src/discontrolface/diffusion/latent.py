"""The latent DPM: codes, and so faces, from noise (Diff-AE, Section 5.4; official `render_uncondition`)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.diffusion.sampling import denoise, sample
from discontrolface.diffusion.schedule import denoising_timesteps, random_timesteps
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.latent import MLPSkipNet


@torch.no_grad()
def sample_latent(net: MLPSkipNet, noise: Tensor, steps: int = 20, solver: str = "ddim") -> Tensor:
    """Codes from noise: (B,Z) ~ N(0, I) -> z_sem (B,Z), denormalised. No clipping, as the official code."""
    process = net.noise_process

    def predict(index: int, z_t: Tensor, t: Tensor) -> Tensor:
        return process.to_x0(net(z_t, t), z_t, t)

    z = noise
    for step in denoise(predict, noise, denoising_timesteps(steps, 1.0, solver, process), process, solver, clip=False):
        z = step.sample
    return net.denormalize(z)


def sample_faces(
    model: Backbone,
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
    channels, size = model.space
    noise = torch.randn(count, channels, size, size, generator=generator, device=where).to(device)
    z = sample_latent(net, latent_noise, latent_steps, solver)
    return model.from_space(sample(model, noise, z, steps, solver=solver))


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
    predicted = net(net.noise_process.add_noise(net.normalize(z), noise, t), t)
    return losses[kind](predicted, noise, reduction="none").mean(1)
