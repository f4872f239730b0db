"""The figures of one edit: against the true picture, pixel by pixel and read again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.common.images import Photo
from discontrolface.common.pixels import to_uint8
from discontrolface.editing.person import Person
from discontrolface.editing.reading import Reader
from discontrolface.evaluation.ablation_items import Array, Item
from discontrolface.evaluation.metrics import truth_estimates
from discontrolface.evaluation.rereading import angle_between
from discontrolface.evaluation.similarity import detail_correlation
from discontrolface.face.fit import face_width, landmark_error

LEAST_MOTION = 1.0  # % of the face's width, root mean square: below it nothing says how much of the motion was made


@dataclass(frozen=True)
class Readings:
    """What is read in the source and in the truth; None where no face is found. asked: (468, 2) pixels, the motion of the landmarks that
    an edit without a truth asks for, by the head model."""

    source: Person | None
    truth: Person | None
    asked: NDArray[np.float64]

    @classmethod
    def of(cls, item: Item, reader: Reader) -> Readings:
        """Of an item, once for all variants."""
        array = to_uint8(item.source)
        try:
            source = reader.read(Photo.of(array, Path(item.key)))
        except UserError:
            source = None
        asked = item.landmarks(item.edit.target) - item.landmarks(item.person.parameters)
        return cls(source, None if item.truth is None else reread(source, item.truth, reader), asked)


def reread(source: Person | None, picture: Array, reader: Reader) -> Person | None:
    """The face of an edit of the source; None where there is none."""
    if source is None:
        return None
    try:
        return reader.reread(source, Image.fromarray(to_uint8(picture)))
    except UserError:
        return None


def item_estimates(picture: Array, item: Item, readings: Readings, reader: Reader) -> dict[str, float | None]:
    """All figures of one variant's picture; None where something cannot be measured."""
    out: dict[str, float | None] = {}
    if item.truth is not None:
        estimates = truth_estimates(picture, item.truth, item.edit.preview.visibility, item.edit.preview.mask)
        out |= {name: None if value is None else round(value, 5) for name, value in estimates.items()}
        square = 4000 * (picture - item.truth).astype(np.float64) ** 2
        out["off_face"] = round(float(square[item.off_face].mean()), 4) if item.off_face.any() else None
        out["detail"] = round(detail_correlation(picture, item.truth, item.face), 5) if item.face.any() else None
    again = reread(readings.source, picture, reader)
    return out | reading_estimates(again, readings)


def reading_estimates(again: Person | None, readings: Readings) -> dict[str, float | None]:
    """Landmarks (% of the face's width), head (degrees) and control (share of the motion) of what was read in an edit."""
    out: dict[str, float | None] = {"landmarks": None, "head": None, "control": None}
    if again is None or readings.source is None:
        return out
    before, after = readings.source.landmarks.points[:, :2], again.landmarks.points[:, :2]
    motion = readings.asked
    if readings.truth is not None:
        true = readings.truth.landmarks.points[:, :2]
        out["landmarks"] = round(landmark_error(after, true)[1], 4)
        out["head"] = round(angle_between(again.parameters.head_rotation, readings.truth.parameters.head_rotation), 4)
        motion = true.astype(np.float64) - before
    size = 100 * np.sqrt((motion**2).sum(1).mean()) / face_width(before)
    if size >= LEAST_MOTION:
        out["control"] = round(float(((after - before) * motion).sum() / (motion**2).sum()), 5)
    return out
