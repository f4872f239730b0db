"""What is trained, and its loss: one module, so that data parallelism, mixed precision and compilation see one forward."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from discontrolface.common.errors import UserError
from discontrolface.diffusion.condition import EditCondition
from discontrolface.diffusion.loss import diffusion_loss
from discontrolface.diffusion.masking import apply_mask
from discontrolface.diffusion.sampling import sample
from discontrolface.diffusion.schedule import denoising_timesteps
from discontrolface.nets.backbone import Backbone, Space, make_backbone
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.noise_process import TRAIN_TIMESTEPS
from discontrolface.nets.presets import CONFIGS
from discontrolface.nets.randomness import SeededWeights
from discontrolface.training.adversary import Adversary
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import Batch
from discontrolface.training.detail_loss import relative_detail
from discontrolface.training.likeness import Likeness
from discontrolface.training.parts import Parts
from discontrolface.training.stages import STAGES
from discontrolface.weights.autoencoders import autoencoder_description, find_autoencoder, load_autoencoder
from discontrolface.weights.dlib_face import dlib_file, load_dlib_face
from discontrolface.weights.preset import load_backbone


class Losses(NamedTuple):
    """per_sample: (B,), each picture's loss. beside: (B,), what is minimized with it and does not measure the picture (an adversary's terms)."""

    per_sample: Tensor
    beside: Tensor

    @classmethod
    def alone(cls, per_sample: Tensor) -> Losses:
        """Nothing beside."""
        return cls(per_sample, torch.zeros_like(per_sample))


class Objective(nn.Module):
    """The networks of a run and their loss. `trained` is the one that learns; a backbone beside a control network is frozen, its dropout off.

    adversary: learns with it, in the same optimizer.
    """

    def __init__(
        self,
        model: Any,
        control: Any = None,
        pyramid_weight: float = 0.0,
        adversary: Adversary | None = None,
        adversary_weight: float = 0.0,
        likeness: Likeness | None = None,
        likeness_weight: float = 0.0,
        identity_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.model, self.control, self.pyramid_weight = model, control, pyramid_weight
        self.adversary, self.adversary_weight = adversary, adversary_weight
        self.likeness, self.likeness_weight, self.identity_weight = likeness, likeness_weight, identity_weight
        self.parts: Parts | None = None
        if control is not None:
            model.requires_grad_(False)

    def narrow(self, patterns: Sequence[str]) -> None:
        """Let only these parameters learn (parts.py). UserError where there is no control network, or nothing of that name."""
        if self.control is None:
            raise UserError("learns names parameters of a control network and the backbone beside it; it is for stage expfacenet")
        self.parts = Parts(self.model, self.control, patterns)

    @property
    def new(self) -> Any:
        """The network that is new in this run, whose weights another run may give."""
        return self.model if self.control is None else self.control

    @property
    def trained(self) -> Any:
        """What learns."""
        return self.new if self.parts is None else self.parts

    @property
    def space(self) -> Space:
        """What is denoised: the noise of a batch is of this shape."""
        space: Space = self.model.space
        return space

    def train(self, mode: bool = True) -> Objective:
        """Training mode for what is trained, evaluation mode for what is frozen."""
        super().train(mode)
        if self.control is not None:
            self.model.eval()
        return self

    def forward(self, batch: Batch) -> Losses:
        """The backbone rebuilds the target; Exp-FaceNet makes it from the masked source and its snapshot."""
        shared: dict[str, Any] = {"mask": batch.mask, "t": batch.t, "noise": batch.noise, "weight": batch.weight}
        if self.control is None:
            return Losses.alone(diffusion_loss(self.model, batch.target, **shared).per_sample)
        z = self.model.encode(apply_mask(batch.source, batch.mask))
        shared |= {"z": z, "start": self.own_predictions(batch, z)}
        loss = diffusion_loss(self.model, batch.target, self.control, batch.snapshot, **shared)
        losses = Losses.alone(loss.per_sample)
        if not self.pyramid_weight and self.adversary is None and self.likeness is None:
            return losses
        picture = loss.picture
        if picture is None:
            picture = self.model.from_space(self.model.noise_process.to_x0(loss.prediction, loss.x_t, loss.t))
        if self.pyramid_weight:
            preview = batch.snapshot[:, self.control.spec.slice("preview")]
            losses = Losses.alone(losses.per_sample + self.pyramid_weight * relative_detail(picture, batch.target, preview))
        if self.likeness is not None:
            preview = batch.snapshot[:, self.control.spec.slice("preview")]
            losses = Losses.alone(losses.per_sample + self.likeness_weight * self.likeness(picture, batch.target, preview))
        if self.likeness is not None and self.identity_weight:
            preview, chance = batch.snapshot[:, self.control.spec.slice("preview")], batch.noise[:, 0, 0, :3].float()
            person = self.likeness.person(picture, batch.target, preview, face_chip(batch), chance)
            losses = Losses.alone(losses.per_sample + self.identity_weight * person)
        if self.adversary is None:
            return losses
        asked, learned = self.adversary(picture, batch)
        return losses._replace(beside=self.adversary_weight * asked + learned)

    @torch.no_grad()
    def own_predictions(self, batch: Batch, z: Tensor) -> Tensor | None:
        """(B,C,h,w) what is noised: the target, and where `batch.own` says so the picture that the networks predict from noise alone."""
        if batch.own is None:
            return None
        start, picked = self.model.to_space(batch.target).clone(), batch.own.flatten(1).any(1)
        noise = batch.own[picked]
        t = torch.full((len(noise),), TRAIN_TIMESTEPS - 1, device=start.device)
        control = self.control(noise, t, z[picked], batch.snapshot[picked], backbone=self.model)
        predicted = self.model.noise_process.to_x0(self.model(noise, t, z[picked], control=control), noise, t)
        start[picked] = (predicted.clamp(-1, 1) if self.model.clips_x0 else predicted).to(start.dtype)
        return start

    def seen(self, batch: Batch) -> Tensor:
        """(B,3,H,W) the picture that the encoder sees: of the backbone alone the target itself."""
        return batch.target if self.control is None else batch.source

    def sampled(self, batch: Batch, noise: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        """(B,3,H,W) what the networks make of the batch from noise (B,C,h,w) in so many steps; the masks come from the generator."""
        taken, source = len(denoising_timesteps(steps)), self.seen(batch)
        snapshot, masking = (None, "A") if self.control is None else (batch.snapshot, "linear")
        condition = EditCondition(self.model, self.control, source, snapshot, taken, masking, generator, finishes=True)
        return condition.finish(self.model.from_space(sample(self.model, noise, steps=steps, condition=condition)))


def face_chip(batch: Batch) -> Tensor:
    """(B,4), where the targets' faces are. UserError for data that do not say."""
    if batch.chip is None:
        raise UserError(
            "identity_weight asks where the faces are, and these data do not say; give pairs or an album, or write identity_weight: 0"
        )
    return batch.chip


def network_config(config: TrainConfig) -> dict[str, Any]:
    """Arguments of the run's backbone, for `make_backbone`."""
    if config.network not in CONFIGS:
        raise UserError(f"network {config.network!r} is not known; choose one of {', '.join(CONFIGS)}")
    arguments = CONFIGS[config.network]()
    if config.autoencoder:
        if arguments.get("_class_name") != "LatentDiffAE":
            raise UserError(f"network {config.network!r} denoises no latents; leave autoencoder {config.autoencoder!r} out")
        arguments["autoencoder"] = autoencoder_description(find_autoencoder(config.autoencoder))
    return arguments


def new_control(model: Backbone, config: TrainConfig) -> ExpFaceNet:
    """The run's Exp-FaceNet, a copy of the backbone."""
    return ExpFaceNet.from_backbone(
        model,
        head=config.head,
        snapshot_maps=config.snapshot_maps,
        preview_gate=config.preview_gate,
        preview_correction=config.preview_correction,
        source_gate=config.source_gate,
        stem_widths=config.stem_widths,
        stem_shrink=config.stem_shrink,
        preview_in_space=config.preview_in_space,
        mix_decoded=config.mix_decoded,
    )


def backbone_alone(config: TrainConfig, backbone: None) -> Objective:
    """Stage "diffae": the run's backbone with new weights; the autoencoder that the config names has its trained ones."""
    model: Any = make_backbone(network_config(config))
    if config.autoencoder and not model.latent_mean.is_meta:
        model.autoencoder.load_state_dict(load_autoencoder(find_autoencoder(config.autoencoder)).state_dict())
    return Objective(model)


def control_beside(config: TrainConfig, backbone: Any) -> Objective:
    """Stage "expfacenet": a new Exp-FaceNet beside a trained backbone."""
    control = new_control(backbone, config)
    adversary = Adversary(control.spec) if config.adversary_weight else None
    asks = config.likeness_weight or config.identity_weight
    likeness = Likeness(load_dlib_face(dlib_file()), backbone.image_size) if asks else None
    return Objective(
        backbone,
        control,
        config.pyramid_weight,
        adversary,
        config.adversary_weight,
        likeness,
        config.likeness_weight,
        config.identity_weight,
    )


def build(config: TrainConfig, backbone: Path | None) -> Objective:
    """The networks of a run; weights follow from the seed. backbone: the folder of the trained one, for a stage that needs it."""
    stage = STAGES[config.stage]
    model = trained_backbone(backbone) if stage.beside_backbone else None
    with SeededWeights(config.seed):
        objective = stage.build(config, model)
    if config.learns:
        objective.narrow(config.learns)
    return objective


def empty(config: TrainConfig) -> Objective:
    """The networks of a run without storage, for counting."""
    stage = STAGES[config.stage]
    with torch.device("meta"):
        objective = stage.build(config, make_backbone(network_config(config)) if stage.beside_backbone else None)
    if config.learns:
        objective.narrow(config.learns)
    return objective


def trained_backbone(folder: Path | None) -> Any:
    """A backbone that `train diffae` wrote. UserError if there is none."""
    if folder is None:
        raise UserError("training Exp-FaceNet needs a trained backbone; give its folder with --backbone")
    if not (folder / "config.json").is_file():
        raise UserError(f"no config.json in {folder}; give the folder of a trained backbone (OUTPUT/weights of `train diffae`)")
    return load_backbone(folder)
