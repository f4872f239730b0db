"""One-shot fine-tuning: adapt Exp-FaceNet to one person from one photo (DisControlFace, Section 3.4), the backbone frozen.

The paper's way (`PAPER_ONE_SHOT`): the photo is its own target, random patches hidden from the encoder.

Ours (`OPEN_ONE_SHOT`) adds what the preview knows. The photo is warped to random other looks; then
- most often the *photo is the target* and a warp is the source: its preview is the warp of the warp, with real holes (a cheek that the warp hid, an
  opened mouth that it shut), and the true pixels to fill them with are the photo's own;
- sometimes a warp is the target and the photo the source, as the edit will be; only pixels that the photo really showed count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from discontrolface.diffusion.loss import diffusion_loss
from discontrolface.diffusion.masking import random_patch_mask
from discontrolface.editing.person import Person, to_float, to_network
from discontrolface.editing.personal import PersonalWeights
from discontrolface.face.random_edits import random_edit
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.render.warp import render_preview


@dataclass(frozen=True)
class OneShot:
    """How a photo is personalized."""

    iterations: int
    batch: int
    lr: float  # AdamW, no weight decay, constant
    warps: int  # random looks of the photo that make training pairs; 0: the photo alone (the paper)
    photo_as_target: float = 0.7  # share of a batch in which the photo is the target
    mask_patch: int = 16


PAPER_ONE_SHOT = OneShot(iterations=1500, batch=4, lr=1e-5, warps=0)
OPEN_ONE_SHOT = OneShot(iterations=100, batch=4, lr=1e-4, warps=32)


@dataclass(frozen=True)
class Example:
    """One training pair at the networks' size: (1, C, H, W) each, weight (1, 1, H, W)."""

    source: Tensor
    target: Tensor
    snapshot: Tensor
    weight: Tensor


def own_example(person: Person, control: ExpFaceNet) -> Example:
    """The paper's pair: the photo is source and target."""
    size = control.config["image_size"]
    photo = to_network(to_float(person.crop.image))
    snapshot = person.geometry.snapshot(person.parameters, size, control.config["snapshot_maps"], person.draft(person.parameters, size))
    return Example(photo, photo, snapshot.image, torch.ones_like(photo[:, :1]))


def warp_examples(person: Person, control: ExpFaceNet, count: int, rng: np.random.Generator) -> tuple[list[Example], list[Example]]:
    """`count` random looks, each as two pairs: (photo as the target, warp as the target)."""
    size, maps, geometry = control.config["image_size"], control.config["snapshot_maps"], person.geometry
    photo = to_network(to_float(person.crop.image))
    back, forth = [], []
    for _ in range(count):
        look = random_edit(person.parameters, rng)
        there = person.draft(look, size)
        home = render_preview(there.image, geometry.view(look), person.own_view, geometry.rig)
        warp = to_network(there.image)
        seen = torch.from_numpy(there.visibility)[None, None]
        back.append(Example(warp, photo, geometry.snapshot(person.parameters, size, maps, home).image, torch.ones_like(seen)))
        forth.append(Example(photo, warp, geometry.snapshot(look, size, maps, there).image, seen))
    return back, forth


def one_shot(
    model: DiffAE,  # the frozen backbone
    control: ExpFaceNet,  # changed in place
    person: Person,
    settings: OneShot,
    base_id: str,  # `weights_id` of the base weights
    generator: torch.Generator,
    progress: Callable[[int, int, float], None] | None = None,  # (iterations done, of, loss)
) -> PersonalWeights:
    """Fine-tune `control` on one person and return the difference. Same seed, same machine: same weights."""
    rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    own = own_example(person, control)
    back, forth = warp_examples(person, control, settings.warps, rng) if settings.warps else ([own], [own])
    before = {k: v.clone() for k, v in control.state_dict().items()}
    optimizer = torch.optim.AdamW(control.parameters(), lr=settings.lr, weight_decay=0.0)
    size = control.config["image_size"]
    device, like = model.device, torch.channels_last
    control.train()
    for step in range(settings.iterations):
        chosen = []
        for _ in range(settings.batch):
            pool = back if rng.random() < settings.photo_as_target else forth
            chosen.append(pool[int(rng.integers(len(pool)))])
        source, target, snapshot, weight = (
            torch.cat([getattr(e, name) for e in chosen]).to(device=device, memory_format=like)
            for name in ("source", "target", "snapshot", "weight")
        )
        mask = random_patch_mask(settings.batch, size, settings.mask_patch, generator=generator)
        loss = diffusion_loss(model, target, control, snapshot, source=source, mask=mask, weight=weight, generator=generator).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(control.parameters(), 1.0)
        optimizer.step()
        if progress is not None:
            progress(step + 1, settings.iterations, loss.item())
    control.eval()
    return PersonalWeights.between(base_id, before, control)
