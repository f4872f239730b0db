"""The measurements of a face that have a slider, as data: each is a distance along one axis between landmarks of the head model. No imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class Measure:
    """The mean of some landmarks minus that of others, along one axis of the head at rest (x to the image's right, y up, z out of the face).

    high, low: MediaPipe's numbers of the landmarks; a head model has the measure if it has all of them.
    """

    name: str
    label: str
    help: str
    axis: Literal["x", "y", "z"]
    high: tuple[int, ...]
    low: tuple[int, ...]


UPPER_LIDS: Final = (160, 158, 385, 387)
LOWER_LIDS: Final = (144, 153, 373, 380)

MEASURES: Final = (
    Measure("faceWidth", "Face width", "The breadth of the face before the ears.", "x", (454,), (234,)),
    Measure("foreheadWidth", "Forehead width", "The breadth of the forehead at the temples.", "x", (251, 284), (21, 54)),
    Measure("foreheadHeight", "Forehead height", "From between the brows to the top of the forehead.", "y", (10,), (9,)),
    Measure("cheekFullness", "Cheek fullness", "How far the cheeks stand out.", "z", (205, 425), (234, 454)),
    Measure("jawWidth", "Jaw width", "The breadth of the lower jaw at its angles.", "x", (288,), (58,)),
    Measure("chinWidth", "Chin width", "The breadth of the chin.", "x", (400,), (176,)),
    Measure("chinLength", "Chin length", "From the lower lip to the tip of the chin.", "y", (17,), (152,)),
    Measure("chinForward", "Chin forward", "How far the chin stands out, against the nose's root at the lip.", "z", (152,), (2,)),
    Measure("browHeight", "Brow height", "From the upper lids to the brows.", "y", (105, 334), UPPER_LIDS),
    Measure("eyeDistance", "Eye distance", "Between the eyes' inner corners.", "x", (362,), (133,)),
    Measure("eyeWidth", "Eye width", "Of both eyes, from corner to corner.", "x", (133, 263), (33, 362)),
    Measure("eyeHeight", "Eye height", "How far both eyes are open at rest.", "y", UPPER_LIDS, LOWER_LIDS),
    Measure("eyeSlant", "Eye slant", "How much higher the outer corners of the eyes are.", "y", (33, 263), (133, 362)),
    Measure("noseLength", "Nose length", "From its root to the lip.", "y", (168,), (2,)),
    Measure("noseWidth", "Nose width", "The breadth of the nostrils' wings.", "x", (327,), (98,)),
    Measure("noseDepth", "Nose depth", "How far its tip stands out of the face.", "z", (4,), (98, 327)),
    Measure("noseBridge", "Nose bridge", "How far its bridge stands out between the eyes.", "z", (197,), (133, 362)),
    Measure("noseTip", "Nose tip up", "How much higher the tip is than the lip's root.", "y", (4,), (2,)),
    Measure("mouthWidth", "Mouth width", "From corner to corner.", "x", (291,), (61,)),
    Measure("upperLip", "Upper lip", "The height of its red.", "y", (0,), (13,)),
    Measure("lowerLip", "Lower lip", "The height of its red.", "y", (14,), (17,)),
    Measure("philtrum", "Nose to lip", "From the nose to the upper lip.", "y", (2,), (0,)),
)
