"""Stages of the networks: loading, single forwards, personalizing, whole edits."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from discontrolface.bench.machine import Effort, count_operations, operation_counter
from discontrolface.bench.stage import SEED, Stage, Workload
from discontrolface.common.pixels import to_float
from discontrolface.common.usage import Work, synchronize
from discontrolface.editing.personalize import Subject, fine_tune, make_pairs
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.presets import ffhq256_config
from discontrolface.nets.randomness import SeededWeights
from discontrolface.weights.preset import load_preset

PAPER = "full size: "  # before the names of the paper's networks
TARGETS = 8  # edits of one photo in a batch


def loading_stages(w: Workload) -> Iterator[Stage]:
    """The networks from their files."""
    yield Stage("load the networks", partial(load_preset, w.preset, w.device), device=w.device)


def without_gradients(work: Work) -> Work:
    """The same work as inference runs it."""

    def run() -> object:
        with torch.no_grad():
            return work()

    return run


def network_stages(model: Backbone, control: ExpFaceNet, batches: Sequence[int], device: str, prefix: str = "") -> Iterator[Stage]:
    """One forward of encoder, U-Net and Exp-FaceNet at each batch size, float32."""
    config: Any = control.config
    generator = torch.Generator().manual_seed(SEED)
    for batch in batches:

        def picture(channels: int, batch: int = batch) -> torch.Tensor:
            x = torch.rand(batch, channels, config.image_size, config.image_size, generator=generator) * 2 - 1
            return x.to(device=device, memory_format=torch.channels_last)

        x, snapshot = picture(3), picture(config.snapshot_channels)
        z = torch.randn(batch, config.z_channels, generator=generator).to(device)
        t = torch.full((batch,), 500, device=device)
        works: dict[str, Work] = {
            "encoder": lambda x=x: model.encode(x),  # type: ignore[misc]
            "U-Net": lambda x=x, t=t, z=z: model(x, t, z),  # type: ignore[misc]
            "Exp-FaceNet": lambda x=x, t=t, z=z, snapshot=snapshot: control(x, t, z, snapshot, backbone=model),  # type: ignore[misc]
        }
        for name, call in works.items():
            work = without_gradients(call)
            yield Stage(prefix + name, work, "batch", batch, device, lambda work=work: count_operations(work))  # type: ignore[misc]


def preset_network_stages(w: Workload) -> Iterator[Stage]:
    """The preset's networks."""
    return network_stages(w.editor.preset.model, w.editor.preset.control, w.batches, w.device)


def full_size_stages(w: Workload) -> Iterator[Stage]:
    """The paper's networks with random weights, one run each."""
    with SeededWeights(SEED):
        model: Any = DiffAE(**ffhq256_config())
        control: Any = ExpFaceNet.from_backbone(model)
    model, control = (net.to(device=w.device, memory_format=torch.channels_last).eval().requires_grad_(False) for net in (model, control))
    for stage in network_stages(model, control, (1,), w.device, PAPER):
        yield replace(stage, effort=Effort(0, 1, 1))


# ---- personalizing


class _Enough(Exception):
    """Stops a fine-tuning."""


class Iterations:
    """Iterations of the one-shot fine-tuning, each as `fine_tune` runs it, on a copy of the control network."""

    def __init__(self, w: Workload, batch: int) -> None:
        editor, person = w.editor, w.person

        self.model = editor.preset.model
        self.control: Any = copy.deepcopy(editor.preset.control).requires_grad_(True)
        self.subject = Subject(to_float(person.crop.resize(editor.size).image), person.parameters, person.geometry)
        self.settings = replace(editor.settings, batch=batch, warps=min(1, editor.settings.warps))  # an iteration takes the same with more
        self.device = editor.device

    def run(self, count: int, after_each: Callable[[], None]) -> None:
        """So many iterations, then stop: nothing is kept."""

        def progress(done: int, total: int, loss: float) -> None:
            if done:  # 0: while the pairs of pictures are made
                after_each()
            if done == count:
                raise _Enough

        settings = replace(self.settings, iterations=count + 1)
        with contextlib.suppress(_Enough):
            fine_tune(self.model, self.control, self.subject, settings, "", torch.Generator().manual_seed(SEED), progress)

    def work(self) -> None:
        """One iteration, with the pairs of pictures that it needs."""
        self.run(1, lambda: None)

    def times(self, effort: Effort) -> list[float]:
        """Milliseconds from the end of one iteration to the end of the next."""
        few = self._times(effort.least)
        more = min(effort.most, int(1000 * effort.seconds / max(float(np.median(few)), 1e-3))) - len(few)
        return few + (self._times(more) if more > 0 else [])

    def _times(self, count: int) -> list[float]:
        ends: list[float] = []

        def end() -> None:
            synchronize(self.device)
            ends.append(time.perf_counter())

        self.run(count + 1, end)  # the first one warms up
        return [1000 * (b - a) for a, b in pairwise(ends)]

    def operations(self) -> int:
        """Of one iteration, without what comes before the first."""
        totals: list[int] = []
        with operation_counter() as counter:
            self.run(2, lambda: totals.append(int(counter.get_total_flops())))
        return totals[1] - totals[0]


def personal_stages(w: Workload) -> Iterator[Stage]:
    """What personalizing is made of: pairs of pictures (where the preset draws them), and iterations."""
    if w.editor.settings.warps:
        one = Iterations(w, 1)
        rng = np.random.default_rng(SEED)
        yield Stage("personalize: pair of pictures", lambda: make_pairs(one.subject, one.control, one.settings, rng))
    for batch in w.batches:
        some = Iterations(w, batch)
        yield Stage("personalize: iteration", some.work, "batch", batch, w.device, some.operations, some.times)


# ---- editing


def edit_stages(w: Workload) -> Iterator[Stage]:
    """Whole edits, from the person to the photo: from noise at each number of steps, then as the preset does it."""

    def stage(name: str, count: int, start: str | None) -> Stage:
        work = partial(w.editor.edit, w.person, w.target, steps=count, start=start, seed=SEED)
        return Stage(name, work, "steps", count, w.device, partial(count_operations, work))

    for count in w.steps:
        yield stage("edit from noise", count, "noise")
    usual = w.editor.preset.sampling
    if usual.start != "noise":
        share = f", strength {usual.strength:g}" if usual.start == "draft" else ""
        yield stage(f"edit from {usual.start}{share}", usual.steps, None)


def edit_many_stages(w: Workload) -> Iterator[Stage]:
    """Several edits of one photo: one after the other, and as one batch through the networks."""
    targets = [w.person.parameters.edit(turn=(2.0 * k - 7, 0, 0)) for k in range(TARGETS)]

    def one_by_one() -> object:
        return [w.editor.edit(w.person, target, seed=SEED) for target in targets]

    yield Stage("edit, one after the other", one_by_one, "targets", TARGETS, w.device)
    yield Stage("edit_many", partial(w.editor.edit_many, w.person, targets, seed=SEED), "targets", TARGETS, w.device)
