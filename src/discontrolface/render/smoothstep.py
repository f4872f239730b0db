"""One smooth step from 0 to 1, 3 t^2 - 2 t^3: for arrays, and for one number inside a kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discontrolface.render.compiled import compiled


def smoothstep(t: NDArray[np.floating]) -> NDArray[np.floating]:
    """0 below 0, 1 above 1, smooth between."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@compiled
def rising(t):  # type: ignore[no-untyped-def]
    """`smoothstep` of one number, in its precision."""
    t = min(max(t, np.float32(0.0)), np.float32(1.0))
    return t * t * (np.float32(3.0) - np.float32(2.0) * t)
