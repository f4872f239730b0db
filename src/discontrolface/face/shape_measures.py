"""What the shape coefficients of a head model mean: measurements of its face, and how to change one without the others.

A landmark of the head at rest depends linearly on the shape coefficients, and so does a distance along an axis. With unit-variance coefficients s
such a measurement is (mean + g s) metres with a standard deviation of |g|, so n s with n = g / |g| is it in standard deviations: exact, no guess.
The columns of the pseudo-inverse of all n are the smallest changes of s that move one measurement by 1 and leave all others where they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.face.shape_rows import MEASURES, Measure

SMALLEST = 1e-6  # metres: a measurement that no shape changes by more is none of this head model


@dataclass(frozen=True, eq=False)
class ShapeMeasures:
    """The measurements that a head model has.

    names: (K,). rows: (K, S), `rows @ shape` are their values in standard deviations. directions: (S, K), what a value of 1 more adds to the shape.
    """

    names: tuple[str, ...]
    rows: NDArray[np.float64]
    directions: NDArray[np.float64]

    @classmethod
    def of(cls, directions: NDArray[np.floating], numbers: Sequence[int], measures: Sequence[Measure] = MEASURES) -> ShapeMeasures:
        """directions: (S, L, 3), what each shape coefficient adds to the landmarks of the head at rest, metres. numbers: (L,), MediaPipe's."""
        place = {number: index for index, number in enumerate(numbers)}
        names, slopes = [], []
        for measure in measures:
            if not place.keys() >= {*measure.high, *measure.low}:
                continue
            along = directions[:, :, "xyz".index(measure.axis)].astype(np.float64)
            high, low = ([place[number] for number in points] for points in (measure.high, measure.low))
            slope = along[:, high].mean(1) - along[:, low].mean(1)
            if np.linalg.norm(slope) > SMALLEST:
                names.append(measure.name)
                slopes.append(slope / np.linalg.norm(slope))
        rows = np.array(slopes).reshape(-1, len(directions))
        return cls(tuple(names), rows, np.linalg.pinv(rows))

    def value(self, name: str, shape: NDArray[np.floating]) -> float:
        """A measurement of a shape (S,), in standard deviations from the mean face."""
        return float(self.rows[self._index(name)] @ shape)

    def moved(self, name: str, shape: NDArray[np.float32], value: float) -> NDArray[np.float32]:
        """The shape (S,) with this measurement at `value` and the others where they are; what is there already changes nothing."""
        change = value - self.value(name, shape)
        return (shape + change * self.directions[:, self._index(name)]).astype(np.float32)

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise UserError(f"this head model has no measurement {name!r}; it has {', '.join(self.names) or 'none'}")
        return self.names.index(name)
