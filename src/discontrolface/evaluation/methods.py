"""The methods that are measured side by side, by name: what each makes of the same edits.

To add one, write a function that takes a `Context` and returns a `Method`, and give it a line in METHODS. Methods of others that do not run here come
in as pictures: outputs.py. What a network makes is pasted as `edit` does it: where the preview changes nothing the source stays, for all alike.
"""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.evaluation.heldout import Task
    from discontrolface.face.geometry import Geometry
    from discontrolface.weights.preset import Preset

Array = NDArray[np.float32]


class Method(Protocol):
    """Makes a batch of edits.

    Of each task it gets the source (H, W, 3) in [0, 1], the face parameters before and after (`parameters`, `target`), the mesh warp with its
    visibility, the snapshot of the preset's maps, and a seed; the batch's randomness follows from the first task's seed alone. Returns one
    (H, W, 3) picture in [0, 1] for each, of the source's size.
    """

    def __call__(self, tasks: Sequence[Task]) -> list[Array]: ...


@dataclass(frozen=True)
class Context:
    """What methods are made from."""

    preset: Preset
    geometry: Geometry
    steps: int
    strength: float  # of the draft
    device: str
    rig: Path | None = None  # weights of the DiffusionRig baseline

    @functools.cached_property
    def tuned(self) -> Tuned:
        """What was fine-tuned for one method serves the next."""
        return Tuned(self)


@dataclass(frozen=True)
class Entry:
    """A method of the table. make: called once in each process."""

    label: str
    make: Callable[[Context], Method]
    usual: bool = True  # measured unless the user names others


def photo(context: Context) -> Method:
    """The source as it is: what no edit at all scores."""
    return lambda tasks: [t.source for t in tasks]


def warp(context: Context) -> Method:
    """The preview, no network."""
    return lambda tasks: [t.warp for t in tasks]


def diffae(inverted: bool) -> Callable[[Context], Method]:
    """Plain Diff-AE: the backbone encodes the source and decodes it. It has no control: a reconstruction.

    From noise, z_sem alone; inverted: from the source's own x_T, as Diff-AE rebuilds pictures. Inversion divides what a network that predicts x0 gets
    wrong by the little noise of the first steps: with the open preset's backbone nothing useful comes of it.
    """

    def make(context: Context) -> Method:
        import torch

        from discontrolface.diffusion.inversion import invert
        from discontrolface.diffusion.sampling import sample
        from discontrolface.evaluation.heldout import pasted, to_batch, to_pictures

        model, steps = context.preset.model, context.steps

        @torch.no_grad()
        def run(tasks: Sequence[Task]) -> list[Array]:
            source = to_batch([t.source for t in tasks], context.device)
            z = model.encode(source)
            if inverted:
                start = invert(model, source, z, steps=steps)
            else:
                start = torch.randn(source.shape, generator=torch.Generator().manual_seed(tasks[0].seed)).to(context.device)
            x = sample(model, start, z, steps=steps)
            return pasted(tasks, to_pictures(x))

        return run

    return make


def one_step(context: Context) -> Method:
    """A single prediction of the picture from noise."""
    from discontrolface.evaluation.heldout import edited, pasted

    return lambda tasks: pasted(tasks, edited(context.preset, tasks, 1, 1.0, context.device))


def draft(context: Context) -> Method:
    """The edit from the noised warp."""
    from discontrolface.evaluation.heldout import edited, pasted

    return lambda tasks: pasted(tasks, edited(context.preset, tasks, context.steps, context.strength, context.device))


def noise(context: Context) -> Method:
    """The edit from noise, as in the paper."""
    from discontrolface.evaluation.heldout import edited, pasted

    return lambda tasks: pasted(tasks, edited(context.preset, tasks, context.steps, 1.0, context.device))


def cool_noise(context: Context) -> Method:
    """The edit from noise at the preset's temperature: less of it, closer to the mean."""
    from discontrolface.evaluation.heldout import EditOptions, edited, pasted

    options = EditOptions(temperature=context.preset.temperature)
    return lambda tasks: pasted(tasks, edited(context.preset, tasks, context.steps, 1.0, context.device, options=options))


class Tuned:
    """Control networks after one-shot fine-tuning, by source. The last few are kept: both starts, and all edits of a photo, share one."""

    KEPT = 8

    def __init__(self, context: Context) -> None:
        self.context, self.kept = context, OrderedDict[bytes, Any]()

    def control(self, task: Task) -> Any:
        """Of the task's source."""
        from discontrolface.evaluation.heldout import fine_tuned

        key = hashlib.sha256(task.source.tobytes()).digest()
        if key not in self.kept:
            self.kept[key] = fine_tuned(self.context.preset, task, self.context.geometry)
            if len(self.kept) > self.KEPT:
                self.kept.popitem(last=False)
        return self.kept[key]


def personal(strength: Callable[[Context], float]) -> Callable[[Context], Method]:
    """The edit after one-shot fine-tuning on the source: minutes. strength: 1 from noise, less from the draft."""

    def make(context: Context) -> Method:
        from discontrolface.evaluation.heldout import EditOptions, edited, pasted

        options = EditOptions(temperature=context.preset.temperature)

        def one(task: Task) -> Array:
            control = context.tuned.control(task)
            pictures = edited(context.preset, [task], context.steps, strength(context), context.device, control, options)
            return pasted([task], pictures)[0]

        return lambda tasks: [one(t) for t in tasks]

    return make


def diffusionrig(context: Context) -> Method:
    """DiffusionRig's design, trained by `train diffusionrig`, see baselines/. UserError without weights."""
    if context.rig is None:
        raise UserError("method 'diffusionrig' needs weights; give their folder with --diffusionrig, see docs/evaluation.md")
    from discontrolface.baselines.rig_method import load_rig
    from discontrolface.evaluation.heldout import pasted

    method = load_rig(context.rig, context.geometry, context.steps, context.device)
    return lambda tasks: pasted(tasks, method(tasks))


METHODS: Mapping[str, Entry] = {
    "photo": Entry("unedited photo", photo),
    "warp": Entry("mesh warp", warp),
    "diffae": Entry("plain Diff-AE (no control)", diffae(inverted=False)),
    "diffae-inverted": Entry("plain Diff-AE, x_T by inversion", diffae(inverted=True), usual=False),
    "one-step": Entry("ours, one prediction from noise", one_step),
    "draft": Entry("ours, from the draft", draft),
    "noise": Entry("ours, from noise", noise),
    "cool-noise": Entry("ours, from noise at the preset's temperature", cool_noise),
    "diffusionrig": Entry("DiffusionRig's design", diffusionrig, usual=False),
    "draft-personal": Entry("ours, from the draft, after one-shot", personal(lambda context: context.strength), usual=False),
    "noise-personal": Entry("ours, from noise at the preset's temperature, after one-shot", personal(lambda context: 1.0), usual=False),
}


def method_names(text: str | None) -> tuple[str, ...]:
    """`warp,noise` as names of METHODS; None: the usual ones. UserError for a name that is not known."""
    if text is None:
        return tuple(name for name, entry in METHODS.items() if entry.usual)
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        raise UserError(f"method {unknown[0] if unknown else text!r} is not known; choose from {', '.join(METHODS)}")
    return names
