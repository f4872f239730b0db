"""The training loss, for the backbone alone and for Exp-FaceNet beside it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.diffusion.masking import apply_mask
from discontrolface.diffusion.schedule import add_noise, random_timesteps
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.parametrization import to_x0, training_target


@dataclass(frozen=True)
class Loss:
    """One batch's loss and what it was computed from."""

    loss: Tensor  # (), the mean
    per_sample: Tensor  # (B,)
    x0: Tensor  # (B,3,H,W), the predicted picture, detached, not clipped
    x_t: Tensor  # (B,3,H,W)
    t: Tensor  # (B,)


def diffusion_loss(
    model: DiffAE,
    x0: Tensor,  # (B,3,H,W) in [-1, 1]: the picture to be learned
    control: ExpFaceNet | None = None,  # beside the (frozen) backbone; None: the backbone alone
    snapshot: Tensor | None = None,  # (B,S,H,W), with `control`
    source: Tensor | None = None,  # (B,3,H,W): the picture the encoder sees; None: x0 itself
    mask: Tensor | None = None,  # (B,1,H,W) bool: what is hidden from the encoder; None: nothing
    fill: str = "zero",  # how it is hidden, see `apply_mask`
    z: Tensor | None = None,  # (B,Z): z_sem, if computed before; then `source` and `mask` are not read
    t: Tensor | None = None,  # (B,); None: drawn uniformly from 0..999
    noise: Tensor | None = None,  # (B,3,H,W); None: drawn from N(0, I)
    weight: Tensor | None = None,  # (B,1,H,W) in [0, 1]: how much each pixel counts; None: all the same
    generator: torch.Generator | None = None,  # where the draws come from
) -> Loss:
    """Mean squared error on the model's own prediction type (official `training_losses`; the paper: MSE on the noise).

    One function for both trainings: gradients reach whatever requires them. A frozen backbone's encoder, down path and middle record nothing;
    the gradient passes through its decoder only, to Exp-FaceNet.
    """
    if (control is None) != (snapshot is None):
        raise UserError("the loss of Exp-FaceNet needs both the control network and the snapshot.")
    if t is None:
        t = random_timesteps(len(x0), generator).to(x0.device)
    if noise is None:
        device = x0.device if generator is None else generator.device
        noise = torch.randn(x0.shape, generator=generator, device=device, dtype=x0.dtype).to(x0.device)
    if z is None:
        seen = x0 if source is None else source
        z = model.encode(seen if mask is None else apply_mask(seen, mask, fill, generator))
    x_t = add_noise(x0, noise, t)
    signal = None
    if control is not None:
        assert snapshot is not None
        signal = control(x_t, t, z, snapshot, backbone=model)
    prediction = model(x_t, t, z, control=signal)
    target = training_target(x0, noise, t, model.prediction_type)
    squared = (prediction - target).square()
    per_sample = (squared if weight is None else squared * weight).flatten(1).mean(1)
    predicted_x0 = to_x0(prediction.detach(), x_t, t, model.prediction_type)
    return Loss(per_sample.mean(), per_sample, predicted_x0, x_t, t)
