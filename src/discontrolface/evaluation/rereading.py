"""Read the edited picture again: how far is what it shows from what was asked? ("Re-inference error".)

Everything is read in the crop, as it is, with the source's identity held (and once more with it free, for the shape). What is wanted:

- where the true result is known: what the same reader reads in that. The reader's own faults (it damps strong expressions) then cancel.
- else: what is read in the source, changed as the parameters were changed. The reader's damping then counts as an error, also of a perfect edit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.images import Photo
from discontrolface.editing.person import Person
from discontrolface.editing.reading import Reader
from discontrolface.face.blendshape_gains import gains
from discontrolface.face.blendshape_network import NAMES as NETWORK_NAMES
from discontrolface.face.crop import Crop
from discontrolface.face.fit import landmark_error
from discontrolface.face.geometry import Geometry
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.rotations import head_angles

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """What a picture shows, or should show."""

    rotation: Array  # (3, 3) of the head
    gaze: Array  # (2,) degrees
    expression: Array  # (E,)
    light: Array  # (9, 3) over its even part
    shape: Array  # (S,) read with the identity free
    landmarks: Array  # (L, 2) pixels
    blendshapes: Array | None = None  # (52,) what MediaPipe's blendshape network reads by itself, whatever the head model


def read_picture(reader: Reader, picture: NDArray[np.uint8], like: Person | None = None) -> Person | None:
    """The face of a square picture (S, S, 3), which is its own crop; None where none is found. like: of the source, whose identity is held."""
    try:
        landmarks = reader.landmarker.find_face(picture, box=None if like is None else like.landmarks.box)
    except UserError:
        return None
    crop = Crop(picture, np.eye(2, 3), picture)
    photo = Photo.of(picture, Path("picture.png"))
    read = reader.head.read(crop, landmarks, None if like is None else like.reading)
    return Person(photo, crop, read.parameters, landmarks, read.fit, read.geometry, codes=read.codes)


def look_of(reader: Reader, person: Person) -> Look:
    """What was read of a picture, with the shape read anew."""
    free = reader.head.read(person.crop, person.landmarks).parameters.shape
    p = person.parameters
    gaze = np.array(p.gaze)
    points = person.landmarks.points[:, :2].astype(np.float64)
    network = person.landmarks.blendshapes
    return Look(
        p.head_rotation,
        gaze,
        p.expression.astype(np.float64),
        even_light(p.light),
        free.astype(np.float64),
        points,
        None if network is None else network.astype(np.float64),
    )


def changed_look(source: Look, before: FaceParameters, after: FaceParameters, geometry: Geometry, size: int) -> Look:
    """The source's look after the change from `before` to `after`."""
    moved = (geometry.landmarks(after, size) - geometry.landmarks(before, size))[:, :2]
    return Look(
        after.head_rotation @ before.head_rotation.T @ source.rotation,
        source.gaze + np.subtract(after.gaze, before.gaze),
        source.expression + (after.expression - before.expression),
        source.light + (even_light(after.light) - even_light(before.light)),
        source.shape + (after.shape - before.shape),
        source.landmarks + moved,
        changed_blendshapes(source.blendshapes, before, after),
    )


def changed_blendshapes(source: Array | None, before: FaceParameters, after: FaceParameters) -> Array | None:
    """What the network should read after the change; None for head models whose expressions are not the network's.

    The network's units are those of the controls: a coefficient over its gain (face/blendshape_gains.py).
    """
    if source is None or not set(NETWORK_NAMES) <= set(before.expression_names):
        return None
    moved = (after.expression - before.expression) / gains(before.head, before.expression_names)
    change = dict(zip(before.expression_names, moved, strict=True))
    return np.asarray(np.clip(source + [change[name] for name in NETWORK_NAMES], 0, 1))


def even_light(light: NDArray[np.floating]) -> Array:
    """(9, 3) light as a share of its even part (the mean over the colours): where it comes from and its tint, not how bright it is."""
    return np.asarray(light, np.float64) / max(abs(float(light[0].mean())), 1e-6)


def angle_between(a: Array, b: Array) -> float:
    """Degrees of the turn from one rotation (3, 3) to another."""
    return math.degrees(math.acos(float(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1))))


def look_errors(read: Look, asked: Look) -> dict[str, float]:
    """How far two looks are apart; the units are in metrics.py. All are 0 for the same."""
    angles = [abs(x - y) for x, y in zip(head_angles(read.rotation), head_angles(asked.rotation), strict=True)]
    same_set = read.landmarks.shape == asked.landmarks.shape
    return {
        "head": angle_between(read.rotation, asked.rotation),
        **dict(zip(("yaw", "pitch", "roll"), angles, strict=True)),
        "gaze": float(np.linalg.norm(read.gaze - asked.gaze)),
        "expression": _rms(read.expression - asked.expression),
        "shape": _rms(read.shape - asked.shape),
        "light": _rms(read.light - asked.light),
        **({"landmarks": landmark_error(read.landmarks, asked.landmarks)[1]} if same_set else {}),
        **blendshape_errors(read.blendshapes, asked.blendshapes),
    }


def blendshape_errors(read: Array | None, asked: Array | None) -> dict[str, float]:
    """How far the network's readings are apart: on average, and the smile (the mean of both corners of the mouth)."""
    if read is None or asked is None:
        return {}
    smile = [NETWORK_NAMES.index(name) for name in ("mouthSmileLeft", "mouthSmileRight")]
    return {"blendshapes": float(np.abs(read - asked).mean()), "smile": abs(float(read[smile].mean() - asked[smile].mean()))}


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x))))
