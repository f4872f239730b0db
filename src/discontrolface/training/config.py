"""What a training run is: one frozen dataclass, read from a YAML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from discontrolface.common.configs import load_dataclass
from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import PAPER_MAPS, SnapshotSpec, check_maps
from discontrolface.training.stages import STAGES

PAIRS = ("synthetic", "self", "warp")
PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True)
class TrainConfig:
    """A run. The defaults are the paper's (Section 4.1, Table 1 of DisControlFace) where it says something."""

    stage: str = "expfacenet"  # "diffae": the backbone; "expfacenet": the control network beside it, frozen; "autoencoder"; or a baseline's
    network: str = "open"  # name in nets/presets.py
    autoencoder: str = ""  # of a network on latents: the autoencoder's folder, or its name on the Hugging Face hub; "": ours, untrained
    latent_noise: float = 0.03  # stage "autoencoder": the posterior's standard deviation
    kl_weight: float = 1e-3  # stage "autoencoder": weight of the latents' divergence from N(0, I)
    pairs: str = "synthetic"  # source and target: "synthetic" (two looks, both true), "self" (the paper: one photo), "warp" (a photo and its preview)
    steps: int = 437_500  # optimizer steps; not read where `minutes` says how long
    minutes: float = 0.0  # above 0: the run is so many minutes of training long, see clock.py
    batch: int = 32  # pictures per process and micro-batch; a step sees batch x accumulate x processes
    accumulate: int = 1  # micro-batches per step
    lr: float = 1e-4  # AdamW, no weight decay
    warmup: int = 0  # steps of linear warm-up
    final_lr: float = 1.0  # the rate at the last step as a share of `lr`; cosine in between, 1: constant
    ema: float = 0.9999  # decay of the averaged weights, warmed up as (1 + step) / (10 + step)
    mask_patch: int = 16  # pixels
    mask_low: float = 0.25  # masking ratio ~ U(low, high)
    mask_high: float = 0.75
    mask_share: float = 1.0  # share of the batch whose encoder input is masked ("diffae": 0 is the official training)
    head: str = "open"  # the head model that snapshots and data are of, see face/heads/registry.py
    snapshot_maps: tuple[str, ...] = PAPER_MAPS  # in the order of common/snapshot_spec.py
    preview_gate: str = "none"  # our extension, see nets/exp_facenet.py
    preview_correction: bool = False  # the same
    source_gate: bool = False  # the same
    stem_widths: tuple[int, ...] = ()  # the same
    stem_shrink: int = 1  # the same
    preview_in_space: bool = False  # the same
    mix_decoded: bool = False  # the same
    learns: tuple[str, ...] = ()  # shell patterns of "control.*" and "model.*": only these parameters learn; (): the control network
    grad_clip: float = 1.0  # norm
    colour_jitter: float = 0.0  # standard deviation of a per-channel gain on the pictures (log scale)
    tone_jitter: float = 0.0  # standard deviation of a gamma and of the saturation of the pictures (log scale)
    stretch_jitter: float = 0.0  # the same of width and height of half of the pictures: people of other proportions (training/variety.py)
    flip: bool = True  # mirror half of the pictures
    crop: int = (
        0  # not "diffae": learn on random squares of this many pixels near the face; the encoder sees the whole source; 0: whole pictures
    )
    hidden_weight: float = 0.0  # extra weight of pixels that the preview does not show (by 1 - visibility)
    relative_floor: float = 0.0  # above 0: a picture's loss counts relative to the preview's own squared error + this, see dataset.relative
    pyramid_weight: float = (
        0.0  # weight of the absolute error of three bands of detail, relative to the preview's (training/detail_loss.py)
    )
    likeness_weight: float = 0.0  # weight of what dlib's face network sees, relative to the preview's (training/likeness.py); extra `eval`
    identity_weight: float = (
        0.0  # weight of the distance between dlib's embeddings, relative to the preview's; whole pictures (crop: 0), extra `eval`
    )
    adversary_weight: float = (
        0.0  # of a patch discriminator's word, on the pictures that an edit's steps meet (training/adversary.py); 0: none
    )
    adversary_lr: float = 2e-4  # the discriminator's rate; it follows the schedule of `lr`
    p2: bool = False  # stages of DiffusionRig: a timestep counts as 1 / (1 + signal-to-noise ratio), see baselines/rig_objective.py
    first_share: float = (
        0.0  # share of the pictures that are learned as the first step of an edit meets them: from nothing but noise, at t = 999
    )
    own_share: float = 0.0  # share that is learned from the network's own prediction, noised a little, as a later step of an edit meets it
    pool: int = 4096  # pairs on the device, the newest ones, where they are made while it trains (stream.py)
    pool_first: int = 512  # of them before the first step
    stream_shares: tuple[float, ...] = (0.5, 0.2, 0.3)  # of real, return and drawn pairs there
    seed: int = 0
    precision: str = "no"  # "no" (float32), "bf16" or "fp16": what the networks compute in; weights and optimizer stay float32
    channels_last: bool = True  # memory order of pictures and weights
    compile: bool = False  # torch.compile of the normalizations and activations (nets/blocks.py); the first step takes half a minute longer
    checkpoint_minutes: float = 4.0  # 0: after every step
    make_pairs: int = 0  # synthetic pairs that are made first when no data are given; 0: data must be given
    backbone_steps: int = 0  # steps of a backbone that is trained first when none is given; 0: it must be given
    loss_bar: float = 0.0  # the mean loss of the last tenth of the run must be below this, else the run says so and fails; 0: no bar

    def __post_init__(self) -> None:
        for name, known in (("stage", STAGES), ("pairs", PAIRS), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise UserError(f"{name} {getattr(self, name)!r} is not known; choose one of {', '.join(known)}")
        object.__setattr__(self, "snapshot_maps", check_maps(self.snapshot_maps))
        for name in ("steps", "batch", "accumulate", "mask_patch", "pool", "pool_first", "stem_shrink"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("ema", "mask_low", "mask_high", "mask_share", "first_share", "own_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must lie between 0 and 1")
        if min(self.latent_noise, self.kl_weight) < 0:
            raise UserError(f"latent_noise {self.latent_noise} and kl_weight {self.kl_weight} must be at least 0")
        if self.minutes < 0:
            raise UserError(f"minutes is {self.minutes}; it must be at least 0")
        shares = self.stream_shares
        if len(shares) != 3 or not all(isinstance(v, int | float) and v >= 0 for v in shares) or not sum(shares) > 0:
            raise UserError(f"stream_shares is {list(shares)}; it must be three shares, of real, return and drawn pairs")
        if self.relative_floor < 0:
            raise UserError(f"relative_floor is {self.relative_floor}; it must be at least 0")
        if self.relative_floor and not {"preview", "visibility"} <= set(self.snapshot_maps):
            raise UserError("relative_floor compares with the preview; add preview and visibility to snapshot_maps")
        if self.first_share + self.own_share > 1:
            raise UserError(f"first_share {self.first_share} and own_share {self.own_share} are shares of one batch; together at most 1")
        beside = ("own_share", "pyramid_weight", "likeness_weight", "identity_weight", "adversary_weight")
        if any(getattr(self, name) for name in beside) and self.stage != "expfacenet":
            raise UserError(f"{', '.join(beside[:-1])} and {beside[-1]} are for stage expfacenet")
        if self.p2 and not self.stage.startswith("diffusionrig"):
            raise UserError("p2 is for the stages of DiffusionRig")
        if self.adversary_weight and not self.first_share + self.own_share:
            raise UserError("adversary_weight counts on pictures of first_share and own_share; give one of them above 0")
        if (self.pyramid_weight or self.likeness_weight or self.identity_weight) and "preview" not in self.snapshot_maps:
            raise UserError("pyramid_weight, likeness_weight and identity_weight compare with the preview; add preview to snapshot_maps")
        if self.crop and self.stage == "diffae":
            raise UserError("crop is for stage expfacenet: the backbone learns whole pictures")
        if self.identity_weight and self.crop:
            raise UserError(f"identity_weight {self.identity_weight} is for whole pictures; write crop: 0")
        if self.mask_low > self.mask_high:
            raise UserError(f"mask_low {self.mask_low} is above mask_high {self.mask_high}")

    @property
    def spec(self) -> SnapshotSpec:
        """The snapshots that the run's network reads."""
        return SnapshotSpec(self.head, self.snapshot_maps)


def load_config(path: Path) -> TrainConfig:
    """Read a YAML file of `TrainConfig` fields. UserError for a missing file, a bad value's type, or an unknown key (the known ones are listed)."""
    return load_dataclass(path, TrainConfig())
