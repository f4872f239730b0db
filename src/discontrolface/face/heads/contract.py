"""What the program needs to know of a head model. To add one: a file like `open.py` beside this one, and its line in `registry.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from discontrolface.face.crop import Crop
from discontrolface.face.fit import FitReport
from discontrolface.face.geometry import Geometry
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.landmarks import Landmarks
from discontrolface.face.parameters import FaceParameters

if TYPE_CHECKING:  # networks, which reading with the open head does not load
    from discontrolface.face.regress import Codes


class FaceReading(NamedTuple):
    """A face as it was read off its crop.

    fit: how well the parameters explain the landmarks. geometry: draws the parameters, with the person's wrinkles where they were read.
    codes: DECA's or EMOCA's own, where they read the face.
    """

    parameters: FaceParameters
    fit: FitReport
    geometry: Geometry
    codes: Codes | None = None


class HeadReader(Protocol):
    """Reads faces with one head model. geometry: the head model and its preview rig, without anybody's wrinkles."""

    @property
    def geometry(self) -> Geometry: ...

    def read(self, crop: Crop, landmarks: Landmarks, like: FaceReading | None = None) -> FaceReading:
        """The face in a crop. landmarks: in photo pixels. like: the same person, read before, whose identity is held."""
        ...


@dataclass(frozen=True)
class HeadOptions:
    """How a head model is loaded; each takes what it has a use for."""

    assets: Path | None = None  # the folder of imported files; None: the user's
    detail: bool = True  # snapshots with the person's wrinkles, where networks read them; False: the paper's ablation
    regressor: bool = True  # False: faces are read by the landmark fit, also where there are networks that read them
    device: str = "cpu"  # of the networks that read faces


@dataclass(frozen=True)
class Head:
    """A head model by name."""

    name: str  # in presets, parameters and snapshots; that of its `HeadModel`
    model: Callable[[HeadOptions], HeadModel]  # loads the head model alone, no networks
    reader: Callable[[HeadOptions], HeadReader]  # loads all that reads a face

    def geometry(self, options: HeadOptions | None = None) -> Geometry:
        """The head model and its preview rig: what draws snapshots and previews."""
        return Geometry(self.model(options or HeadOptions()))
