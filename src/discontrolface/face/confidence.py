"""How far a reading can be trusted, from what is known without its truth: a number in [0, 1], and the parts that it is the product of.

The ramps were set on photographs (docs/decisions.md): frontal and three-quarter faces have 0.5 and more, heads in profile below 0.3.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from discontrolface.common.ramp import ramp
from discontrolface.face.appearance import Appearance
from discontrolface.face.fit import FitReport
from discontrolface.face.fit_expression import network_expression
from discontrolface.face.landmarks import Landmarks
from discontrolface.face.parameters import FaceParameters

DETECTION: Final = (0.35, 0.65)  # score of the detector: worth nothing, worth all
LANDMARKS: Final = (0.6, 0.98)  # score of the landmark model
FIT: Final = (3.0, 1.2)  # landmark error, percent of the face's width
AGREEMENT: Final = (2.5, 0.8)  # the blendshape network's distance from the fit, root mean square in its noises
YAW: Final = (70.0, 42.0)  # degrees that the head is turned sideways; from 45 degrees on half of the face is a guess
PITCH: Final = (45.0, 25.0)
UNSTEADY: Final = (2.2, 1.4)  # `Landmarks.unsteadiness` of faces from the front,
UNSTEADY_ASIDE: Final = (5.0, 2.8)  # and of faces in three-quarter view
ASIDE: Final = (15.0, 30.0)  # degrees of yaw between the two
EYES: Final = (0.0, 0.1)  # `Appearance.eyes`,
EYES_ALONE: Final = 0.3  # which are a third of a face's worth at least: sunglasses are no stone
FLAT: Final = (0.6, 0.3)  # `Appearance.flat`
HUES: Final = (0.03, 0.08)  # `Appearance.hues`
STRIPES: Final = (60.0, 30.0)  # `Appearance.stripes`
AGAINST: Final = {
    "detection": "the detector hardly sees a face",
    "landmarks": "the landmark model hardly sees a face",
    "fit": "the head model does not meet the landmarks",
    "agreement": "the two networks that read the expression disagree",
    "view": "the head is turned far from the camera",
    "steadiness": "the landmark model finds other points each time it looks, as with statues and drawings",
    "eyes": "the eyes show no iris, as with statues or behind dark glasses",
    "texture": "this has the flat colours of a drawing, the one colour of stone or the stripes of a screen",
}  # part -> what a low one means
LOW: Final = 0.4  # readings below this deserve a warning


@dataclass(frozen=True)
class Confidence:
    """Each part in [0, 1], 1 where nothing speaks against the reading.

    detection: the detector's score. landmarks: the landmark model's score. fit: how well the head meets the landmarks. agreement: of the
    expression that was fitted with the one that the blendshape network sees (1 where that was not asked). view: frontal against profile.
    steadiness: of the landmarks, when they are looked for again (1 where that was not asked). eyes: whether they have a dark iris (1 where that
    cannot be said). texture: against a drawing's flat colours, the one colour of stone and a
    screen's stripes.
    """

    detection: float
    landmarks: float
    fit: float
    agreement: float
    view: float
    steadiness: float
    eyes: float
    texture: float

    @property
    def value(self) -> float:
        """All of it: the product of the parts."""
        return math.prod(asdict(self).values())

    @property
    def weakest(self) -> str:
        """The name of the part that speaks most against the reading."""
        parts = asdict(self)
        return min(parts, key=lambda name: float(parts[name]))

    @property
    def against(self) -> str:
        """What speaks most against the reading, in words."""
        return AGAINST[self.weakest]

    @property
    def low(self) -> bool:
        """Whether the reading deserves a warning."""
        return self.value < LOW

    def readable(self) -> dict[str, float]:
        """{"value": ..., part: ...}, rounded: for files and tables."""
        return {"value": round(self.value, 3), **{name: round(part, 3) for name, part in asdict(self).items()}}


def rate(landmarks: Landmarks, fit: FitReport, parameters: FaceParameters, looks: Appearance | None = None) -> Confidence:
    """The confidence in a reading: the landmarks it was made of, how well it meets them, what it says, and what the pixels look like."""
    looks = looks or Appearance(None, 0.0, 0.0)
    aside = ramp(abs(parameters.yaw), ASIDE)
    unsteady = (front + aside * (side - front) for front, side in zip(UNSTEADY, UNSTEADY_ASIDE, strict=True))
    return Confidence(
        detection=1.0 if landmarks.detection is None else ramp(landmarks.detection, DETECTION),
        landmarks=landmark_part(landmarks),
        fit=ramp(fit.mean_percent, FIT),
        agreement=ramp(disagreement(landmarks, fit, parameters), AGREEMENT),
        view=view_part(parameters),
        steadiness=1.0 if landmarks.unsteadiness is None else ramp(landmarks.unsteadiness, (next(unsteady), next(unsteady))),
        eyes=1.0 if looks.eyes is None else max(ramp(looks.eyes, EYES), EYES_ALONE),
        texture=ramp(looks.flat, FLAT) * ramp(looks.stripes, STRIPES) * (1.0 if looks.hues is None else ramp(looks.hues, HUES)),
    )


def landmark_part(landmarks: Landmarks) -> float:
    """How surely the landmark model sees a face."""
    return ramp(landmarks.score, LANDMARKS)


def view_part(parameters: FaceParameters) -> float:
    """How far the head looks at the camera."""
    return ramp(abs(parameters.yaw), YAW) * ramp(abs(parameters.pitch), PITCH)


def misplaced(landmarks: Landmarks, parameters: FaceParameters) -> bool:
    """Whether the landmarks may lie beside the face, as of a head in profile. Such a reading is `low`; of what lies where they say that a mouth is,
    nothing can be said."""
    return landmark_part(landmarks) * view_part(parameters) < LOW


def disagreement(landmarks: Landmarks, fit: FitReport, parameters: FaceParameters) -> float:
    """Root mean square over the believed blendshapes of (network - fit) / noise, both in [0, 1]; 0 where one of them is missing."""
    if landmarks.blendshapes is None or fit.blendshape_offsets is None:
        return 0.0
    names = parameters.expression_names[: len(fit.blendshape_offsets)]
    network, fitted = network_expression(landmarks.blendshapes, names), parameters.expression[: len(names)]
    believed = np.isfinite(network.noises)
    missed = (np.clip(network.values, 0, 1) - np.clip(fitted, 0, 1))[believed] / network.noises[believed]
    return float(np.sqrt(np.mean(missed**2)))
