"""Regions of the crop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull


def face_hull(points: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """(size, size): the convex hull of landmarks (N, 2) in pixels."""
    corners = points[ConvexHull(points).vertices]
    picture = Image.new("1", (size, size))
    ImageDraw.Draw(picture).polygon([(float(x), float(y)) for x, y in corners], fill=1)
    return np.array(picture)
