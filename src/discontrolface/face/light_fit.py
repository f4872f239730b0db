"""Light and colours of a face, from the pixels of its visible skin.

    picture(pixel) ~ albedo[region of the pixel] * sum_k light[k] Y_k(normal of the pixel)

The geometry is known (fit.py). One skin colour and a light are fitted to skin that faces the camera, by reweighted least squares: hair over
the forehead, spectacles, cast shadows, highlights and stubble are far from what the rest says and lose their weight. Then every region gets
the colour that the light leaves.

A brighter light and a darker skin give the same picture, and so do a tinted light and a tinted skin. Convention: the light makes a face 1 bright
on average in each channel (`render.shade.mean_face_shading`), so overall brightness and tint of the photo are in the albedo, and light holds
where it comes from, how hard it is, and the tint of one side against the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.face.colours import region_colours
from discontrolface.geometry.cameras import project
from discontrolface.geometry.meshes import vertex_normals
from discontrolface.render.raster import interpolate, rasterize
from discontrolface.render.shade import SH_CONSTANTS, mean_face_shading, sh_basis

if TYPE_CHECKING:
    from discontrolface.face.heads.base import HeadModel
    from discontrolface.face.parameters import FaceParameters

Array = NDArray[np.float64]

WORK_SIZE: Final = 128  # pixels that the fit looks at
ROUNDS: Final = 12  # of reweighting
LEAST_PIXELS: Final = 60  # of skin; with fewer the light is even
FACING: Final = 0.25  # least z of a normal that is used
# Ridge on the coefficients of the shading relative to the skin's colour (mean 1), per pixel.
RIDGE: Final = np.array([1e-6] + [0.0005] * 8)
TINT_RIDGE: Final = 0.02  # on what a channel does unlike the mean of the three
LIT_REGIONS: Final = ("skin",)  # what the light is read from
COVERED_REGIONS: Final = ("neck", "ears")  # often under clothes or hair: skin, unless they look like it
HIDDEN_REGIONS: Final = (
    "mouth_inside",
    "upper_teeth",
    "lower_teeth",
    "tongue",
)  # small, and lips or teeth lie where the fit has them: plain
LEAST_REGION_PIXELS: Final = 12


@dataclass(frozen=True)
class LightFit:
    """light (9, 3), albedo (R, 3) as in FaceParameters. `weights` (WORK_SIZE, WORK_SIZE) in [0, 1]: the skin that was believed.
    `residual`: median of |picture - albedo * shading| over that skin, all channels."""

    light: NDArray[np.float32]
    albedo: NDArray[np.float32]
    weights: NDArray[np.float32]
    residual: float


@dataclass(frozen=True)
class _Pixels:
    """Pixels of the head: colour (N, 3), roughness (N,), normal (N, 3), region (N,), place (N,) in the flattened picture."""

    colour: Array
    roughness: Array
    normal: Array
    region: NDArray[np.intp]
    place: NDArray[np.intp]


def fit_light(crop: NDArray[np.floating], head: HeadModel, parameters: FaceParameters) -> LightFit:
    """Fit the light and a colour per region to a crop (H, W, 3) in [0, 1] whose geometry is in `parameters` (its light and albedo are not read).

    Regions that the crop does not show get a plain colour that goes with the skin (colours.py).
    Raises UserError for a crop of another form.
    """
    picture = np.asarray(crop, np.float64)
    if picture.ndim != 3 or picture.shape[2] != 3 or not np.isfinite(picture).all():
        raise UserError(f"the crop must be a finite (height, width, 3) picture in [0, 1], not {picture.shape}")
    pixels = _head_pixels(_resized(picture, WORK_SIZE), head, parameters)
    lit = np.isin(pixels.region, [i for i, name in enumerate(head.region_names) if name in LIT_REGIONS])
    lit &= pixels.normal[:, 2] > FACING
    weight = np.zeros(len(lit))
    skin, relative, weight[lit] = _skin_shading(pixels, lit)
    scale = np.maximum(_mean_shading(relative), 0.2)  # (3,)
    light, skin = relative / scale, skin * scale
    shading = np.maximum(_basis(pixels.normal) @ light, 0.05)
    albedo = _region_albedo(pixels, shading, skin, head.region_names)
    believed = np.zeros(WORK_SIZE * WORK_SIZE, np.float32)
    believed[pixels.place] = weight
    error = np.abs(pixels.colour - albedo[pixels.region] * shading)[weight > 0.5]
    return LightFit(
        light.astype(np.float32),
        albedo,
        believed.reshape(WORK_SIZE, WORK_SIZE),
        float(np.median(error)) if len(error) else float("nan"),
    )


def fit_lights(crops: Sequence[NDArray[np.floating]], head: HeadModel, parameters: Sequence[FaceParameters]) -> list[LightFit]:
    """`fit_light` for several faces, one after the other (a few milliseconds each)."""
    return [fit_light(crop, head, face) for crop, face in zip(crops, parameters, strict=True)]


# ---- parts


def _skin_shading(pixels: _Pixels, lit: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """The skin's colour (3,), the shading's coefficients relative to it (9, 3), and how far each lit pixel was believed (N,)."""
    colour, facing, basis = pixels.colour[lit], pixels.normal[lit, 2], _basis(pixels.normal[lit])
    even = np.zeros((9, 3))
    even[0] = 1 / _constants()[0]
    if len(colour) < LEAST_PIXELS:
        return region_colours(["skin"])[0].astype(np.float64), even, np.zeros(len(colour))
    core = facing > np.quantile(facing, 0.6)
    skin = np.maximum(np.median(colour[core], axis=0), 0.02)
    trust = _like_skin(colour, skin, _hue_spread(colour[core], skin)) * facing
    roughness = pixels.roughness[lit]
    smooth = max(float(np.median(roughness[core])), 0.01)
    trust = trust * np.clip(2.5 - roughness / smooth, 0, 1)  # hair of the skin's colour has a grain that skin has not
    unclipped = colour.max(1) < 0.995  # where a channel is clipped the shading is not known
    if unclipped.mean() > 0.5:
        trust = trust * unclipped
    trust = trust * _largest_patch(trust > 0.15, pixels.place[lit])  # a fringe cuts the hair above it off
    if trust.sum() < LEAST_PIXELS / 4:
        return skin, even, np.zeros(len(colour))
    skin = np.maximum(np.array([_weighted_median(colour[:, c], trust) for c in range(3)]), 0.02)
    relative = colour / skin
    robust = np.ones(len(colour))
    coefficients = even
    for _ in range(ROUNDS):
        w = trust * robust
        coefficients = _ridge(basis, relative, w / w.sum())
        distance = np.abs(relative - basis @ coefficients).max(1)
        spread = max(1.48 * _weighted_median(distance, trust), 0.02)
        robust = np.clip(1 - (distance / (3 * spread)) ** 2, 0, None) ** 2  # Tukey's biweight
    return skin, coefficients, robust * np.minimum(trust / facing, 1)


def _ridge(basis: Array, relative: Array, weight: Array) -> Array:
    """Coefficients (9, 3): the mean of the channels, and what each does otherwise, which is held more."""
    weighted = basis * weight[:, None]
    normal = weighted.T @ basis
    grey = relative.mean(1, keepdims=True)
    mean = np.linalg.solve(normal + np.diag(RIDGE), weighted.T @ grey)
    tint = np.diag(RIDGE + np.where(np.arange(9) > 0, TINT_RIDGE, 0))
    return mean + np.linalg.solve(normal + tint, weighted.T @ (relative - grey))


def _hue(colour: Array, skin: Array) -> Array:
    """(N,) distance of colours (N, 3) from the skin's (3,), whatever their brightness."""
    grey = np.maximum(colour.mean(1, keepdims=True), 1e-3)
    return np.abs(colour / grey - skin / skin.mean()).max(1)


def _hue_spread(colour: Array, skin: Array) -> float:
    """How far the hue of skin wanders in this picture."""
    return max(1.48 * float(np.median(_hue(colour, skin))), 0.03) if len(colour) else 0.03


def _like_skin(colour: Array, skin: Array, spread: float) -> Array:
    """(N,) 1 for the skin's hue at 0.5 to 2 times its brightness, falling to 0 away from it."""
    brightness = np.abs(np.log(np.maximum(colour.mean(1), 1e-3) / skin.mean())) / np.log(2.2)
    return np.clip(2 - _hue(colour, skin) / spread, 0, 1) * np.clip(1.8 - brightness, 0, 1)


def _largest_patch(believed: NDArray[np.bool_], place: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(N,) which of the pixels lie in the largest connected patch of those believed."""
    from scipy.ndimage import label

    grid = np.zeros(WORK_SIZE * WORK_SIZE, bool)
    grid[place[believed]] = True
    patches = label(grid.reshape(WORK_SIZE, WORK_SIZE))[0].reshape(-1)
    sizes = np.bincount(patches)
    sizes[0] = 0
    return (patches[place] == sizes.argmax()) & believed


def _region_albedo(pixels: _Pixels, shading: Array, skin: Array, names: Sequence[str]) -> NDArray[np.float32]:
    """(R, 3): the median colour under the light of what is seen of each region."""
    albedo = region_colours(names, np.clip(skin, 0, 1)).astype(np.float64)
    flat = pixels.colour / shading
    spread = _hue_spread(pixels.colour[np.isin(pixels.region, [list(names).index(n) for n in LIT_REGIONS if n in names])], skin)
    for i, name in enumerate(names):
        if name in LIT_REGIONS:
            albedo[i] = skin
        if name in (*LIT_REGIONS, *HIDDEN_REGIONS):
            continue
        seen = (pixels.region == i) & (pixels.normal[:, 2] > 0.15)
        if name in COVERED_REGIONS:
            seen &= _like_skin(pixels.colour, skin, spread) > 0.5
        if seen.sum() >= LEAST_REGION_PIXELS:
            albedo[i] = np.median(flat[seen], axis=0)
    return np.clip(albedo, 0.01, 1).astype(np.float32)


def _head_pixels(picture: Array, head: HeadModel, parameters: FaceParameters) -> _Pixels:
    """What of the head the camera sees, with colours of the picture (size, size, 3)."""
    tensors = parameters.tensors()
    with torch.no_grad():
        vertices = head(tensors["shape"], tensors["expression"], tensors["pose"]).vertices
        ndc = project(vertices, tensors["camera"])[0].numpy()
        normals = vertex_normals(vertices, head.faces_tensor)[0].numpy()
    height, width = picture.shape[:2]
    raster = rasterize(ndc, head.faces, height, width)
    place = np.flatnonzero(raster.mask)
    normal = interpolate(raster, normals, head.faces).reshape(-1, 3)[place].astype(np.float64)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    corners = head.faces[raster.triangle.reshape(-1)[place]]
    nearest = raster.barycentric.reshape(-1, 3)[place].argmax(1)
    region = head.region[corners[np.arange(len(place)), nearest]]
    return _Pixels(picture.reshape(-1, 3)[place], _roughness(picture).reshape(-1)[place], normal, region.astype(np.intp), place)


def _roughness(picture: Array) -> Array:
    """(H, W) how much brightness changes within 5 x 5 pixels beyond a slope, relative to its mean."""
    from scipy.ndimage import gaussian_filter, uniform_filter

    grey = picture.mean(2)
    fine = grey - gaussian_filter(grey, 1.5)
    return np.sqrt(np.maximum(uniform_filter(fine**2, 5), 0)) / np.maximum(uniform_filter(grey, 5), 0.02)


def _basis(normals: Array) -> Array:
    """(N, 9) spherical harmonics of normals (N, 3)."""
    return sh_basis(torch.from_numpy(normals)).numpy()


def _mean_shading(light: Array) -> Array:
    return mean_face_shading(torch.from_numpy(light)).numpy()


def _constants() -> tuple[float, ...]:
    return SH_CONSTANTS


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _resized(picture: Array, size: int) -> Array:
    """(size, size, 3): means over the pixels that fall together where it gets smaller, the nearest pixel where it gets larger."""
    height, width = picture.shape[:2]
    if height % size == 0 and width % size == 0:
        return picture.reshape(size, height // size, size, width // size, 3).mean((1, 3))
    from PIL import Image

    channels = [Image.fromarray(picture[..., c].astype(np.float32)).resize((size, size), Image.Resampling.BOX) for c in range(3)]
    return np.stack([np.asarray(channel, np.float64) for channel in channels], -1)
