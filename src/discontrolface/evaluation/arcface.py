"""Identity by ArcFace (Deng et al., 2019), when the user has an ONNX file of it: the cosine between embeddings, 1 for the same picture.

The file: input (N, 3, 112, 112) RGB as (x - 127.5) / 127.5, output (N, D); InsightFace's models are of this form. Needs `onnxruntime`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.face.landmark_sets import IBUG_68, MOUTH_CORNERS
from discontrolface.face.landmarks import Landmarks
from discontrolface.geometry.affine import invert_affine, sample_affine
from discontrolface.geometry.similarity import Similarity

SIZE = 112
# Where ArcFace wants the centres of the eyes, the tip of the nose and the corners of the mouth (image's left first), pixels of 112.
PLACES = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])


def five_points(landmarks: Landmarks) -> NDArray[np.float64]:
    """(5, 2) eyes, nose, corners of the mouth in photo pixels, the subject's right (the image's left) first."""
    xy = landmarks.points[:, :2].astype(np.float64)
    eyes = [xy[list(IBUG_68[a:b])].mean(0) for a, b in ((36, 42), (42, 48))]
    return np.stack([*eyes, xy[IBUG_68[30]], *xy[list(MOUTH_CORNERS)]])


class ArcFace:
    """An embedding network, loaded once. UserError for a missing onnxruntime, a file that is no such network."""

    def __init__(self, path: Path) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError(f"reading {path} needs onnxruntime; install it with: pip install onnxruntime, or leave --arcface out") from None
        if not path.is_file():
            raise UserError(f"{path} does not exist; give the path of an ArcFace model (.onnx)")
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes
            raise UserError(f"{path} is not an ONNX model that can be read ({type(error).__name__})") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or list(inputs[0].shape[1:]) != [3, SIZE, SIZE] or len(outputs[0].shape) != 2:
            seen = [list(i.shape) for i in inputs], [list(o.shape) for o in outputs]
            raise UserError(f"{path} is not ArcFace: inputs {seen[0]} and outputs {seen[1]}, not [N, 3, {SIZE}, {SIZE}] and [N, D]")
        self._input = inputs[0].name

    def embedding(self, image: NDArray[np.uint8], landmarks: Landmarks) -> NDArray[np.float64]:
        """(D,) of length 1, of a face in a photo (H, W, 3) uint8."""
        matrix = Similarity.between(five_points(landmarks), PLACES).affine
        chip = sample_affine(image, invert_affine(matrix), (SIZE, SIZE), fine=True).astype(np.float32)
        out = self._session.run(None, {self._input: ((chip - 127.5) / 127.5).transpose(2, 0, 1)[None]})[0]
        vector = np.asarray(out, np.float64).reshape(-1)
        return vector / max(float(np.linalg.norm(vector)), 1e-12)

    def similarity(self, a: tuple[NDArray[np.uint8], Landmarks], b: tuple[NDArray[np.uint8], Landmarks]) -> float:
        """The cosine of two faces' embeddings, -1 to 1."""
        return float(self.embedding(*a) @ self.embedding(*b))
