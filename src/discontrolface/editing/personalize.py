"""One-shot fine-tuning: adapt Exp-FaceNet to one person from one photo (DisControlFace, Section 3.4), the backbone frozen.

The paper's way (`PAPER_ONE_SHOT`): the photo is its own target, random patches hidden from the encoder. (A network that also sees a preview finds
the same patches hidden there; it would copy the photo otherwise.)

Ours (`OPEN_ONE_SHOT`) adds what the preview knows: the photo is warped to random other looks, see looks.py. Most often the photo is the target and
a warp the source, sometimes the other way round.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.common.configs import load_dataclass
from discontrolface.common.errors import UserError
from discontrolface.common.pixels import to_float
from discontrolface.common.tensors import to_network
from discontrolface.diffusion.loss import diffusion_loss
from discontrolface.diffusion.masking import random_patch_mask
from discontrolface.diffusion.training_pair import GRID, TrainingPair, crop_places, joined
from discontrolface.editing.looks import PHOTO_AS_TARGET, Look, hide_preview, own_look, warped_looks
from discontrolface.editing.person import Person
from discontrolface.editing.personal import PersonalWeights
from discontrolface.face.geometry import Geometry, SourceLook
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.random_edits import random_edit
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.randomness import seed_dropout
from discontrolface.render.source import prepare_source

PRECISIONS = ("no", "bf16")


@dataclass(frozen=True)
class OneShot:
    """How a photo is personalized."""

    iterations: int
    batch: int
    lr: float  # AdamW, no weight decay, constant
    warps: int  # random looks of the photo that make training pairs; 0: the photo alone (the paper)
    photo_as_target: float = PHOTO_AS_TARGET  # with warps: share of a batch in which the photo is the target
    mask_patch: int = 16
    crop: int = 0  # learn on random squares of this many pixels near the face, the encoder sees the whole source; 0: whole pictures
    precision: str = "no"  # "no" (float32) or "bf16"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UserError(f"precision {self.precision!r} is not known; choose one of {', '.join(PRECISIONS)}")
        if self.iterations < 1 or self.batch < 1 or self.warps < 0 or self.mask_patch < 1:
            raise UserError(
                f"iterations {self.iterations}, batch {self.batch} and mask_patch {self.mask_patch} must be at least 1, warps {self.warps} at least 0"
            )
        if self.crop < 0 or self.crop % GRID:
            raise UserError(f"crop {self.crop} must be 0 or a multiple of {GRID} pixels")


PAPER_ONE_SHOT = OneShot(iterations=1500, batch=4, lr=1e-5, warps=0)
OPEN_ONE_SHOT = OneShot(iterations=100, batch=4, lr=1e-4, warps=32, crop=128)


def load_one_shot(path: Path) -> OneShot:
    """Settings from a YAML file of `OneShot` fields; what it leaves out is as in `PAPER_ONE_SHOT`."""
    return load_dataclass(path, PAPER_ONE_SHOT)


@dataclass(frozen=True)
class Subject:
    """Who is learned. photo: the crop at the networks' size, (S, S, 3) in [0, 1]; its face parameters."""

    photo: NDArray[np.float32]
    parameters: FaceParameters
    geometry: Geometry


def training_pair(look: Look, subject: Subject, control: Any) -> TrainingPair:
    """A pair as the networks take it, at their size."""
    size, maps, source = control.config.image_size, control.spec.maps, SourceLook(look.source, look.source_parameters)
    snapshot = subject.geometry.snapshot(look.parameters, size, maps, look.preview, source=source).image
    return TrainingPair(to_network(look.source), to_network(look.target), snapshot, torch.from_numpy(look.weight)[None, None])


Pools = tuple[list[TrainingPair], list[TrainingPair]]
Progress = Callable[[int, int, float], None]  # (iterations done, of, loss); (0, of, nan) while pairs are made. It may raise `Cancelled`.


def make_pairs(
    subject: Subject, control: Any, settings: OneShot, rng: np.random.Generator, made: Callable[[], None] = lambda: None
) -> Pools:
    """The pairs of a fine-tuning: (photo as the target, warp as the target). made: called after each warp; what it raises passes through."""
    photo, parameters = subject.photo, subject.parameters
    if not settings.warps:
        own = [training_pair(own_look(photo, parameters), subject, control)]
        return own, own
    geometry = subject.geometry
    source = prepare_source(photo, geometry.view(parameters), geometry.rig)
    pairs = []
    for _ in range(settings.warps):
        pairs.append(warped_looks(photo, parameters, geometry, random_edit(parameters, rng), source))
        made()
    return [training_pair(back, subject, control) for back, _ in pairs], [training_pair(forth, subject, control) for _, forth in pairs]


def choose(pools: Pools, settings: OneShot, rng: np.random.Generator) -> TrainingPair:
    """A batch of pairs drawn at random."""
    chosen = []
    for _ in range(settings.batch):
        pool = pools[0] if rng.random() < settings.photo_as_target else pools[1]
        chosen.append(pool[int(rng.integers(len(pool)))])
    return joined(chosen)


def one_shot(
    model: Backbone,  # the frozen backbone
    control: ExpFaceNet,  # changed in place
    person: Person,
    settings: OneShot,
    base_id: str,  # `weights_id` of the base weights
    generator: torch.Generator,
    progress: Progress | None = None,
) -> PersonalWeights:
    """Fine-tune `control` on one person and return the difference. Same seed, same machine: same weights."""
    network: Any = control
    photo = to_float(person.crop.resize(network.config.image_size).image)
    return fine_tune(model, network, Subject(photo, person.parameters, person.geometry), settings, base_id, generator, progress)


def fine_tune(
    model: Backbone,
    network: Any,  # the ExpFaceNet, changed in place
    subject: Subject,
    settings: OneShot,
    base_id: str,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> PersonalWeights:
    """`one_shot` on a crop with known parameters."""
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    tell = progress or (lambda done, total, loss: None)
    pools = make_pairs(subject, network, settings, rng, lambda: tell(0, settings.iterations, math.nan))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=0.0)
    size, spec = network.config.image_size, network.spec
    device = next(network.parameters()).device
    network.train()
    for step in range(settings.iterations):
        seed_dropout(network, generator.initial_seed() + step)
        batch = choose(pools, settings, rng)
        mask = random_patch_mask(settings.batch, size, settings.mask_patch, generator=generator)
        if not settings.warps:
            batch = replace(batch, snapshot=hide_preview(batch.snapshot, spec, mask))
        if settings.crop and settings.crop < size:
            places = crop_places(size, size, settings.crop, torch.randn(settings.batch, 2, generator=generator))
            batch = batch.training_crop(places, settings.crop)
        source, target, snapshot, weight = (
            x.to(device=device, memory_format=torch.channels_last) for x in (batch.source, batch.target, batch.snapshot, batch.weight)
        )
        with torch.autocast(device.type, torch.bfloat16) if settings.precision == "bf16" else contextlib.nullcontext():
            loss = diffusion_loss(model, target, network, snapshot, source=source, mask=mask, weight=weight, generator=generator).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        tell(step + 1, settings.iterations, loss.item())
    network.eval()
    return PersonalWeights.between(base_id, before, network)
