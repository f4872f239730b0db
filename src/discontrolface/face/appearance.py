"""What the pixels of a face say against its being a live one before a camera: eyes and colour of stone, colours of a pen, the stripes of a screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from discontrolface.face.landmark_sets import LEFT_EYE, RIGHT_EYE
from discontrolface.face.regions import face_hull
from discontrolface.face.regions_of_faces import mesh_region
from discontrolface.geometry.affine import apply_affine, invert_affine, sample_affine
from discontrolface.geometry.shrink import by_pillow

if TYPE_CHECKING:
    from discontrolface.face.landmarks import Landmarks

SIDE: Final = 256  # pixels of the face that is looked at
MIDDLE: Final = 128  # pixels of its middle, where spectra and flat colours are looked for
LUMA: Final = np.array([0.2126, 0.7152, 0.0722])
FLAT: Final = 0.5  # levels: neighbours that differ by less are one colour
FINEST: Final = 14  # cycles over MIDDLE: coarser structure is the face's own
SHARP: Final = 0.6  # pixels of the photo a pixel here, below which stripes are not looked for: enlarged, JPEG's blocks are stripes
RING: Final = 4  # cycles: width of the rings of a spectrum
COLOURED: Final = 0.12  # spread of hues of a photo that has colours,
OWN_HUES: Final = 3.0  # and so many times that of a face whose lack of them says something
HUE_BLUR: Final = 2.0  # pixels: standard deviation of the blur under which hues are compared
INWARDS: Final = 0.85  # of the way from its middle to its outline a face is itself, and not what lies behind
DARK: Final = 40.0  # levels: shadows have no hue
SMALLEST_IRIS: Final = 2.0  # pixels of the photo, its radius: below, eyes show nothing
OPEN: Final = 0.12  # height of the eye's opening over its width: below, they are shut


@dataclass(frozen=True)
class Appearance:
    """eyes: how much brighter the white of the eyes is than the iris, of the face's contrast; None where eyes are shut or too small to say. Live eyes
    have 0.1 and more, those of most statues none. flat: 0..1, share of neighbouring pixels of one colour; skin has little, even filtered, a drawing
    much. stripes: the strongest wave in the picture's detail over the ordinary one of that fineness: 3 to 17 in photos (blocks of bad JPEG up to 40),
    34 and more where a screen's rows and columns show; 0 for faces too small to say. hues: how far the colours of the face lie apart, logarithms of
    red over green and of blue over green: live faces 0.12 and more, stone 0.02; None where the whole photo has hardly more, a black-and-white one."""

    eyes: float | None
    flat: float
    stripes: float
    hues: float | None = None


def appearance(image: NDArray[np.uint8], landmarks: Landmarks) -> Appearance:
    """Of one face of a photo (H, W, 3)."""
    region = mesh_region(landmarks.points)
    to_photo = region.to_photo(SIDE)
    face = sample_affine(image, to_photo, (SIDE, SIDE))
    grey = face @ LUMA
    low, high = np.percentile(grey[MIDDLE // 2 : -MIDDLE // 2, MIDDLE // 2 : -MIDDLE // 2], [2, 98])
    to_face = invert_affine(to_photo)
    points = apply_affine(to_face, landmarks.points[:, :2])
    eyes = None
    if landmarks.iris is not None:
        iris = apply_affine(to_face, landmarks.iris.reshape(-1, 2)).reshape(2, 5, 2)
        seen = [_white_over_iris(grey, points[list(ring)], iris[k], SIDE / region.side) for k, ring in enumerate((LEFT_EYE, RIGHT_EYE))]
        known = [value for value in seen if value is not None]
        eyes = float(np.mean(known)) / max(float(high - low), 1.0) if known else None
    left, top = np.clip(points.mean(0).astype(int) - MIDDLE // 2, 0, SIDE - MIDDLE)
    middle = grey[top : top + MIDDLE, left : left + MIDDLE]
    steps = np.hypot(np.diff(middle, axis=1)[:-1], np.diff(middle, axis=0)[:, :-1])
    large = region.side >= SHARP * SIDE
    hues = _hues(image, face, points)
    return Appearance(eyes, float((steps < FLAT).mean()), _strongest_wave(middle) if large else 0.0, hues)


def _hues(image: NDArray[np.uint8], face: NDArray[Any], points: NDArray[np.floating]) -> float | None:
    """Of a face (SIDE, SIDE, 3) within its points (N, 2), see `Appearance`."""
    middle = points.mean(axis=0)
    inner = face_hull(middle + INWARDS * (points - middle), SIDE)
    factor = max(1, max(image.shape[:2]) // SIDE)
    small = by_pillow(image, lambda plane: plane.reduce(factor))
    own, whole = _spread_of_hues(face, inner), _spread_of_hues(small, np.ones(small.shape[:2], bool))
    return None if own < COLOURED and whole < max(COLOURED, OWN_HUES * own) else own


def _spread_of_hues(picture: NDArray[Any], where: NDArray[np.bool_]) -> float:
    """Between the 2nd and the 98th percentile of the two logarithms, the larger; without shadows, whose colour is noise."""
    from scipy.ndimage import gaussian_filter

    values = gaussian_filter(picture.astype(np.float32), (HUE_BLUR, HUE_BLUR, 0))
    values = values[where & (values @ LUMA > DARK)]
    if len(values) < 16:
        return 0.0
    low, high = np.percentile(np.log(np.maximum(values[:, [0, 2]], 1) / np.maximum(values[:, [1]], 1)), [2, 98], axis=0)
    return float((high - low).max())


def _white_over_iris(grey: NDArray[np.float64], ring: NDArray[np.floating], iris: NDArray[np.floating], scale: float) -> float | None:
    """Levels by which the white of one eye is brighter than its iris. ring: (16, 2) its lids; iris: (5, 2); scale: pixels here over the photo's."""
    radius = float(np.hypot(*(iris[1:] - iris[0]).T).mean())
    opening = np.hypot(*(ring[11:14].mean(0) - ring[3:6].mean(0))) / max(float(np.hypot(*(ring[8] - ring[0]))), 1e-6)
    if radius < SMALLEST_IRIS * scale or opening < OPEN:
        return None
    rows, columns = np.indices(grey.shape) + 0.5
    lids = Image.new("1", grey.shape)
    ImageDraw.Draw(lids).polygon([(float(x), float(y)) for x, y in np.concatenate([ring[:9], ring[:8:-1]])], fill=1)
    inside = np.array(lids)
    distance = np.hypot(columns - iris[0, 0], rows - iris[0, 1])
    dark, white = inside & (distance < 0.7 * radius), inside & (distance > 1.2 * radius)
    if dark.sum() < 4 or white.sum() < 4:
        return None
    return float(grey[white].mean() - grey[dark].mean())


def _strongest_wave(picture: NDArray[np.float64]) -> float:
    """Of a square picture, over the median of its ring in the spectrum."""
    side = len(picture)
    window = np.hanning(side)
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2((picture - picture.mean()) * window[:, None] * window)))
    row, column = np.indices(spectrum.shape) - side // 2
    fineness = np.hypot(row, column)
    strongest = 0.0
    for first in range(FINEST, side // 2, RING):
        ring = spectrum[(fineness >= first) & (fineness < first + RING)]
        strongest = max(strongest, float(ring.max() / max(float(np.median(ring)), 1e-3)))
    return strongest
