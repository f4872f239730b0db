"""52 blendshapes from the landmarks of a face: MediaPipe's blendshape network on LiteRT.

146 of 478 landmarks in, in pixels (the network takes out place and size itself; the face is turned upright here), a coefficient in [0, 1]
for each blendshape out. The 478 are the 468 of the face mesh and five points of each iris. Which 146 they
are, and the order of the coefficients, is that of MediaPipe's published graph (`face_blendshapes_graph.cc`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from discontrolface.face.blendshape_rows import BLENDSHAPE_ROWS
from discontrolface.face.landmark_sets import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from discontrolface.face.litert import load_model

NAMES: Final = tuple(name for name, *_ in BLENDSHAPE_ROWS)  # the network has them in this order, after one that says "neutral"
UNSEEN: Final = "tongueOut"  # the last, which the network does not have

USED: Final = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80, 81, 82, 84, 87, 88, 91,
    93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163,
    168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295,
    296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379,
    380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, *range(468, 478),
)  # fmt: skip


class BlendshapeNetwork:
    """The network, loaded once. Not safe to share between threads."""

    def __init__(self, num_threads: int = 1) -> None:
        self._network = load_model("face_blendshapes.tflite", num_threads)

    def __call__(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """(52,) in [0, 1], in the order of `NAMES`, of points (478, 2 or 3) in pixels: the mesh, the right iris, the left iris."""
        used = upright(np.asarray(points, np.float64)[:, :2])[None, USED].astype(np.float32)
        self._network.set_tensor(self._network.get_input_details()[0]["index"], used)
        self._network.invoke()
        read: NDArray[np.float32] = self._network.get_tensor(self._network.get_output_details()[0]["index"])
        out = np.zeros(len(NAMES), np.float32)
        out[: len(read) - 1] = read[1:]
        return out


def upright(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (N >= 468, 2) turned about their middle so that the corners of the eyes lie level."""
    left, right = (points[list(corners)].mean(0) for corners in (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS))
    along = (left - right) / max(float(np.hypot(*(left - right))), 1e-9)
    centre = points.mean(0)
    return (points - centre) @ np.array([[along[0], -along[1]], [along[1], along[0]]]) + centre
