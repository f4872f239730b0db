"""How far a reading can be trusted, from what is known without its truth: a number in [0, 1], and the parts that it is the product of.

The ramps were set on photographs (docs/decisions.md): frontal and three-quarter faces have 0.5 and more, heads in profile below 0.3.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from discontrolface.face.fit import FitReport
from discontrolface.face.fit_expression import network_expression
from discontrolface.face.landmarks import Landmarks
from discontrolface.face.parameters import FaceParameters

DETECTION: Final = (0.45, 0.75)  # score of the detector: worth nothing, worth all
LANDMARKS: Final = (0.6, 0.98)  # score of the landmark model
FIT: Final = (3.0, 1.2)  # landmark error, percent of the face's width
AGREEMENT: Final = (2.5, 0.8)  # the blendshape network's distance from the fit, root mean square in its noises
YAW: Final = (70.0, 42.0)  # degrees that the head is turned sideways; from 45 degrees on half of the face is a guess
PITCH: Final = (45.0, 25.0)
LOW: Final = 0.4  # readings below this deserve a warning


@dataclass(frozen=True)
class Confidence:
    """Each part in [0, 1], 1 where nothing speaks against the reading.

    detection: the detector's score. landmarks: the landmark model's score. fit: how well the head meets the landmarks. agreement: of the
    expression that was fitted with the one that the blendshape network sees (1 where that was not asked). view: frontal against profile.
    """

    detection: float
    landmarks: float
    fit: float
    agreement: float
    view: float

    @property
    def value(self) -> float:
        """All of it: the product of the parts."""
        return self.detection * self.landmarks * self.fit * self.agreement * self.view

    @property
    def weakest(self) -> str:
        """The name of the part that speaks most against the reading."""
        parts = asdict(self)
        return min(parts, key=lambda name: float(parts[name]))

    @property
    def low(self) -> bool:
        """Whether the reading deserves a warning."""
        return self.value < LOW

    def readable(self) -> dict[str, float]:
        """{"value": ..., part: ...}, rounded: for files and tables."""
        return {"value": round(self.value, 3), **{name: round(part, 3) for name, part in asdict(self).items()}}


def rate(landmarks: Landmarks, fit: FitReport, parameters: FaceParameters) -> Confidence:
    """The confidence in a reading: the landmarks it was made of, how well it meets them, what it says."""
    return Confidence(
        detection=1.0 if landmarks.detection is None else ramp(landmarks.detection, DETECTION),
        landmarks=ramp(landmarks.score, LANDMARKS),
        fit=ramp(fit.mean_percent, FIT),
        agreement=ramp(disagreement(landmarks, fit, parameters), AGREEMENT),
        view=ramp(abs(parameters.yaw), YAW) * ramp(abs(parameters.pitch), PITCH),
    )


def ramp(value: float, ends: tuple[float, float]) -> float:
    """0 at the first end, 1 at the second, linear between."""
    worst, best = ends
    return min(1.0, max(0.0, (value - worst) / (best - worst)))


def disagreement(landmarks: Landmarks, fit: FitReport, parameters: FaceParameters) -> float:
    """Root mean square over the believed blendshapes of (network - fit) / noise, both in [0, 1]; 0 where one of them is missing."""
    if landmarks.blendshapes is None or fit.blendshape_offsets is None:
        return 0.0
    names = parameters.expression_names[: len(fit.blendshape_offsets)]
    network, fitted = network_expression(landmarks.blendshapes, names), parameters.expression[: len(names)]
    believed = np.isfinite(network.noises)
    missed = (np.clip(network.values, 0, 1) - np.clip(fitted, 0, 1))[believed] / network.noises[believed]
    return float(np.sqrt(np.mean(missed**2)))
