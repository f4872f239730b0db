"""What steers an edit at every step: z_sem of the crop masked by the schedule, and Exp-FaceNet's features on the snapshot."""

from collections.abc import Sequence

import torch
from torch import Tensor

from discontrolface.diffusion.masking import PATCH, apply_mask, masking_schedule, random_patch_mask
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.control import Control
from discontrolface.nets.exp_facenet import ExpFaceNet, SnapshotReading
from discontrolface.nets.unet import DeepFeatures


class EditCondition:
    """The `condition` of `sample` for an edit; computes once what does not change from step to step.

    Every step hides round(ratio x N) other patches of the crop from the encoder. Steps with ratio 0 share one code.
    """

    def __init__(
        self,
        model: Backbone,
        control: ExpFaceNet | None,  # None: the backbone alone
        crop: Tensor,  # (B,3,H,W) in [-1, 1]
        snapshot: Tensor | None,  # (B,S,H,W); None without `control`
        steps: int,  # steps really taken: len(denoising_timesteps(steps, strength))
        masking: str | Sequence[float] = "linear",  # a schedule's name or one ratio per step
        generator: torch.Generator | None = None,  # where the masks come from
        patch: int = PATCH,  # in pixels
        fill: str = "zero",  # see `apply_mask`
        region: Tensor | None = None,  # (B,1,H,W): mask only patches that touch this (the face)
        deep_every: int = 1,  # as `sample`'s, and to be given the same value: Exp-FaceNet's deep levels only at every n-th step
        deep_depth: int = 1,  # as `sample`'s
    ) -> None:
        self.model, self.control, self.crop, self.snapshot = model, control, crop, snapshot
        self.ratios = masking_schedule(masking, steps)
        self.generator, self.patch, self.fill, self.region = generator, patch, fill, region
        self.deep_every, self.deep = deep_every, DeepFeatures(deep_depth) if deep_every > 1 else None
        self.reading: SnapshotReading | None = None
        self.unmasked: Tensor | None = None

    def encode(self, ratio: float) -> Tensor:
        """z_sem of the crop with this share of its patches hidden: (B,Z)."""
        if ratio == 0:
            if self.unmasked is None:
                self.unmasked = self.model.encode(self.crop)
            return self.unmasked
        mask = random_patch_mask(len(self.crop), self.crop.shape[-1], self.patch, ratio, self.generator, self.region)
        return self.model.encode(apply_mask(self.crop, mask, self.fill, self.generator))

    def __call__(self, step: int, t: Tensor, x_t: Tensor) -> tuple[Tensor, Control | None]:
        z = self.encode(self.ratios[step])
        if self.control is None:
            return z, None
        assert self.snapshot is not None
        if self.reading is None:
            self.reading = self.control.read(self.snapshot, self.model)
        if self.deep is not None and step % self.deep_every == 0:
            self.deep.stored = None
        return z, self.control(x_t, t, z, self.snapshot, backbone=self.model, reading=self.reading, deep=self.deep)
