"""A picture from a code that is not its own (interpolation, attributes), by the backbone alone: whence x_T comes, and the way back."""

from dataclasses import dataclass

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.diffusion.inversion import invert
from discontrolface.diffusion.sampling import sample
from discontrolface.nets.backbone import Backbone

DECODING_STARTS = ("inverted", "draft", "noise")


@dataclass(frozen=True)
class Decoding:
    """How codes become pictures.

    start: "inverted" (official: the picture's own x_T), "draft" (the picture itself under a little noise) or "noise" (one x_T for all). A network
    that predicts x0, as the open preset's, divides its error by the little noise of the first steps of an inversion: x_T then has a standard
    deviation of 8 to 14 and leads to false colours. "draft" is for those.
    """

    start: str
    strength: float = 0.1  # with "draft": the share of the steps that is taken
    steps: int = 20
    inversion_steps: int = 250  # with "inverted" (official: 250)

    def __post_init__(self) -> None:
        if self.start not in DECODING_STARTS:
            raise UserError(f"start {self.start!r} is not known; choose one of {', '.join(DECODING_STARTS)}.")
        if not 0 < self.strength <= 1:
            raise UserError(f"strength {self.strength} must lie above 0 and not above 1.")
        if min(self.steps, self.inversion_steps) < 1:
            raise UserError(f"steps {self.steps} and inversion steps {self.inversion_steps} must be at least 1.")

    @torch.no_grad()
    def noise(self, model: Backbone, pictures: Tensor, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """x_T of pictures (B,3,H,W) with codes (B,Z), in the backbone's space; for "draft" and "noise" the same for all of them."""
        x = model.to_space(pictures)
        if self.start == "inverted":
            return invert(model, x, z, self.inversion_steps)
        device = x.device if generator is None else generator.device
        return torch.randn(x.shape[1:], generator=generator, device=device, dtype=x.dtype).to(x.device).expand_as(x)

    @torch.no_grad()
    def pictures(self, model: Backbone, z: Tensor, noise: Tensor, drafts: Tensor) -> Tensor:
        """Pictures (B,3,H,W) of codes (B,Z). drafts: (B,3,H,W), looked at by "draft" alone."""
        if self.start == "draft":
            return model.from_space(sample(model, noise, z, self.steps, start=model.to_space(drafts), strength=self.strength))
        return model.from_space(sample(model, noise, z, self.steps))


def usual_start(model: Backbone) -> str:
    """ "inverted" (official) where the network predicts noise, else "draft"."""
    return "inverted" if model.noise_process.prediction_type == "epsilon" else "draft"
