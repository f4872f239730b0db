"""What jobs do. Each tells its job of every step, which is where a cancelled one stops."""

from __future__ import annotations

import io
import json
import secrets
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from discontrolface.common.animation import encode_animation
from discontrolface.common.errors import UserError
from discontrolface.common.images import encode_photo
from discontrolface.common.pixels import to_uint8
from discontrolface.common.provenance import make_record
from discontrolface.common.video import write_clip
from discontrolface.common.writing import encode_lines
from discontrolface.diffusion.sampling import Step
from discontrolface.diffusion.settings import Sampling, SamplingChoices
from discontrolface.editing.sheet import edit_sheet
from discontrolface.studio.jobs import Job
from discontrolface.studio.limits import Limits
from discontrolface.studio.pictures import THUMBNAIL, jpeg, marked
from discontrolface.studio.session import Picture, Session, Track

if TYPE_CHECKING:
    from discontrolface.editing.editor import Editor, EditResult
    from discontrolface.editing.person import Person
    from discontrolface.editing.personalize import OneShot
    from discontrolface.face.parameters import FaceParameters

SCREEN: Final = 512
QUICK: Final = 4  # how often the networks are asked, at most, for the picture that follows a slider
SWEEP_SIZE: Final = 384  # pixels of a frame
MOST_STEPS: Final = 200  # that a user may ask for


@dataclass(frozen=True)
class Choices:
    """How the networks are to work, by name as `Editor.edit` takes it; None: the preset's."""

    sampling: SamplingChoices = field(default_factory=lambda: SamplingChoices())

    def check(self, editor: Editor) -> Sampling:
        """All of it, before the work. UserError for what does not go."""
        steps = self.sampling.get("steps")
        if steps is not None and steps > MOST_STEPS:
            raise UserError(f"steps {steps} are more than this studio gives; at most {MOST_STEPS}")
        return editor.preset.sampling.with_choices(self.sampling)


@dataclass(frozen=True)
class SweepOf:
    """One control from a value to another, in so many frames. network: by the networks, or the warp alone."""

    control: str
    start: float
    end: float
    frames: int = 9
    network: bool = False

    def targets(self, face: FaceParameters, limits: Limits) -> list[FaceParameters]:
        """The face of each frame. UserError for an unknown control or a value out of range."""
        if not 2 <= self.frames <= limits.frames:
            raise UserError(f"a sweep of {self.frames} frames is out of range; give 2 to {limits.frames}")
        spans = [self.start + (self.end - self.start) * k / (self.frames - 1) for k in range(self.frames)]
        return [face.edit(controls={self.control: value}) for value in spans]


def quick(sampling: Sampling) -> Sampling:
    """The same way of working in few steps, for a picture that follows a slider."""
    steps = sampling.steps
    while steps > 1 and replace(sampling, steps=steps).predictions > QUICK:
        steps -= 1
    return replace(sampling, steps=steps)


def told(job: Job, before: int = 0, of: int = 0) -> Callable[[Step], None]:
    """A callback for `Editor.edit`: the job hears of every step."""
    return lambda step: job.progress(before + step.index + 1, max(of, step.count))


def network_picture(job: Job, editor: Editor, person: Person, target: FaceParameters, choices: Choices) -> bytes:
    """JPEG of the networks' picture for the stage, in few steps."""
    result = editor.edit(person, target, told(job), quick(choices.check(editor)))
    return jpeg(result.crop_at(SCREEN), result.record)


def rendered(job: Job, editor: Editor, session: Session, person: Person, target: FaceParameters, choices: Choices, mark: bool) -> bytes:
    """The whole photo at its own resolution, into the history. Returns the JPEG for the stage."""
    result = editor.edit(person, target, told(job), choices.check(editor))
    job.progress(job.done, job.total)
    files = {
        "photo.png": encode_photo(marked(result.image), "PNG", result.record) if mark else own_png(result),
        "crop.png": encode_photo(marked(result.crop) if mark else result.crop, "PNG", result.record),
        "sheet.webp": encode_photo(edit_sheet(person, result), "WEBP", result.record),
        "parameters.json": target.to_json().encode(),
    }
    session.keep(_picture("render", _label(result.record), result.crop, files, result.record, target, person))
    return jpeg(result.crop_at(SCREEN), result.record)


def own_png(result: EditResult) -> bytes:
    """The edited photo in the photo's own colour profile and depth, as `EditResult.save` writes it."""
    out = io.BytesIO()
    encode_lines(result.composite.native_lines() or result.composite.lines(), out, "PNG", result.record)
    return out.getvalue()


def swept(
    job: Job,
    editor: Editor,
    session: Session,
    person: Person,
    sweep: SweepOf,
    targets: Sequence[FaceParameters],
    choices: Choices,
    mark: bool,
) -> bytes:
    """A GIF there and back, into the history. Returns its first frame as JPEG."""
    sampling = quick(choices.check(editor))
    frames = []
    for k, target in enumerate(targets):
        job.progress(k, len(targets))
        if sweep.network:
            pixels = editor.edit(person, target, lambda step: job.progress(job.done, job.total), sampling).crop_at(SWEEP_SIZE)
        else:
            pixels = to_uint8(person.draft(target, SWEEP_SIZE).image)
        frames.append(marked(Image.fromarray(pixels)) if mark else Image.fromarray(pixels))
    record = make_record(
        {sweep.control: [sweep.start, sweep.end]},
        weights=editor.base_id if sweep.network else None,
        source_sha256=person.photo.sha256,
        head=person.geometry.label,
        picture="sweep of one control" + ("" if sweep.network else ", mesh warp only"),
    )
    files = {"sweep.gif": encode_animation(frames, record), **_as_clip(frames, record)}
    session.keep(_picture("sweep", f"{sweep.control} {sweep.start:g} to {sweep.end:g}", frames[-1], files, record, targets[-1], person))
    return jpeg(frames[0], record)


def _as_clip(frames: Sequence[Image.Image], record: dict[str, Any]) -> dict[str, bytes]:
    """The sweep as MP4, there and back, where PyAV is installed."""
    if find_spec("av") is None:
        return {}
    about = {"comment": record["statement"], "description": json.dumps(record), "encoder": record["software"]}
    with tempfile.TemporaryDirectory() as folder:  # PyAV seeks in what it writes
        path = Path(folder) / "sweep.mp4"
        write_clip(path, (np.asarray(frame) for frame in (*frames, *frames[-2:0:-1])), Fraction(10), about)
        return {"sweep.mp4": path.read_bytes()}


def fine_tuning(editor: Editor, iterations: int | None, limits: Limits) -> OneShot:
    """How the preset personalizes, in so many iterations where a user says how many. UserError for a number out of range."""
    settings = editor.settings
    if iterations is None:
        return settings
    if not 1 <= iterations <= limits.iterations:
        raise UserError(f"iterations {iterations} are out of range; give 1 to {limits.iterations}")
    return replace(settings, iterations=iterations, warps=min(settings.warps, iterations))


def personalized(job: Job, editor: Editor, session: Session, track: Track, settings: OneShot) -> None:
    """One-shot fine-tuning of the chosen face; its track has the personal weights from then on."""
    person = editor.personalize(track.person, settings, progress=lambda done, total, loss: job.progress(done, total))
    with session.lock:
        track.person = person


def _picture(
    kind: str,
    label: str,
    shown: Image.Image,
    files: dict[str, bytes],
    record: dict[str, Any],
    target: FaceParameters,
    person: Person,
) -> Picture:
    return Picture(secrets.token_urlsafe(9), kind, label, jpeg(shown, record, THUMBNAIL), files, record, target, person)


def _label(record: dict[str, Any]) -> str:
    """What was edited, in a few words."""
    names = [name.rpartition(".")[2] for name in record["edited"]]
    return ", ".join(names[:4]) + (" ..." if len(names) > 4 else "") if names else "unedited"
