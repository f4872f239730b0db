"""A mouth that opens wide shows the head's own teeth and tongue: the networks draw a mist there.

No photo that the open networks learned from has its mouth wide open, and where teeth and tongue lie between lips that open they do not know; the
head model does. Between closed lips that only part they draw better teeth than it has; teeth that the photo shows they draw out, where those end
and a hollow begins.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.ramp import ramp
from discontrolface.render.warp import Preview

# Area of what is uncovered / its squared width: up to the first it is the networks', from the second on the preview's.
PARTED, WIDE = 0.28, 0.38
TEETH_PARTED, TEETH_WIDE = 0.05, 0.12  # the same where the photo shows teeth


def with_open_mouth(edited: NDArray[np.float32], preview: Preview, teeth: bool) -> NDArray[np.float32]:
    """An edit (S, S, 3) with the preview's mouth in what a wide opening uncovers. preview: of that size, laid on it; teeth: the photo shows some."""
    uncovered = preview.mouth[..., 0]
    columns = np.flatnonzero((uncovered > 0.5).any(axis=0))
    if not len(columns):
        return edited
    width = float(columns[-1] - columns[0] + 1)
    share = ramp(float(uncovered.sum()) / width**2, (TEETH_PARTED, TEETH_WIDE) if teeth else (PARTED, WIDE))
    return edited if not share else np.asarray(edited + share * uncovered[..., None] * (preview.image - edited), np.float32)
