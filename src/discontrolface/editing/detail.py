"""Fine detail for an edit that was made at low resolution: the skin's texture rides along on the mesh warp of the large photo.

    out = up(edited) + weight * (preview - up(down(preview)))

preview is the mesh warp at high resolution, so its detail has already moved with the face. The split is complete whatever `up` and
`down` are: up(down(x)) + (x - up(down(x))) = x, so an edit that agrees with the preview returns the preview itself.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.pixels import resize_planes

AGREE_BELOW, DISAGREE_ABOVE = 0.06, 0.2  # |edited - preview| at low resolution up to which the detail is trusted, from which it is not
AGREEMENT_RADIUS: Final = 0.01  # of the local mean of that difference / side


def down(image: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """(S, S, C) to (size, size, C) by area averaging, as the crop itself is made."""
    return resize_planes(image, size, Image.Resampling.BOX)


def up(image: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """(s, s, C) to (size, size, C), bicubic."""
    return resize_planes(image, size, Image.Resampling.BICUBIC)


def fuse_detail(
    edited_lowres: NDArray[np.floating], preview_highres: NDArray[np.floating], visibility_highres: NDArray[np.floating]
) -> NDArray[np.float32]:
    """The edited crop (s, s, 3) at the size of the preview (S, S, 3), with the preview's fine detail; all in [0, 1].

    visibility_highres: (S, S) in [0, 1], how far the preview shows the photo and not an invention. Where the edit departs from the
    preview (a mouth that the network drew itself), the preview's detail has no place and is left out as well.
    With edited_lowres == down(preview) and full visibility the preview comes back to the bit (values 0 or above 1e-6).
    """
    from scipy.ndimage import gaussian_filter

    size, low_size = preview_highres.shape[0], edited_lowres.shape[0]
    if (
        preview_highres.shape != (size, size, 3)
        or visibility_highres.shape != (size, size)
        or edited_lowres.shape != (low_size, low_size, 3)
    ):
        raise ValueError(
            f"expected (s, s, 3), (S, S, 3), (S, S), got {edited_lowres.shape}, {preview_highres.shape}, {visibility_highres.shape}"
        )
    if low_size >= size:
        return np.clip(down(edited_lowres, size), 0, 1)
    low = down(preview_highres, low_size)
    difference = gaussian_filter(np.abs(edited_lowres - low).mean(axis=-1), AGREEMENT_RADIUS * low_size)
    trust = np.clip((DISAGREE_ABOVE - difference) / (DISAGREE_ABOVE - AGREE_BELOW), 0, 1)
    trust_highres = np.clip(resize_planes(trust[..., None], size, Image.Resampling.BILINEAR), 0, 1).astype(np.float64)
    # float64: a + (x - a) is then x again after rounding to float32
    detail = preview_highres.astype(np.float64) - up(low, size)
    weight = trust_highres * np.clip(visibility_highres, 0, 1)[..., None]
    return np.clip(up(edited_lowres, size) + weight * detail, 0, 1).astype(np.float32)
