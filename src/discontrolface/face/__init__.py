"""The face: head model, landmarks, parameters, and the fit between them. Names load on first use, so that importing the package stays light."""

from typing import TYPE_CHECKING

from discontrolface.common.lazy import lazy_names

if TYPE_CHECKING:
    from discontrolface.face.control_table import Control as Control
    from discontrolface.face.controls import CONTROLS as CONTROLS
    from discontrolface.face.fit import FaceReading as FaceReading
    from discontrolface.face.fit import FitReport as FitReport
    from discontrolface.face.fit import fit_landmarks as fit_landmarks
    from discontrolface.face.fit import fit_many as fit_many
    from discontrolface.face.fit import landmark_error as landmark_error
    from discontrolface.face.fit import read_face as read_face
    from discontrolface.face.heads.base import HeadModel as HeadModel
    from discontrolface.face.landmarks import FaceLandmarker as FaceLandmarker
    from discontrolface.face.landmarks import Landmarks as Landmarks
    from discontrolface.face.light_fit import fit_light as fit_light
    from discontrolface.face.light_fit import fit_lights as fit_lights
    from discontrolface.face.parameters import FaceParameters as FaceParameters

__getattr__ = lazy_names(
    __name__,
    {
        "CONTROLS": "controls",
        "Control": "control_table",
        "FaceLandmarker": "landmarks",
        "FaceParameters": "parameters",
        "FaceReading": "fit",
        "FitReport": "fit",
        "HeadModel": "heads.base",
        "Landmarks": "landmarks",
        "fit_landmarks": "fit",
        "fit_light": "light_fit",
        "fit_lights": "light_fit",
        "fit_many": "fit",
        "landmark_error": "fit",
        "read_face": "fit",
    },
)
