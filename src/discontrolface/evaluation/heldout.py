"""Edits with a known right answer: synthetic pairs with seeds that training never sees, made and measured one way for all commands.

Each pair is one person before and after one to three edits. Every method gets the first picture and both sets of parameters and is compared with the
second picture. Whole crop, and the part that the photo did not show (the preview's visibility is below 0.5).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.diffusion.condition import EditCondition
from discontrolface.diffusion.inversion import invert, invert_controlled
from discontrolface.diffusion.masking import PATCH
from discontrolface.diffusion.sampling import sample
from discontrolface.diffusion.schedule import denoising_timesteps
from discontrolface.editing.editor import INVERTED_SPREAD
from discontrolface.editing.personalize import OPEN_ONE_SHOT, OneShot, Subject, fine_tune
from discontrolface.evaluation.similarity import psnr, ssim
from discontrolface.face.geometry import Geometry
from discontrolface.face.parameters import FaceParameters
from discontrolface.nets.exp_facenet import map_slice
from discontrolface.render.warp import render_preview
from discontrolface.synthetic.portraits import make_pair
from discontrolface.weights.preset import Preset

Array = NDArray[np.float32]

HIDDEN_BELOW = 0.5  # visibility
HIDDEN_SHARE = 0.001  # of the crop; a smaller hidden part is not measured
BEST_PSNR = 100.0  # dB, for equal pictures


@dataclass(frozen=True)
class Task:
    """An edit as a network sees it. Pictures (H, W, 3) in [0, 1]; visibility and mask, what may change, (H, W); snapshot (1, S, H, W)."""

    seed: int  # of its noise and masks
    kinds: tuple[str, ...]  # what the edit changes
    parameters: FaceParameters  # of the source
    target: FaceParameters
    source: Array
    warp: Array
    visibility: Array
    mask: Array
    snapshot: Tensor


@dataclass(frozen=True)
class Case(Task):
    """An edit with its known right answer, a picture like the source."""

    truth: Array


@dataclass(frozen=True)
class EditOptions:
    """What an edit can do otherwise than usual: the subjects of ablations."""

    masking: str | float = "linear"  # a schedule's name, or one ratio for every step
    patch: int = PATCH  # of the masks, pixels
    solver: str = "ddim"
    temperature: float = 1.0  # standard deviation of x_T, when the start is noise; 1: the paper's
    inverted: str = ""  # start from the source's own x_T: by the "backbone" alone (the paper), or under its own "control" (`Editor`)
    without: tuple[str, ...] = ()  # snapshot maps that are set to zero


USUAL = EditOptions()


def edit_kinds(before: FaceParameters, after: FaceParameters) -> tuple[str, ...]:
    """What differs: expression, head, gaze, light."""
    looks = np.array([name.startswith("eyeLook") for name in before.expression_names])
    moved = np.abs(before.expression - after.expression) > 1e-4
    changed = {
        "expression": bool((moved & ~looks).any()) or abs(before.jaw - after.jaw) > 1e-2,
        "head": bool(np.abs(before.head_rotation - after.head_rotation).max() > 1e-3),
        "gaze": bool(np.abs(before.pose[3:] - after.pose[3:]).max() > 1e-3),
        "light": bool(np.abs(before.light - after.light).max() > 1e-3),
    }
    return tuple(name for name, is_changed in changed.items() if is_changed)


def make_task(
    source: Array, before: FaceParameters, after: FaceParameters, geometry: Geometry, size: int, maps: Sequence[str], seed: int
) -> Task:
    """An edit of a crop (size, size, 3) with the face parameters `before`, with its preview and snapshot."""
    preview = render_preview(source, geometry.view(before), geometry.view(after), geometry.rig)
    snapshot = geometry.snapshot(after, size, maps, preview).image
    return Task(seed, edit_kinds(before, after), before, after, source, preview.image, preview.visibility, preview.mask, snapshot)


def make_case(seed: int, size: int, maps: Sequence[str], geometry: Geometry) -> Case:
    """The held-out pair of a seed, with the preview and the snapshot of its true parameters."""
    pair = make_pair(seed, size)
    task = make_task(pair.source, pair.source_parameters, pair.target_parameters, geometry, size, maps, seed)
    return Case(**vars(task), truth=pair.target)


def to_batch(pictures: Sequence[Array], device: str) -> Tensor:
    """(B, 3, H, W) in [-1, 1]."""
    return (torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) * 2 - 1).to(device=device, memory_format=torch.channels_last)


def to_pictures(x: Tensor) -> list[Array]:
    """The way back: (B, 3, H, W) in [-1, 1] to (H, W, 3) each, clipped to [0, 1]."""
    return list(((x + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy().astype(np.float32))


@torch.no_grad()
def edited(
    preset: Preset,
    cases: Sequence[Task],
    steps: int,
    strength: float,  # 1: from noise; less: from the warp
    device: str,
    control: Any = None,  # instead of the preset's
    options: EditOptions = USUAL,
    region: Tensor | None = None,  # (B, 1, H, W): mask only patches that touch this
    own: Tensor | None = None,  # (B, S, H, W): the sources' own snapshots, to invert under their own control
) -> list[Array]:
    """The networks' pictures of a batch, (H, W, 3) in [0, 1]. Noise and masks follow from the first seed."""
    control = control or preset.control
    source, warp = to_batch([c.source for c in cases], device), to_batch([c.warp for c in cases], device)
    snapshot = torch.cat([c.snapshot for c in cases]).to(device)
    for name in options.without:
        snapshot[:, map_slice(control.config.snapshot_maps, name)] = 0
    generator = torch.Generator().manual_seed(cases[0].seed)
    noise = torch.randn(source.shape, generator=generator).to(device) * (options.temperature if strength == 1 else 1.0)
    if options.inverted == "backbone":
        noise = invert(preset.model, source, preset.model.encode(source), steps=steps)
    elif options.inverted == "control":
        assert own is not None
        condition = EditCondition(preset.model, control, source, own.to(device), steps, "A")
        noise = invert_controlled(preset.model, source, condition, steps, INVERTED_SPREAD)
    taken = len(denoising_timesteps(steps, strength))
    masking = options.masking if isinstance(options.masking, str) else [options.masking] * taken
    condition = EditCondition(preset.model, control, source, snapshot, taken, masking, generator, options.patch, region=region)
    start = warp if strength < 1 else None
    x = sample(preset.model, noise, steps=steps, condition=condition, start=start, strength=strength, solver=options.solver)
    return to_pictures(x)


def pasted(cases: Sequence[Task], pictures: Sequence[Array]) -> list[Array]:
    """The networks' pictures as `edit` gives them to the user: outside the preview's mask the source stays."""
    return [c.source + c.mask[..., None] * (picture - c.source) for c, picture in zip(cases, pictures, strict=True)]


def fine_tuned(preset: Preset, task: Task, geometry: Geometry, settings: OneShot = OPEN_ONE_SHOT) -> Any:
    """The preset's control network after one-shot fine-tuning on the task's source, with randomness from its seed."""
    control = copy.deepcopy(preset.control).requires_grad_(True)
    subject = Subject(task.source, task.parameters, geometry)
    fine_tune(preset.model, control, subject, settings, "", torch.Generator().manual_seed(task.seed))
    return control.requires_grad_(False)


def measure(picture: Array, case: Case) -> dict[str, float | None]:
    """One method's figures on one pair; None where the hidden part is too small. `mse`: x 1000, colours in [-1, 1]."""
    hidden = case.visibility < HIDDEN_BELOW
    square = 4000 * (picture - case.truth).astype(np.float64) ** 2
    whole = {
        "psnr": round(min(psnr(picture, case.truth), BEST_PSNR), 4),
        "ssim": round(ssim(picture, case.truth), 5),
        "mse": round(float(square.mean()), 4),
    }
    if hidden.mean() < HIDDEN_SHARE:
        return {**whole, "hidden_psnr": None, "hidden_ssim": None, "hidden_mse": None}
    return {
        **whole,
        "hidden_psnr": round(min(psnr(picture, case.truth, hidden), BEST_PSNR), 4),
        "hidden_ssim": round(ssim(picture, case.truth, hidden), 5),
        "hidden_mse": round(float(square[hidden].mean()), 4),
    }
