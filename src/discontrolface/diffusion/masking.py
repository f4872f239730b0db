"""Random semantic masking: what the encoder may not see, in training and at every step of an edit (DisControlFace, Section 3.3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from discontrolface.common.errors import UserError

PATCH = 16  # the paper's patch size in pixels
RATIOS = (0.25, 0.75)  # the paper's training distribution: ratio ~ U(0.25, 0.75)
FILLS = ("zero", "black", "mean", "noise")
SCHEDULES = ("A", "B", "C", "D", "E", "F", "linear", "linear-up")


def masking_schedule(schedule: str | float | Sequence[float], steps: int) -> list[float]:
    """The masking ratio of each of `steps` denoising steps, in the order in which they are taken.

    By name (the paper's supplement, its 20 steps scaled to any number): A nothing; B 0.75; C 0.25; D 0.25 for the first half, then 0.75;
    E the reverse; F, `linear` (default of an edit): 0.75 -> 0.25 linearly. The supplement gives neither F's ends nor its direction:
    `linear-up` is 0.25 -> 0.75.
    Or one ratio in [0, 1] for every step, or a list of `steps` ratios.
    """
    if steps < 1:
        raise UserError(f"steps is {steps}; it must be at least 1.")
    if isinstance(schedule, int | float):
        schedule = [schedule] * steps
    if not isinstance(schedule, str):
        ratios = [float(r) for r in schedule]
        if len(ratios) != steps:
            raise UserError(f"the masking schedule lists {len(ratios)} ratios, but the run takes {steps} steps; give one per step.")
        if not all(0 <= r <= 1 for r in ratios):
            raise UserError(f"the masking schedule holds a ratio outside [0, 1]: {next(r for r in ratios if not 0 <= r <= 1)}.")
        return ratios
    low, high = RATIOS
    half = (steps + 1) // 2
    line = [high + (low - high) * i / (steps - 1) if steps > 1 else (low + high) / 2 for i in range(steps)]
    tables = {
        "A": [0.0] * steps,
        "B": [high] * steps,
        "C": [low] * steps,
        "D": [low] * half + [high] * (steps - half),
        "E": [high] * half + [low] * (steps - half),
        "F": line,
        "linear": line,
        "linear-up": line[::-1],
    }
    if schedule not in tables:
        raise UserError(f"masking schedule {schedule!r} is not known; choose one of {', '.join(SCHEDULES)}, or give a list of ratios.")
    return tables[schedule]


def random_ratios(batch: int, low: float = RATIOS[0], high: float = RATIOS[1], generator: torch.Generator | None = None) -> Tensor:
    """One masking ratio per picture, ~ U(low, high): (B,) float32."""
    device = "cpu" if generator is None else generator.device
    return low + (high - low) * torch.rand(batch, generator=generator, device=device)


def random_patch_mask(
    batch: int,  # pictures
    size: int,  # their height and width in pixels
    patch: int = PATCH,  # height and width of a patch in pixels
    ratio: float | Tensor | None = None,  # share of patches to hide, one for all or (B,); None: U(0.25, 0.75) each
    generator: torch.Generator | None = None,  # where the randomness comes from
    region: Tensor | None = None,  # (B,1,H,W) or (B,H,W), nonzero where masking is allowed (the face); None: everywhere
) -> Tensor:
    """Which pixels are hidden: (B,1,size,size) bool, constant on patches; exactly round(ratio x N) of a picture's N patches, uniformly.

    With `region` only patches that touch it are hidden, and N is their number ("only performing random masking on face-related patches").
    The result is on the region's device, else the generator's, else the CPU.
    Raises UserError if `patch` does not divide `size` or a ratio lies outside [0, 1].
    """
    if patch < 1 or size % patch:
        raise UserError(f"patch {patch} does not divide the picture's size {size}; choose a divisor.")
    device = torch.device("cpu") if generator is None else generator.device
    if ratio is None:
        ratio = random_ratios(batch, generator=generator)
    ratios = torch.as_tensor(ratio, dtype=torch.float64, device=device).expand(batch)
    if not bool(((ratios >= 0) & (ratios <= 1)).all()):
        raise UserError(f"masking ratio {ratios.tolist()} lies outside [0, 1].")
    side = size // patch
    order = torch.rand(batch, side * side, generator=generator, device=device)  # (B,N)
    if region is not None:
        if region.shape[-2:] != (size, size):
            raise UserError(f"the region is {tuple(region.shape[-2:])}, the picture {size}x{size}; they must agree.")
        allowed = F.max_pool2d((region.reshape(-1, 1, size, size) != 0).float(), patch).flatten(1).bool().expand(batch, -1)  # (B,N)
        order = order.to(region.device).masked_fill(~allowed, 2.0)
        ratios = ratios.to(region.device)
        counts = (ratios * allowed.sum(1)).round()
    else:
        counts = (ratios * side * side).round()
    ranks = order.argsort(1).argsort(1)  # (B,N): 0 for the patch with the smallest number
    hidden = ranks < counts[:, None]
    return hidden.view(batch, 1, side, side).repeat_interleave(patch, 2).repeat_interleave(patch, 3)  # (B,1,H,W)


def apply_mask(x0: Tensor, mask: Tensor, fill: str = "zero", generator: torch.Generator | None = None) -> Tensor:
    """The crop with its hidden pixels filled: x0 (B,3,H,W) in [-1, 1], mask (B,1,H,W) bool -> (B,3,H,W).

    `fill`: "zero" (0, middle grey; the default, the paper does not say), "black" (-1), "mean" (each picture's mean colour over what stays
    visible) or "noise" (N(0, 1)).
    """
    mask = mask.to(x0.device)
    if fill == "zero":
        return x0.masked_fill(mask, 0.0)
    if fill == "black":
        return x0.masked_fill(mask, -1.0)
    if fill == "mean":
        visible = (~mask).to(x0.dtype)
        mean = (x0 * visible).sum((2, 3), keepdim=True) / visible.sum((2, 3), keepdim=True).clamp(min=1)
        return torch.where(mask, mean, x0)
    if fill == "noise":
        device = x0.device if generator is None else generator.device
        noise = torch.randn(x0.shape, generator=generator, device=device, dtype=x0.dtype).to(x0.device)
        return torch.where(mask, noise, x0)
    raise UserError(f"mask fill {fill!r} is not known; choose one of {', '.join(FILLS)}.")
