"""Plain colours of a head's regions: what parts have that no photo showed, and the ratio of a part to the skin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

SKIN: Final = (0.74, 0.56, 0.47)  # picture values in [0, 1], a middling skin

# Regions that are skin, as a factor on the skin's colour.
_LIKE_SKIN: Final[dict[str, tuple[float, float, float]]] = {
    "skin": (1.0, 1.0, 1.0),
    "neck": (0.95, 0.95, 0.95),
    "ears": (1.0, 0.95, 0.95),
    "scalp": (1.0, 1.0, 1.0),
    "eyelids": (0.95, 0.92, 0.92),
    "eye_socket": (0.80, 0.70, 0.70),
    "lips": (0.95, 0.68, 0.72),
    "brows": (0.55, 0.50, 0.48),
}
# Regions that have a colour of their own.
_OWN: Final[dict[str, tuple[float, float, float]]] = {
    "eyes": (0.82, 0.80, 0.78),
    "mouth_inside": (0.30, 0.12, 0.11),
    "upper_teeth": (0.85, 0.82, 0.76),
    "lower_teeth": (0.80, 0.77, 0.71),
    "tongue": (0.62, 0.32, 0.32),
}


def region_colours(region_names: Sequence[str], skin: Sequence[float] | NDArray[np.floating] = SKIN) -> NDArray[np.float32]:
    """(R, 3) a colour per region for a skin colour (3,). Regions with unknown names are taken as skin."""
    base = np.asarray(skin, np.float64)
    rows = [_OWN[name] if name in _OWN else base * _LIKE_SKIN.get(name, (1.0, 1.0, 1.0)) for name in region_names]
    return np.clip(np.array(rows).reshape(len(region_names), 3), 0, 1).astype(np.float32)
