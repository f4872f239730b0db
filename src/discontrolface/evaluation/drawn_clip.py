"""A clip whose truth is known: one drawn person acts, another, whose portrait is drawn, follows; and what that person would really have looked like.

The performer turns, opens the mouth and blinks by known curves. The clip is read like any other, and drives the portrait. Measured: do the curves
come back (read again in the result), does the wall stand still, is the result closer to the true pictures than the mesh warp of every frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.images import Photo
from discontrolface.common.parallel import map_ordered
from discontrolface.common.pixels import to_uint8
from discontrolface.common.tensors import to_network
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.animate import animate, sampling_of_frames
from discontrolface.editing.editor import Editor
from discontrolface.editing.performance import Driving, Performance, driven, filled, read_performance
from discontrolface.editing.pipeline import composite, prepare
from discontrolface.face.parameters import FaceParameters
from discontrolface.synthetic.portraits import HELD_OUT, make_scene, random_parameters, render_scene
from discontrolface.synthetic.scene import Scene

RATE: Final = Fraction(25)
YAW, JAW, BLINK = 14.0, 0.7, 1.0  # degrees and blendshapes at most
Curves = dict[str, NDArray[np.float64]]
Frames = list[NDArray[np.uint8]]


@dataclass(frozen=True)
class DrawnClip:
    """curves: what the performer does. acted: the clip (S, S, 3). portrait: of the one who follows, neutral. truth: what that one would look like;
    wall: (S, S) bool, what is background in every true frame."""

    curves: Curves
    acted: Frames
    portrait: NDArray[np.uint8]
    truth: Frames
    wall: NDArray[np.bool_]


@dataclass(frozen=True)
class ClipFigures:
    """correlation: of every curve with what is read of the result; read: with what is read of the clip itself, the most that can be asked of any
    method; true_frames: with what is read of the true pictures. wall: mean change of a background pixel from frame to frame, of 255.
    psnr, warp_psnr: of the whole picture against the true frames, dB."""

    correlation: dict[str, float]
    read: dict[str, float]
    true_frames: dict[str, float]
    wall: float
    psnr: float
    warp_psnr: float

    def as_dict(self) -> dict[str, object]:
        """For JSON, rounded."""
        return {
            name: {k: round(v, 4) for k, v in value.items()} if isinstance(value, dict) else round(value, 4)
            for name, value in asdict(self).items()
        }


def curves(frames: int) -> Curves:
    """{name: (frames,)} yaw in degrees, jawOpen and blink as blendshapes: neutral at first, then at paces of their own, two turns a clip of 60."""
    time = np.arange(frames) / 60
    return {
        "yaw": YAW * np.sin(2 * np.pi * 1.5 * time),
        "jawOpen": JAW * (0.5 - 0.5 * np.cos(2 * np.pi * 2.5 * time)),
        "blink": BLINK * np.clip(1.8 * np.sin(2 * np.pi * 3.5 * time) - 0.8, 0, 1),
    }


def draw_clip(
    frames: int = 60, size: int = 256, performer: int = HELD_OUT + 11, follower: int = HELD_OUT + 3, workers: int = 1
) -> DrawnClip:
    """performer, follower: seeds of two people. workers: frames at a time."""
    known = curves(frames)
    acting, following = (make_scene(seed) for seed in (performer, follower))
    first, second = neutral(acting), neutral(following)
    performance = Performance(tuple(shown(first, known, k) for k in range(frames)), RATE)
    portrait = to_uint8(render_scene(following, second, size).image)

    def drawn(job: tuple[FaceParameters, FaceParameters]) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
        true = render_scene(following, job[1], size)
        return to_uint8(render_scene(acting, job[0], size).image), to_uint8(true.image), true.masks["background"] > 0.999

    faces = zip(filled(performance.frames), driven(second, performance, Driving(smoothing=0.0)), strict=True)
    acted, truth, walls = zip(*map_ordered(drawn, faces, workers), strict=True)
    return DrawnClip(known, list(acted), portrait, list(truth), np.logical_and.reduce(walls))


def neutral(scene: Scene) -> FaceParameters:
    """A scene's person without expression, looking ahead."""
    face = random_parameters(scene, np.random.default_rng([scene.seed, 474]))
    return face.edit(neutral=True, yaw=0, pitch=0, roll=0, gaze=(0, 0))


def shown(face: FaceParameters, known: Curves, k: int) -> FaceParameters:
    """A face at frame k of the curves."""
    return face.edit(yaw=float(known["yaw"][k]), expression={name: float(known[name][k]) for name in ("jawOpen", "blink")})


def measure_clip(
    editor: Editor,
    clip: DrawnClip,
    sampling: Sampling | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    workers: int = 1,
) -> tuple[ClipFigures, Frames]:
    """The figures, and the frames that were made. sampling: None for that of `animate`. progress: told (what is done, how many, of). workers: as
    `animate` takes them."""
    count = len(clip.acted)

    def told(what: str) -> Callable[[int], None]:
        return lambda done: None if progress is None else progress(what, done, count)

    def performance(frames: Frames, what: str) -> Performance:
        return read_performance(editor.reader, frames, RATE, what, told(f"{what} read"), workers)

    read = performance(clip.acted, "clip")
    person = editor.read(Photo.of(clip.portrait, Path("portrait.png")))
    targets = list(driven(person.parameters, read, Driving()))
    moved = told("frames made")
    made = list(
        animate(editor, person, targets, sampling or sampling_of_frames(editor.preset.sampling), progress=lambda done, total: moved(done))
    )

    def warped(target: FaceParameters) -> NDArray[np.uint8]:
        edit = prepare(person, target, editor.size, editor.networks.maps)
        return composite(edit, to_network(edit.preview.image)).image

    warps = list(map_ordered(warped, targets, workers))
    figures = ClipFigures(
        correlations(clip.curves, performance(made, "result")),
        correlations(clip.curves, read),
        correlations(clip.curves, performance(clip.truth, "truth")),
        flicker(made, clip.wall),
        mean_psnr(made, clip.truth),
        mean_psnr(warps, clip.truth),
    )
    return figures, made


def correlations(known: Curves, read: Performance) -> dict[str, float]:
    """Pearson's, of every curve with what was read; 0 where nothing of it was seen to move."""
    faces = filled(read.frames)
    seen = {
        "yaw": [face.yaw for face in faces],
        "jawOpen": [face.blendshape("jawOpen") for face in faces],
        "blink": [(face.blendshape("eyeBlinkLeft") + face.blendshape("eyeBlinkRight")) / 2 for face in faces],
    }
    return {name: 0.0 if np.std(values) == 0 else float(np.corrcoef(known[name], values)[0, 1]) for name, values in seen.items()}


def flicker(frames: Sequence[NDArray[np.uint8]], where: NDArray[np.bool_]) -> float:
    """Mean absolute change of these pixels from one frame to the next, of 255."""
    pairs = itertools.pairwise(frames)
    return float(np.mean([np.abs(a[where].astype(np.float64) - b[where]).mean() for a, b in pairs]))


def mean_psnr(frames: Sequence[NDArray[np.uint8]], truth: Sequence[NDArray[np.uint8]]) -> float:
    """dB: the mean of the frames' own."""
    errors = [np.square(a.astype(np.float64) - b).mean() for a, b in zip(frames, truth, strict=True)]
    return float(np.mean(10 * np.log10(255**2 / np.maximum(errors, 1e-9))))
