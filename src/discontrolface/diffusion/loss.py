"""The training loss, for the backbone alone and for Exp-FaceNet beside it."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.diffusion.masking import apply_mask
from discontrolface.diffusion.schedule import random_timesteps
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.exp_facenet import ExpFaceNet


@dataclass(frozen=True)
class Loss:
    """One batch's loss and what it was computed from."""

    loss: Tensor  # (), the mean
    per_sample: Tensor  # (B,)
    x0: Tensor  # (B,C,h,w), the predicted picture in the backbone's space, detached, not clipped
    x_t: Tensor  # (B,C,h,w)
    t: Tensor  # (B,)
    prediction: Tensor  # (B,C,h,w), of the model's prediction type, with its gradient
    picture: Tensor | None = None  # (B,3,H,W), with its gradient: the decoded prediction, of a control network that mixes pictures


def diffusion_loss(
    model: Backbone,
    x0: Tensor,  # (B,3,H,W) in [-1, 1]: the picture to be learned
    control: ExpFaceNet | None = None,  # beside the (frozen) backbone; None: the backbone alone
    snapshot: Tensor | None = None,  # (B,S,H,W), with `control`
    source: Tensor | None = None,  # (B,3,H,W): the picture the encoder sees; None: x0 itself
    mask: Tensor | None = None,  # (B,1,H,W) bool: what is hidden from the encoder; None: nothing
    fill: str = "zero",  # how it is hidden, see `apply_mask`
    z: Tensor | None = None,  # (B,Z): z_sem, if computed before; then `source` and `mask` are not read
    t: Tensor | None = None,  # (B,); None: drawn uniformly from 0..999
    noise: Tensor | None = None,  # (B,C,h,w), of the backbone's space; None: drawn from N(0, I)
    weight: Tensor | None = None,  # (B,1,H,W) in [0, 1]: how much each pixel counts; None: all the same
    generator: torch.Generator | None = None,  # where the draws come from
    start: Tensor | None = None,  # (B,C,h,w), of the backbone's space: what is noised; None: x0, as in every diffusion training
) -> Loss:
    """Mean squared error on the model's own prediction type, in its own space (official `training_losses`; the paper: MSE on the noise). Beside a
    control network that mixes pictures: of the picture that the predicted x0 is decoded to and mixed.

    One function for both trainings: gradients reach whatever requires them. A frozen backbone's encoder, down path and middle record nothing;
    the gradient passes through its decoder only, to Exp-FaceNet.
    """
    if (control is None) != (snapshot is None):
        raise UserError("the loss of Exp-FaceNet needs both the control network and the snapshot.")
    if t is None:
        t = random_timesteps(len(x0), generator).to(x0.device)
    clean, process = model.to_space(x0), model.noise_process
    if noise is None:
        device = x0.device if generator is None else generator.device
        noise = torch.randn(clean.shape, generator=generator, device=device, dtype=x0.dtype).to(x0.device)
    if z is None:
        seen = x0 if source is None else source
        z = model.encode(seen if mask is None else apply_mask(seen, mask, fill, generator))
    x_t = process.add_noise(clean if start is None else start, noise, t)
    signal = None
    if control is not None:
        assert snapshot is not None
        signal = control(x_t, t, z, snapshot, backbone=model, last=control.mix_decoded)
    prediction = model(x_t, t, z, control=signal)
    if signal is not None and signal.decoded is not None:
        picture = signal.decoded.over(model.from_space(process.to_x0(prediction, x_t, t)))  # (B,3,H,W)
        per_sample = weighted((picture - x0).square(), weight)
        return Loss(per_sample.mean(), per_sample, process.to_x0(prediction.detach(), x_t, t), x_t, t, prediction, picture)
    target = process.training_target(clean, noise, t) if start is None else process.from_x0(clean, x_t, t)
    per_sample = weighted((prediction - target).square(), weight)
    predicted_x0 = process.to_x0(prediction.detach(), x_t, t)
    return Loss(per_sample.mean(), per_sample, predicted_x0, x_t, t, prediction)


def weighted(squared: Tensor, weight: Tensor | None) -> Tensor:
    """(B,): the mean of squares (B,C,h,w), each pixel as its weight (B,1,H,W) says."""
    if weight is None:
        return squared.flatten(1).mean(1)
    if weight.shape[-2:] != squared.shape[-2:]:
        weight = F.adaptive_avg_pool2d(weight, (squared.shape[-2], squared.shape[-1]))
    return (squared * weight).flatten(1).mean(1)
