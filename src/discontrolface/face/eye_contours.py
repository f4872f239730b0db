"""The eye and brow points of the iris model put in the place of the face mesh's, which hardly move when an eye closes.

What MediaPipe calls the refinement of landmarks; the list of points is that of its published graph.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

# Mesh points of the 71 contour points of the iris model, subject's right eye: the lids' edge, three rings around it, the brow.
RIGHT_CONTOUR: Final = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
    130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190,
    226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
    35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
)  # fmt: skip
LEFT_CONTOUR: Final = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398,
    359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414,
    446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413,
    265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417,
)  # fmt: skip

USED: Final = 32  # the lids' edge and the first ring; farther out the mesh's points follow the face better


def with_eye_contours(points: NDArray[np.floating], eyes: NDArray[np.floating] | None) -> NDArray[np.float64]:
    """Mesh points (468, 2 or 3) with the lids (x and y) of `eyes` (2, 71, 2) (Landmarks.eyes: the subject's left, then right), same coordinates."""
    out = np.array(points, np.float64)
    if eyes is not None:
        for contour, seen in zip((LEFT_CONTOUR, RIGHT_CONTOUR), np.asarray(eyes, np.float64), strict=True):
            out[list(contour[:USED]), :2] = seen[:USED]
    return out
