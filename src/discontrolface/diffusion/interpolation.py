"""Between two photos: z_sem on a line, x_T on a great circle (Diff-AE, Section 5.2)."""

import torch
from torch import Tensor

from discontrolface.diffusion.decoding import Decoding
from discontrolface.nets.backbone import Backbone


def slerp(a: Tensor, b: Tensor, weight: float | Tensor) -> Tensor:
    """Spherical interpolation of whole pictures: a, b (B,...) and weight in [0, 1], one or (B,) -> (B,...); 0 gives a, 1 gives b.

    The angle is that between the flattened tensors, norms are not equalised (official `interpolate.ipynb`). Where they are parallel: linear.
    """
    shape = (-1,) + (1,) * (a.ndim - 1)
    w = torch.as_tensor(weight, dtype=a.dtype, device=a.device).reshape(shape)
    cosine = torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1)).clamp(-1, 1)
    theta = cosine.acos().reshape(shape)
    sine = theta.sin()
    parallel = sine.abs() < 1e-4
    sine = torch.where(parallel, torch.ones_like(sine), sine)
    weight_a = torch.where(parallel, 1 - w, ((1 - w) * theta).sin() / sine)
    weight_b = torch.where(parallel, w, (w * theta).sin() / sine)
    return weight_a * a + weight_b * b


@torch.no_grad()
def interpolate(
    model: Backbone,
    first: Tensor,  # (1,3,H,W) in [-1, 1]
    second: Tensor,  # (1,3,H,W)
    weights: list[float],  # where on the way, 0: first, 1: second
    decoding: Decoding,
    generator: torch.Generator | None = None,  # where noise comes from that is not inverted
) -> Tensor:
    """One picture per weight: (len(weights),3,H,W). With start "draft" the drafts are the two pictures, mixed."""
    both = torch.cat([first, second])
    z = model.encode(both)
    noise = decoding.noise(model, both, z, generator)
    w = torch.tensor(weights, dtype=both.dtype, device=both.device)
    n = len(weights)
    codes = z[:1] + w[:, None] * (z[1:] - z[:1])  # (n,Z)
    between = slerp(noise[:1].expand(n, -1, -1, -1), noise[1:].expand(n, -1, -1, -1), w)
    return decoding.pictures(model, codes, between, first + w[:, None, None, None] * (second - first))
