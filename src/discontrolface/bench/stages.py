"""The stages of an edit as pieces of work that can be run again and again: reading, drawing, the networks, personalizing, editing."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from discontrolface.bench.machine import Effort, Work, count_operations, operation_counter, synchronize, times_ms

if TYPE_CHECKING:
    from discontrolface.common.images import Photo
    from discontrolface.editing.editor import Editor
    from discontrolface.editing.person import Person
    from discontrolface.face.parameters import FaceParameters
    from discontrolface.nets.backbone import Backbone
    from discontrolface.nets.diffae import DiffAE
    from discontrolface.nets.exp_facenet import ExpFaceNet

SEED = 0
BATCHES, SIZES, STEPS = (1, 2, 4, 8), (128, 256, 512), (1, 5, 10, 20)


@dataclass(frozen=True)
class Stage:
    """One piece of work. kind, amount: what grows, ("batch", 4), ("pixels", 256) or ("steps", 20); ("", 0) where nothing does.

    device: where its memory is counted. operations: counts them; None where PyTorch does little of the work. times: milliseconds of each run, for
    stages that cannot be run by calling `work` once a time.
    """

    name: str
    work: Work
    kind: str = ""
    amount: int = 0
    device: str = "cpu"
    operations: Callable[[], int] | None = None
    times: Callable[[Effort], list[float]] | None = None

    def run(self, effort: Effort) -> list[float]:
        """Milliseconds of each run, warm."""
        return times_ms(self.work, effort, self.device) if self.times is None else self.times(effort)


# ---- reading and drawing, on the CPU


def drawn_photo(size: int = 512) -> Photo:
    """The photo that is measured unless another one is given: a portrait drawn by training/synthetic.py, the same everywhere."""
    from discontrolface.common.images import Photo
    from discontrolface.common.pixels import to_uint8
    from discontrolface.synthetic.portraits import HELD_OUT, make_pair

    array = to_uint8(make_pair(HELD_OUT + 1, size).source)
    return Photo(array, Path("drawn portrait"), hashlib.sha256(array.tobytes()).hexdigest(), None, (size, size))


def reading_stages(editor: Editor, photo: Photo) -> Iterator[Stage]:
    """Photo to parameters, in parts and all of it."""
    from discontrolface.common.pixels import to_float
    from discontrolface.face.crop import landmarks_in_crop, make_crop
    from discontrolface.face.fit import fit_landmarks, read_face
    from discontrolface.face.fit_light import fit_light
    from discontrolface.face.heads.open import FittedReader

    reader = editor.reader
    face = reader.landmarker.detect(photo.array)[0]
    landmarks = reader.landmarker.landmarks(photo.array, face)
    crop = make_crop(photo.array, landmarks, reader.size)
    yield Stage("read: find faces", lambda: reader.landmarker.detect(photo.array))
    yield Stage("read: landmarks", lambda: reader.landmarker.landmarks(photo.array, face))
    yield Stage("read: crop", lambda: make_crop(photo.array, landmarks, reader.size))
    if isinstance(reader.head, FittedReader):
        points, iris, eyes = landmarks_in_crop(crop, landmarks)
        picture, head = to_float(crop.image), reader.geometry.head
        parameters = read_face(picture, points, head, iris, eyes=eyes).parameters
        yield Stage("read: fit", lambda: fit_landmarks(points, head, reader.size, iris, eyes=eyes))
        yield Stage("read: light", lambda: fit_light(picture, head, parameters))
    else:
        yield Stage("read: parameters", lambda: reader.head.read(crop, landmarks))
    yield Stage("read", lambda: reader.read(photo))


def example_target(person: Person) -> FaceParameters:
    """The edit that is measured: ten degrees to the side, light from the left. Every head model has those."""
    return person.parameters.edit(turn=(10, 0, 0), light="left")


def drawing_stages(person: Person, maps: Sequence[str], sizes: Sequence[int]) -> Iterator[Stage]:
    """Preview and snapshot at each size."""
    target = example_target(person)
    for size in sizes:
        yield Stage("preview", lambda size=size: person.draft(target, size), "pixels", size)  # type: ignore[misc]
    for size in sizes:
        preview = person.draft(target, size)
        work = lambda size=size, preview=preview: person.geometry.snapshot(target, size, maps, preview)  # noqa: E731
        yield Stage("snapshot", work, "pixels", size)


# ---- the networks


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


def full_size_networks(device: str) -> tuple[DiffAE, ExpFaceNet]:
    """The paper's networks with random weights, in evaluation mode."""
    from discontrolface.nets.diffae import DiffAE
    from discontrolface.nets.exp_facenet import ExpFaceNet
    from discontrolface.nets.presets import ffhq256_config

    torch.manual_seed(SEED)
    with torch.device(device):
        model: Any = DiffAE(**ffhq256_config())
        control: Any = ExpFaceNet.from_backbone(model)
    model, control = (net.to(memory_format=torch.channels_last).eval().requires_grad_(False) for net in (model, control))
    return model, control


# ---- personalizing


class _Enough(Exception):
    """Stops a fine-tuning."""


class Iterations:
    """Iterations of the one-shot fine-tuning, each as `fine_tune` runs it, on a copy of the control network."""

    def __init__(self, editor: Editor, person: Person, batch: int) -> None:
        from discontrolface.common.pixels import to_float
        from discontrolface.editing.personalize import Subject

        self.model = editor.preset.model
        self.control: Any = copy.deepcopy(editor.preset.control).requires_grad_(True)
        self.subject = Subject(to_float(person.crop.resize(editor.size).image), person.parameters, person.geometry)
        self.settings = replace(editor.settings, batch=batch, warps=min(1, editor.settings.warps))  # an iteration takes the same with more
        self.device = editor.device

    def run(self, count: int, after_each: Callable[[], None]) -> None:
        """So many iterations, then stop: nothing is kept."""
        from discontrolface.editing.personalize import fine_tune

        def progress(done: int, total: int, loss: float) -> None:
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


def personal_stages(editor: Editor, person: Person, batches: Sequence[int]) -> Iterator[Stage]:
    """What personalizing is made of: pairs of pictures (where the preset draws them), and iterations."""
    from discontrolface.editing.personalize import make_examples

    if editor.settings.warps:
        one = Iterations(editor, person, 1)
        rng = np.random.default_rng(SEED)
        yield Stage("personalize: pair of pictures", lambda: make_examples(one.subject, one.control, one.settings, rng))
    for batch in batches:
        some = Iterations(editor, person, batch)
        yield Stage("personalize: iteration", some.work, "batch", batch, editor.device, some.operations, some.times)


# ---- editing


def edit_stages(editor: Editor, person: Person, steps: Sequence[int]) -> Iterator[Stage]:
    """Whole edits, from the person to the photo: from noise at each number of steps, then as the preset does it."""
    target = example_target(person)

    def stage(name: str, count: int, start: str | None) -> Stage:
        def work() -> object:
            return editor.edit(person, target, steps=count, start=start, seed=SEED)

        return Stage(name, work, "steps", count, editor.device, lambda: count_operations(work))

    for count in steps:
        yield stage("edit from noise", count, "noise")
    preset = editor.preset
    if preset.sampling.start != "noise":
        share = f", strength {preset.sampling.strength:g}" if preset.sampling.start == "draft" else ""
        yield stage(f"edit from {preset.sampling.start}{share}", preset.sampling.steps, None)
