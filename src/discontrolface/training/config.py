"""What a training run is: one frozen dataclass, read from a YAML file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discontrolface.errors import UserError

STAGES = ("diffae", "expfacenet")


@dataclass(frozen=True)
class TrainConfig:
    """A run. The defaults are the paper's (Section 4.1, Table 1 of DisControlFace) where it says something."""

    stage: str = "expfacenet"  # "diffae": the backbone alone; "expfacenet": the control network beside the frozen backbone
    network: str = "open"  # name in nets/presets.py
    steps: int = 437_500  # optimizer steps
    batch: int = 32  # pictures per step
    lr: float = 1e-4  # AdamW, no weight decay
    warmup: int = 0  # steps of linear warm-up
    final_lr: float = 1.0  # the rate at the last step as a share of `lr`; cosine in between, 1: constant
    ema: float = 0.9999  # decay of the averaged weights, warmed up as (1 + step) / (10 + step)
    mask_patch: int = 16  # pixels
    mask_low: float = 0.25  # masking ratio ~ U(low, high)
    mask_high: float = 0.75
    mask_share: float = 1.0  # share of the batch whose encoder input is masked ("diffae": 0 is the official training)
    snapshot_maps: tuple[str, ...] = ("normals", "lambertian")  # the paper's six channels
    preview_gate: str = "none"  # our extension, see nets/exp_facenet.py
    grad_clip: float = 1.0  # norm
    colour_jitter: float = 0.0  # standard deviation of a per-channel gain on the pictures (log scale)
    flip: bool = True  # mirror half of the pictures
    crop: int = 0  # train on random squares of this many pixels near the face; the encoder sees the whole source; 0: on the whole picture
    seed: int = 0
    checkpoint_minutes: float = 4.0

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise UserError(f"stage {self.stage!r} is not known; choose one of {', '.join(STAGES)}")
        if self.crop and self.stage == "diffae":
            raise UserError("crop is for stage expfacenet: the backbone learns whole pictures")
        for name in ("steps", "batch", "mask_patch"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")


def load_config(path: Path) -> TrainConfig:
    """Read a YAML file of `TrainConfig` fields. UserError for a missing file, a bad value's type, or an unknown key (the known ones are listed)."""
    import yaml

    if not path.is_file():
        raise UserError(f"no training config at {path}")
    try:
        values: Any = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} must be a list of `name: value` lines")
    fields = {f.name: f for f in dataclasses.fields(TrainConfig)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise UserError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(fields)}")
    for key, value in values.items():
        default = fields[key].default
        if isinstance(default, tuple):
            values[key] = tuple(value)
        elif isinstance(default, float) and not isinstance(value, bool) and isinstance(value, int | float | str):
            try:
                values[key] = float(value)
            except ValueError as error:
                raise UserError(f"{path}: {key} must be a number, got {value!r}") from error
        elif not isinstance(value, type(default)):
            raise UserError(f"{path}: {key} must be a {type(default).__name__}, got {value!r}")
    return TrainConfig(**values)
