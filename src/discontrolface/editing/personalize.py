"""One-shot fine-tuning: adapt Exp-FaceNet to one person from one photo (DisControlFace, Section 3.4), the backbone frozen.

The paper's way (`PAPER_ONE_SHOT`): the photo is its own target, random patches hidden from the encoder. (A network that also sees a preview finds
the same patches hidden there; it would copy the photo otherwise.)

Ours (`OPEN_ONE_SHOT`) adds what the preview knows: the photo is warped to random other looks, see looks.py. Most often the photo is the target and
a warp the source, sometimes the other way round.

With several photos of the person (`FEW_SHOT`) there are true answers: each is what an edit of each other one should have given (same_person.py).
That is what helps: a warp teaches nothing that its photo does not show.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.common.configs import load_dataclass
from discontrolface.common.errors import UserError
from discontrolface.common.pixels import to_float
from discontrolface.common.snapshot_spec import SnapshotSpec
from discontrolface.common.tensors import to_network
from discontrolface.diffusion.loss import diffusion_loss
from discontrolface.diffusion.masking import random_patch_mask
from discontrolface.diffusion.training_pair import GRID, TrainingPair, crop_places, joined
from discontrolface.editing.looks import PHOTO_AS_TARGET, Look, hide_preview, own_look, warped_looks
from discontrolface.editing.person import Person
from discontrolface.editing.personal import PersonalWeights
from discontrolface.editing.same_person import true_look
from discontrolface.face.geometry import Geometry, SourceLook
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.random_edits import random_edit
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.mirror import mirrored_snapshot
from discontrolface.nets.noise_process import TRAIN_TIMESTEPS
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
    final_lr: float = 1.0  # the rate at the last iteration as a share of `lr`; cosine in between, 1: constant
    first_step: bool = False  # learn what an edit's first step does, a picture from noise alone (t = 999); False: all timesteps alike
    keep: float = 1.0  # share of what was learned that is kept: between the weights before and after (Wortsman et al., CVPR 2022)
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
        if self.first_step and self.crop:
            raise UserError(f"first_step looks at whole pictures; write crop: 0, not {self.crop}")
        for name in ("final_lr", "keep"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must lie between 0 and 1")


PAPER_ONE_SHOT = OneShot(iterations=1500, batch=4, lr=1e-5, warps=0)
OPEN_ONE_SHOT = OneShot(iterations=100, batch=4, lr=1e-4, warps=32, crop=128)
FEW_SHOT = OneShot(iterations=80, batch=2, lr=1e-4, warps=0, final_lr=0.0, first_step=True, keep=0.5)
TEMPERATURES = (0.35, 0.75)  # standard deviations of the noise of `first_step`: around the preset's
USUAL, EASY = 0.05, 5e-4  # squared errors of a preview: of the pairs whose weight is 1, and below which a pair counts as if it were right


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


def true_pairs(people: Sequence[Person], control: Any) -> list[TrainingPair]:
    """Every ordered pair of photos whose heads are not turned too far from each other, and its mirror image. Each counts alike: its weight is over
    the preview's error. UserError where no two photos make a pair."""
    size, pairs = control.config.image_size, []
    for a, b in permutations(people, 2):
        look = true_look(a, b, size)
        if look is None:
            continue
        subject = Subject(look.source, a.parameters, a.geometry)
        error = float(np.square(look.preview.image - look.target).mean()) * 4
        pair = training_pair(replace(look, weight=look.weight * np.float32(USUAL / (EASY + error))), subject, control)
        pairs += [pair, mirrored(pair, control.spec)]
    if not pairs:
        turns = ", ".join(f"{p.photo.path.name} {p.parameters.yaw:.0f}" for p in people)
        raise UserError(
            f"no two of the photos can be learned from together: their heads are turned by {turns} degrees; give one in between"
        )
    return pairs


def mirrored(pair: TrainingPair, spec: SnapshotSpec) -> TrainingPair:
    """Left and right exchanged."""
    snapshot = mirrored_snapshot(pair.snapshot, spec)
    return TrainingPair(pair.source.flip(-1), pair.target.flip(-1), snapshot, pair.weight.flip(-1))


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
    also: Sequence[Person] = (),  # the same person in other photos, read with the same shape
) -> PersonalWeights:
    """Fine-tune `control` on one person and return the difference. Same seed, same machine: same weights."""
    network: Any = control
    if also:
        pairs = true_pairs([person, *also], network)
        return adapt(model, network, (pairs, pairs), settings, base_id, generator, progress)
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
    tell = progress or silent
    pools = make_pairs(subject, network, settings, rng, lambda: tell(0, settings.iterations, math.nan))
    return adapt(model, network, pools, settings, base_id, generator, progress)


def silent(done: int, total: int, loss: float) -> None:
    """Nobody asked."""


def adapt(
    model: Backbone,
    network: Any,  # the ExpFaceNet, changed in place
    pools: Pools,
    settings: OneShot,
    base_id: str,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> PersonalWeights:
    """Train on pairs; the difference to what the network was."""
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    tell = progress or silent
    before = {k: v.clone() for k, v in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=0.0)
    size, spec = network.config.image_size, network.spec
    device = next(network.parameters()).device
    network.train()
    for step in range(settings.iterations):
        for group in optimizer.param_groups:
            group["lr"] = falling_rate(settings, step)
        seed_dropout(network, generator.initial_seed() + step)
        batch = choose(pools, settings, rng)
        mask = random_patch_mask(settings.batch, size, settings.mask_patch, generator=generator)
        if not settings.warps and not settings.first_step:
            batch = replace(batch, snapshot=hide_preview(batch.snapshot, spec, mask))
        if settings.crop and settings.crop < size:
            places = crop_places(size, size, settings.crop, torch.randn(settings.batch, 2, generator=generator))
            batch = batch.training_crop(places, settings.crop)
        source, target, snapshot, weight = (
            x.to(device=device, memory_format=torch.channels_last) for x in (batch.source, batch.target, batch.snapshot, batch.weight)
        )
        with torch.autocast(device.type, torch.bfloat16) if settings.precision == "bf16" else contextlib.nullcontext():
            given = first_step(model, settings.batch, generator, device) if settings.first_step else {}
            shown: dict[str, Any] = {"source": source, "mask": mask, "weight": weight, "generator": generator, **given}
            loss = diffusion_loss(model, target, network, snapshot, **shown).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        tell(step + 1, settings.iterations, loss.item())
    network.eval()
    if settings.keep < 1:
        with torch.no_grad():
            for name, value in network.state_dict().items():
                value.lerp_(before[name], 1 - settings.keep)
    return PersonalWeights.between(base_id, before, network)


def falling_rate(settings: OneShot, step: int) -> float:
    """The learning rate of an iteration."""
    return settings.lr * (settings.final_lr + (1 - settings.final_lr) * 0.5 * (1 + math.cos(math.pi * step / settings.iterations)))


def first_step(model: Backbone, count: int, generator: torch.Generator, device: torch.device) -> dict[str, Tensor]:
    """The timesteps and noise of `count` pictures as an edit's first step meets them, for `diffusion_loss`."""
    space, (coolest, warmest) = model.space, TEMPERATURES
    spread = coolest + (warmest - coolest) * torch.rand(count, 1, 1, 1, generator=generator)
    noise = spread * torch.randn(count, space.channels, space.size, space.size, generator=generator)
    return {"t": torch.full((count,), TRAIN_TIMESTEPS - 1, device=device), "noise": noise.to(device)}
