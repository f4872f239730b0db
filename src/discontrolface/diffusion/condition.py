"""What steers an edit at every step: z_sem of the crop masked by the schedule, and Exp-FaceNet's features on the snapshot."""

from collections.abc import Sequence

import torch
from torch import Tensor

from discontrolface.diffusion.masking import PATCH, apply_mask, masking_schedule, random_patch_mask
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.control import Control, DecodedMix
from discontrolface.nets.exp_facenet import ExpFaceNet, SnapshotReading
from discontrolface.nets.unet import DeepFeatures


class EditCondition:
    """The `condition` of `sample` for an edit; computes once what does not change from step to step.

    Every step hides round(ratio x N) other patches of the crop from the encoder. Steps with ratio 0 share one code. One crop may serve many
    snapshots (many edits of one photo): it is masked and encoded once a step.
    """

    def __init__(
        self,
        model: Backbone,
        control: ExpFaceNet | None,  # None: the backbone alone
        crop: Tensor,  # (B,3,H,W) in [-1, 1], or (1,3,H,W) for all
        snapshot: Tensor | None,  # (B,S,H,W); None without `control`
        steps: int,  # steps really taken: len(denoising_timesteps(steps, strength))
        masking: str | float | Sequence[float] = "linear",  # a schedule's name, one ratio, or one per step
        generator: torch.Generator | Sequence[torch.Generator] | None = None,  # where the masks come from; several: one for each crop
        patch: int = PATCH,  # in pixels
        fill: str = "zero",  # see `apply_mask`
        region: Tensor | None = None,  # (B,1,H,W), as many as crops: mask only patches that touch this (the face)
        deep_every: int = 1,  # as `sample`'s, and to be given the same value: Exp-FaceNet's deep levels only at every n-th step
        deep_depth: int = 1,  # as `sample`'s
        finishes: bool = False,  # the last step's picture goes through `finish`
        mirrored: bool = False,  # what the snapshot shows is seen in a mirror; crop and region are given in it
    ) -> None:
        self.model, self.control, self.crop, self.snapshot = model, control, crop, snapshot
        self.ratios = masking_schedule(masking, steps)
        self.generators = [generator] if generator is None or isinstance(generator, torch.Generator) else list(generator)
        if len(self.generators) not in (1, len(crop)):
            raise ValueError(f"{len(self.generators)} generators for {len(crop)} crops; give one, or one for each")
        self.patch, self.fill, self.region = patch, fill, region
        self.deep_every, self.deep = deep_every, DeepFeatures(deep_depth) if deep_every > 1 else None
        self.mirrored = mirrored
        self.finishes = finishes and control is not None and control.mix_decoded
        self.decoded: DecodedMix | None = None
        self.reading: SnapshotReading | None = None
        self.unmasked: Tensor | None = None

    def encode(self, ratio: float) -> Tensor:
        """z_sem of the crops with this share of their patches hidden: (B,Z)."""
        if ratio == 0:
            if self.unmasked is None:
                self.unmasked = self.model.encode(self.crop)
            return self.unmasked
        count = len(self.crop) // len(self.generators)
        hidden = []
        for k, generator in enumerate(self.generators):
            rows = slice(k * count, (k + 1) * count)
            region = None if self.region is None else self.region[rows]
            mask = random_patch_mask(count, self.crop.shape[-1], self.patch, ratio, generator, region)
            hidden.append(apply_mask(self.crop[rows], mask, self.fill, generator))
        return self.model.encode(hidden[0] if len(hidden) == 1 else torch.cat(hidden))

    def __call__(self, step: int, t: Tensor, x_t: Tensor) -> tuple[Tensor, Control | None]:
        z = self.encode(self.ratios[step]).expand(len(x_t), -1)
        if self.control is None:
            return z, None
        assert self.snapshot is not None
        if self.reading is None:
            self.reading = self.control.read(self.snapshot, self.model, self.mirrored)
        if self.deep is not None and step % self.deep_every == 0:
            self.deep.stored = None
        last = self.finishes and step == len(self.ratios) - 1
        signal = self.control(x_t, t, z, self.snapshot, backbone=self.model, reading=self.reading, deep=self.deep, last=last)
        self.decoded = signal.decoded
        return z, signal

    def finish(self, picture: Tensor) -> Tensor:
        """The picture (B,3,H,W) that the last step's prediction was decoded to, with what is mixed into pictures."""
        return picture if self.decoded is None else self.decoded.over(picture)
