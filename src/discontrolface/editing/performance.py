"""A performance: face parameters over time, read from a clip or from a file; and what it makes another face do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.images import Photo
from discontrolface.common.parallel import map_ordered
from discontrolface.editing.reading import Reader
from discontrolface.face.layout import EYE_LEFT, EYE_RIGHT, GLOBAL, JAW, NECK
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.rotations import head_angles, head_rotation, to_axis_angle, to_matrix

PARTS: Final = ("expression", "pose", "gaze")
MOST: Final = 1.5  # of a blendshape, as `FaceParameters.edit` allows
RESTING: Final = 0.1  # quantile over a clip that stands for a blendshape at rest
LIMITS: Final = (60.0, 45.0, 60.0)  # degrees of yaw, pitch and roll
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Performance:
    """frames: what was read of each, None where no face was found. rate: frames a second."""

    frames: tuple[FaceParameters | None, ...]
    rate: Fraction

    def __post_init__(self) -> None:
        if not any(self.frames):
            raise UserError(f"no face was found in any of the {len(self.frames)} frames")


@dataclass(frozen=True)
class Driving:
    """How a performance acts on a face.

    parts: names of PARTS. relative: what changes against the performer's own rest is added to the face; else it takes the performer's
    values. multiplier: how much of the change. smoothing: standard deviation in seconds of a Gaussian over time, which shifts nothing; 0: none.
    """

    parts: tuple[str, ...] = PARTS
    relative: bool = True
    multiplier: float = 1.0
    smoothing: float = 0.04

    def __post_init__(self) -> None:
        for part in self.parts:
            if part not in PARTS:
                raise UserError(f"part {part!r} is not known; choose from {', '.join(PARTS)}")
        if not self.parts:
            raise UserError(f"no part of the performance is to be used; choose from {', '.join(PARTS)}")
        if not 0 <= self.multiplier <= 2:
            raise UserError(f"multiplier {self.multiplier} must lie between 0 and 2")
        if not 0 <= self.smoothing <= 1:
            raise UserError(f"smoothing {self.smoothing} must lie between 0 and 1 second")


def read_performance(
    reader: Reader,
    pictures: Iterable[NDArray[np.uint8]],
    rate: Fraction,
    name: str,
    progress: Callable[[int], None] | None = None,
    workers: int = 1,
) -> Performance:
    """Read every picture (H, W, 3) by itself. name: what errors call it; progress: told how many are done; workers: pictures at a time."""

    def read(job: tuple[int, NDArray[np.uint8]]) -> FaceParameters | None:
        number, picture = job
        try:
            return reader.read(Photo.of(picture, Path(f"{name}, frame {number}")), of_clip=True).parameters
        except UserError:  # no face, or one that cannot be read
            return None

    frames: list[FaceParameters | None] = []
    for face in map_ordered(read, enumerate(pictures), workers):
        frames.append(face)
        if progress is not None:
            progress(len(frames))
    return Performance(tuple(frames), rate)


def save_performance(performance: Performance, path: Path, overwrite: bool = False) -> None:
    """A line of JSON a frame: {"frame", "time", "parameters"}, parameters as `FaceParameters.to_json` writes them, or null."""
    lines = [
        json.dumps(
            {
                "frame": k,
                "time": round(float(k / performance.rate), 5),
                "rate": str(performance.rate),
                "parameters": None if face is None else json.loads(face.to_json()),
            }
        )
        for k, face in enumerate(performance.frames)
    ]
    write_atomically(path, ("\n".join(lines) + "\n").encode(), overwrite, "the performance")


def load_performance(path: Path) -> Performance:
    """What `save_performance` wrote. UserError that names the line."""
    frames: list[FaceParameters | None] = []
    rate = Fraction(25)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); give a file that `read CLIP -o` wrote") from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            found, rate = entry["parameters"], Fraction(str(entry.get("rate", rate)))
        except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError) as error:
            raise UserError(
                f"{path}, line {number} is not a frame of a performance ({type(error).__name__}); make the file again"
            ) from error
        frames.append(None if found is None else FaceParameters.from_json(json.dumps(found), source=f"{path}, line {number}"))
    if not 0 < rate <= 1000:
        raise UserError(f"{path} says a rate of {rate} frames a second; it must lie above 0 and not above 1000")
    return Performance(tuple(frames), rate)


def driven(face: FaceParameters, performance: Performance, driving: Driving) -> Iterator[FaceParameters]:
    """The face at every frame of the performance. UserError for a performer that was read with another head model."""
    seen = [k for k, known in enumerate(performance.frames) if known is not None]
    frames = [known for known in performance.frames if known is not None]
    face.take_from(frames[0], "expression")  # refuses another head model
    tracks = Tracks.of(frames).at_all(seen, len(performance.frames)).smoothed(driving.smoothing * float(performance.rate))
    neutral = int(np.argmin(np.abs(tracks.expression).sum(1) + np.abs(tracks.head).sum(1))) if driving.relative else None
    rest = None if neutral is None else resting(tracks, face.expression_names, neutral)
    for k in range(len(performance.frames)):
        yield _acted(face, tracks, k, neutral, rest, driving)


def resting(tracks: Tracks, names: Sequence[str], neutral: int) -> Floats:
    """(E,) the performer's expression at rest: of a blendshape what it lies above for nine tenths of the clip, each by itself, since a talker's
    calmest frame may have an open mouth; of other expressions, and of the lids that follow the gaze, those of the frame `neutral`."""
    if not names:
        return tracks.expression[neutral]
    return np.where(gaze_lids(names), tracks.expression[neutral], np.quantile(tracks.expression, RESTING, axis=0))


def gaze_lids(names: Sequence[str]) -> NDArray[np.bool_]:
    """(E,) which blendshapes are those of lids that follow the gaze."""
    return np.array([name.startswith("eyeLook") for name in names], bool)


@dataclass(frozen=True)
class Tracks:
    """A performance as curves. expression (N, E); head, jaw, eyes (N, 3), (N, 3), (N, 2, 3): axis-angle, the head's against the mean."""

    expression: Floats
    head: Floats
    jaw: Floats
    eyes: Floats
    mean: Floats  # (3, 3) the head's mean orientation

    @classmethod
    def of(cls, frames: Sequence[FaceParameters]) -> Tracks:
        """Of frames that are all there."""
        heads = np.stack([face.head_rotation for face in frames])
        left, _, right = np.linalg.svd(heads.mean(0))
        mean = left @ np.diag([1, 1, np.sign(np.linalg.det(left @ right))]) @ right
        pose = np.stack([face.pose for face in frames]).astype(np.float64)
        expression = np.stack([face.expression for face in frames]).astype(np.float64)
        away = np.stack([to_axis_angle(head @ mean.T) for head in heads])
        return cls(expression, away, pose[:, JAW], pose[:, [EYE_LEFT, EYE_RIGHT]], mean)

    def at_all(self, seen: Sequence[int], count: int) -> Tracks:
        """The curves of `count` frames, of which those that were seen are here: straight lines in between, the ends stand."""
        if len(seen) == count:
            return self

        def spread(curve: Floats) -> Floats:
            columns = [np.interp(np.arange(count), seen, column) for column in curve.reshape(len(seen), -1).T]
            return np.stack(columns, axis=-1).reshape(count, *curve.shape[1:])

        return Tracks(spread(self.expression), spread(self.head), spread(self.jaw), spread(self.eyes), self.mean)

    def smoothed(self, frames: float) -> Tracks:
        """With a Gaussian of this standard deviation over time; the ends stand."""
        if not frames:
            return self
        from scipy.ndimage import gaussian_filter1d

        def smooth(curve: Floats) -> Floats:
            return np.asarray(gaussian_filter1d(curve, frames, axis=0, mode="nearest"))

        return Tracks(smooth(self.expression), smooth(self.head), smooth(self.jaw), smooth(self.eyes), self.mean)

    def orientation(self, k: int) -> Floats:
        """(3, 3) of the head."""
        return np.asarray(to_matrix(self.head[k]) @ self.mean, np.float64)


def filled(frames: Sequence[FaceParameters | None]) -> list[FaceParameters]:
    """Frames without a face as their nearest neighbours."""
    known = np.array([k for k, face in enumerate(frames) if face is not None])
    nearest = [frames[known[np.abs(known - k).argmin()]] for k in range(len(frames))]
    return [face for face in nearest if face is not None]


def _acted(face: FaceParameters, tracks: Tracks, k: int, neutral: int | None, rest: Floats | None, driving: Driving) -> FaceParameters:
    """One frame's face. neutral: the frame that pose and gaze are compared with; rest: the expression at rest. None: the clip's own values."""
    share, pose, expression = driving.multiplier, face.pose.astype(np.float64), face.expression.astype(np.float64)
    follows_gaze = gaze_lids(face.expression_names) if face.expression_names else np.zeros(len(expression), bool)

    def moved(own: Floats, track: Floats, origin: Floats | None = None) -> Floats:
        if origin is None:
            origin = own if neutral is None else track[neutral]
        return own + share * (track[k] - origin)

    if "expression" in driving.parts:
        least, most = (0.0, MOST) if face.expression_names else (-np.inf, np.inf)
        expression = np.where(follows_gaze, expression, np.clip(moved(expression, tracks.expression, rest), least, most))
        pose[JAW] = moved(pose[JAW], tracks.jaw)
    if "gaze" in driving.parts:
        for place, eye in enumerate((EYE_LEFT, EYE_RIGHT)):
            pose[eye] = moved(pose[eye], tracks.eyes[:, place])
        expression = np.where(follows_gaze, np.clip(moved(expression, tracks.expression, rest), 0, MOST), expression)
    if "pose" in driving.parts:
        own, there = face.head_rotation, tracks.orientation(k)
        origin = own if neutral is None else tracks.orientation(neutral)
        turned = to_matrix(share * to_axis_angle(there @ origin.T)) @ own
        angles = [float(np.clip(angle, -limit, limit)) for angle, limit in zip(head_angles(turned), LIMITS, strict=True)]
        pose[NECK] = to_axis_angle(to_matrix(pose[GLOBAL]).T @ head_rotation(*angles))
    return face.with_(expression=expression, pose=pose)
