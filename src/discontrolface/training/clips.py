"""Clips of talking people as photos for pairs: the few frames that differ most, so that real blinks and open mouths get into the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.images import Photo
from discontrolface.common.video import clip_frames, clip_info
from discontrolface.editing.person import Person
from discontrolface.editing.reading import Reader

FRAMES = 6  # of a clip
MOST_READ = 120  # frames that are read: of longer clips every second, third, ...
DEGREES = 25.0  # of the head's turn that count as much as a blendshape from 0 to 1


def read_clip(path: Path, reader: Reader, trusted: Callable[[Person], bool]) -> list[Person]:
    """The frames of a clip that differ most in expression and pose, read; each as a photo CLIP#NUMBER. UserError when no reading is trusted."""
    info = clip_info(path)
    count = int((info.seconds or 0) * info.rate)
    stride = max(1, -(-count // MOST_READ))
    people: list[Person] = []
    for number, frame in enumerate(clip_frames(path)):
        if number % stride == 0 and number < stride * MOST_READ:
            people += [person for person in read_frame(frame, path.with_name(f"{path.name}#{number}"), reader) if trusted(person)]
    if not people:
        raise UserError(f"no frame of {path} can be read well enough")
    return [people[k] for k in sorted(furthest_apart(features(people), FRAMES))]


def read_frame(frame: NDArray[np.uint8], name: Path, reader: Reader) -> list[Person]:
    """One person, or nobody."""
    photo = Photo.of(frame, name)
    try:
        return [reader.read(photo)]
    except UserError:  # no face in this frame
        return []


def features(people: Sequence[Person]) -> NDArray[np.float64]:
    """(N, E + 3): what frames are told apart by."""
    turns = [(p.parameters.yaw, p.parameters.pitch, p.parameters.roll) for p in people]
    return np.concatenate([[p.parameters.expression for p in people], np.array(turns) / DEGREES], 1).astype(np.float64)


def furthest_apart(points: NDArray[np.float64], count: int) -> list[int]:
    """Numbers of at most `count` of the points (N, D): first the one nearest to the mean, then always the one furthest from those chosen."""
    chosen = [int(np.linalg.norm(points - points.mean(0), axis=1).argmin())]
    while len(chosen) < min(count, len(points)):
        distance = np.linalg.norm(points[:, None] - points[chosen], axis=2).min(1)
        distance[chosen] = -1
        chosen.append(int(distance.argmax()))
    return chosen
