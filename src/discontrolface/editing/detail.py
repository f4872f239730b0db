"""Fine detail for an edit that was made at low resolution: the skin's texture rides along on the mesh warp of the large photo.

    out = up(edited) + weight * (preview - up(down(preview)))

edited already has the preview's finest band at its own size (`sharpened`), and off the face all of it (`restored`). preview is the mesh warp at high
resolution, laid on the edit (laid.py), so its detail has already moved with the face (what is finer still, `composite` takes from the photo itself,
as far as `shown_again` says). The split is complete whatever `up` and `down` are: up(down(x)) + (x - up(down(x))) = x, so an edit that agrees with
the preview returns the preview itself.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import maximum_filter

from discontrolface.common.pixels import channel_mean, resize_planes
from discontrolface.render.blur import gaussian
from discontrolface.render.smoothstep import smoothstep

AGREE_BELOW, DISAGREE_ABOVE = 0.06, 0.2  # |edited - preview| at low resolution up to which the detail is trusted, from which it is not
AGREEMENT_RADIUS: Final = 0.01  # of the local mean of that difference / side
EDGE: Final = 0.25  # difference of a single pixel from which the preview has an edge there that the edit has not
EDGE_REACH, EDGE_SOFT = 0.008, 0.003  # how far beside it no detail is trusted; sigma of that area's rim / side
FINEST_BAND: Final = 0.003  # sigma of the Gaussian above which the finest band of an edit lies / side
ALIKE_RADIUS: Final = 0.012  # sigma of the Gaussian above which an edit and a preview need not agree to show the same / side
ALIKE_BELOW, UNLIKE_ABOVE = 0.06, 0.16  # their difference below it up to which they do, from which they do not
UNLIKE_REACH, UNLIKE_SOFT = 0.012, 0.004  # how far beside what is unlike nothing is restored; sigma of that area's rim / side
TONE_RADIUS: Final = 0.04  # sigma of the Gaussian below which colours and light stay the edit's / side
TONE_LEAST: Final = 0.02  # share of pixels nearby that must agree for them to say how the tones differ
LID_BAND: Final = 0.032  # sigma of the Gaussian above which a closed lid's lashes, rim and fold lie / side
SAME_BELOW, OTHER_ABOVE = 0.01, 0.04  # |preview - photo moved and relit| up to which a preview shows the photo, from which something else
LIGHT_RADIUS: Final = 0.02  # of the local mean that stands for the light / side
DARK: Final = 0.05  # added to both means
WORK_SIZE: Final = 256  # grid on which previews are compared
SMEARED, STRETCHED = 0.25, 0.45  # least scale of a motion's map: no texture is left, and all
SHRUNK, CROWDED = 2.5, 4.0  # largest scale: all of it, and none


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
    # float64: a + (x - a) is then x again after rounding to float32
    detail = preview_highres.astype(np.float64) - up(low, size)
    weight = (agreement(edited_lowres, low, size).astype(np.float64) * np.clip(visibility_highres, 0, 1))[..., None]
    return np.clip(up(edited_lowres, size) + weight * detail, 0, 1).astype(np.float32)


def sharpened(edited: NDArray[np.floating], preview: NDArray[np.floating], shown: NDArray[np.floating]) -> NDArray[np.float32]:
    """An edit (s, s, 3) with the preview's finest band in place of its own, where it shows what the preview shows; shown: (s, s) in [0, 1].

    A network that is not sure of a pixel predicts a softer picture than the photo. An edit that equals the preview is returned as it is.
    """
    return _with_band(edited, preview, FINEST_BAND, agreement(edited, preview, len(edited)) * np.clip(shown, 0, 1))


def restored(edited: NDArray[np.floating], preview: NDArray[np.floating], shown: NDArray[np.floating]) -> NDArray[np.float32]:
    """An edit (s, s, 3) with the preview in place of it where both show the same, in the edit's tones; shown: (s, s) in [0, 1].

    They do where they agree in all but structure finer than ALIKE_RADIUS: a network that is not sure where hairs lie draws their mean, and the photo
    shows some. Beside what they do not agree in nothing is restored: of an edge between the two only a line would be. In a face the network knows
    better than the preview where things lie, and they matter more than how sharp they are: not for faces. An edit that equals the preview is
    returned as it is.
    """
    side, difference = len(edited), np.asarray(preview - edited, np.float32)
    apart = gaussian(channel_mean(np.abs(gaussian(difference, ALIKE_RADIUS * side))), ALIKE_RADIUS / 2 * side)
    apart = maximum_filter(apart, 2 * round(UNLIKE_REACH * side) + 1)
    alike = np.clip((UNLIKE_ABOVE - apart) / (UNLIKE_ABOVE - ALIKE_BELOW), 0, 1)
    weight = gaussian(alike * np.clip(shown, 0, 1), UNLIKE_SOFT * side)[..., None]
    sure = weight**4  # what half agrees is an outline beside its place, and says nothing of tones
    near = gaussian(np.dstack([difference * sure, sure]), TONE_RADIUS * side)
    tone = near[..., :3] / (near[..., 3:] + TONE_LEAST)
    return np.clip(edited + weight * (difference - tone), 0, 1).astype(np.float32)


def with_lids(edited: NDArray[np.floating], preview: NDArray[np.floating], lids: NDArray[np.floating]) -> NDArray[np.float32]:
    """An edit (s, s, 3) with the preview's lashes, rims and folds where lids have closed; lids: (s, s) in [0, 1]. The colours stay the edit's.

    At the networks' size a row of lashes is a pixel thick, and few photos that they learned from show closed eyes: they leave a smear.
    """
    return _with_band(edited, preview, LID_BAND, lids)


def _with_band(
    edited: NDArray[np.floating], preview: NDArray[np.floating], sigma: float, weight: NDArray[np.floating]
) -> NDArray[np.float32]:
    """An edit (s, s, 3) with what of the preview is finer than a Gaussian of `sigma` sides in place of its own, by weight (s, s)."""
    difference = np.asarray(preview - edited, np.float32)
    band = difference - gaussian(difference, sigma * len(edited))
    return np.clip(edited + weight[..., None] * band, 0, 1).astype(np.float32)


def agreement(edited: NDArray[np.floating], preview: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """(size, size) in [0, 1]: how far an edit shows what the preview shows, both (s, s, 3).

    Nothing beside an edge of the preview that the edit has not: its detail is that edge's overshoot, a line along an outline that is elsewhere.
    """
    each = channel_mean(np.abs(edited - preview))
    difference = gaussian(each, AGREEMENT_RADIUS * len(edited))
    trust = np.clip((DISAGREE_ABOVE - difference) / (DISAGREE_ABOVE - AGREE_BELOW), 0, 1)
    edges = maximum_filter((each > EDGE).astype(np.float32), 2 * round(EDGE_REACH * len(edited)) + 1)
    trust *= np.clip(1 - gaussian(edges, EDGE_SOFT * len(edited)), 0, 1)
    return np.clip(resize_planes(trust[..., None], size, Image.Resampling.BILINEAR)[..., 0], 0, 1)


def shown_again(preview: NDArray[np.float32], moved: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, S) in [0, 1]: how far a preview shows what its motion alone would show; both (S, S, 3) in [0, 1].

    Another light is no difference: only edges count, relative to the local mean. What was painted, mirrored or drawn behind an opening has others.
    """
    size = len(preview)
    work = min(size, WORK_SIZE)
    both = resize_planes(np.concatenate([preview, moved], axis=-1), work, Image.Resampling.BOX)
    around = gaussian(both, LIGHT_RADIUS * work)
    relit = both[..., 3:] * (around[..., :3] + DARK) / (around[..., 3:] + DARK)
    difference = gaussian(channel_mean(np.abs(both[..., :3] - relit)), AGREEMENT_RADIUS * work)
    same = np.clip((OTHER_ABOVE - difference) / (OTHER_ABOVE - SAME_BELOW), 0, 1)
    return np.clip(resize_planes(same[..., None], size, Image.Resampling.BILINEAR)[..., 0], 0, 1)


def legible(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """(S, S) in [0, 1]: how far a motion (S, S, 2), in pixels, leaves fine texture a texture: it neither smears nor crowds it, nor folds."""
    size = len(flow)
    (xy, xx), (yy, yx) = np.gradient(flow[..., 0]), np.gradient(flow[..., 1])
    xx, yy = xx + 1, yy + 1
    determinant, total = xx * yy - xy * yx, xx * xx + xy * xy + yx * yx + yy * yy
    root = np.sqrt(np.maximum(total * total - 4 * determinant * determinant, 0))
    least, most = np.sqrt(np.maximum(total - root, 0) / 2), np.sqrt((total + root) / 2)  # singular values of the map p -> p + flow
    fine = smoothstep((least - SMEARED) / (STRETCHED - SMEARED)) * smoothstep((CROWDED - most) / (CROWDED - SHRUNK)) * (determinant > 0)
    small = gaussian(resize_planes(fine[..., None], min(size, WORK_SIZE), Image.Resampling.BOX)[..., 0], 1.0)
    return np.clip(resize_planes(small[..., None], size, Image.Resampling.BILINEAR)[..., 0], 0, 1)
