"""The aligned crop that the networks see: FFHQ's oriented square, as a similarity of the photo with an exact inverse.

FFHQ's formula (Karras et al. 2019; appendix C of the PGGAN paper): an oriented square from the centres of the eyes and the corners of the mouth.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from discontrolface.face.landmark_sets import IBUG_68, MOUTH_CORNERS
from discontrolface.face.landmarks import Landmarks
from discontrolface.geometry.affine import affine_scale, apply_affine, invert_affine, sample_affine


@dataclass(frozen=True)
class Crop:
    """An aligned square of a photo. image: (S, S, 3) uint8; photo_to_crop: (2, 3) float64 similarity between continuous pixel
    coordinates; photo: (H, W, 3) uint8, the whole picture (not a copy)."""

    image: NDArray[np.uint8]
    photo_to_crop: NDArray[np.float64]
    photo: NDArray[np.uint8]

    @property
    def size(self) -> int:
        """Side S in pixels."""
        return self.image.shape[0]

    @property
    def scale(self) -> float:
        """Crop pixels per photo pixel."""
        return affine_scale(self.photo_to_crop)

    @property
    def native_size(self) -> int:
        """The size at which a crop pixel is as large as a photo pixel."""
        return max(1, round(self.size / self.scale))

    @cached_property
    def crop_to_photo(self) -> NDArray[np.float64]:
        """(2, 3), the inverse of photo_to_crop."""
        return invert_affine(self.photo_to_crop)

    @cached_property
    def beyond(self) -> NDArray[np.bool_]:
        """(S, S): what lies outside the photo."""
        return distance_beyond(self.photo.shape, self.photo_to_crop, self.size) > 0

    def to_crop(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Photo pixels (..., 2) to crop pixels."""
        return apply_affine(self.photo_to_crop, points)

    def to_photo(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Crop pixels (..., 2) to photo pixels."""
        return apply_affine(self.crop_to_photo, points)

    def resize(self, size: int) -> "Crop":
        """The same square at another size, sampled from the photo again."""
        return self if size == self.size else cut_square(self.photo, self.photo_to_crop * (size / self.size), size)


def ffhq_square(points: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre (2,) and half x axis (2,) of FFHQ's square from mesh points (468, 2 or 3), in the points' pixels.

    The half y axis is the half x axis turned by 90 degrees (clockwise in the picture). FFHQ: the x axis is the mean direction of the
    line of the eyes and the line across eyes to mouth; its half length the larger of 2 x the eyes' distance and 1.8 x eyes to mouth;
    the centre lies a tenth of the way from the eyes to the mouth.
    """
    xy = np.asarray(points, dtype=np.float64)[:, :2]
    right_eye, left_eye = xy[list(IBUG_68[36:42])].mean(axis=0), xy[list(IBUG_68[42:48])].mean(axis=0)
    eyes, mouth = (right_eye + left_eye) / 2, xy[list(MOUTH_CORNERS)].mean(axis=0)
    across, down = left_eye - right_eye, mouth - eyes
    axis = across + np.array([down[1], -down[0]])  # down, turned to point across
    length = float(np.hypot(*axis))
    if length < 1e-6:
        axis, length = np.array([1.0, 0.0]), 1.0
    half = max(2.0 * float(np.hypot(*across)), 1.8 * float(np.hypot(*down)), 1.0)
    return eyes + 0.1 * down, axis / length * half


def make_crop(photo: NDArray[np.uint8], landmarks: Landmarks, size: int) -> Crop:
    """FFHQ's crop of a face at size x size pixels. photo: (H, W, 3) uint8; landmarks in photo pixels."""
    centre, x_axis = ffhq_square(landmarks.points)
    y_axis = np.array([-x_axis[1], x_axis[0]])
    crop_to_photo = np.stack([2 / size * x_axis, 2 / size * y_axis, centre - x_axis - y_axis], axis=1)
    return cut_square(photo, invert_affine(crop_to_photo), size)


def cut_square(photo: NDArray[np.uint8], photo_to_crop: NDArray[np.float64], size: int) -> Crop:
    """The crop that a similarity (2, 3) defines. What lies beyond the photo is the photo mirrored, ever softer, towards one colour
    with the distance, as in FFHQ; the photo's own pixels are not softened (FFHQ's are, near the border)."""
    matrix = np.asarray(photo_to_crop, dtype=np.float64)
    image = sample_affine(photo, invert_affine(matrix), (size, size), fine=True, mirror=True)
    beyond = distance_beyond(photo.shape, matrix, size)
    if beyond.max() > 0:
        image = _soften(image, beyond / size)
    return Crop(np.ascontiguousarray(image), matrix, photo)


def distance_beyond(shape: tuple[int, ...], photo_to_crop: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(size, size): how far each crop pixel's centre lies outside a photo of that shape, in crop pixels; 0 inside."""
    centres = np.arange(size) + 0.5
    where = apply_affine(invert_affine(photo_to_crop), np.stack(np.meshgrid(centres, centres), axis=-1))
    outside = np.maximum(np.maximum(-where, where - np.array([shape[1], shape[0]])), 0).max(axis=-1)
    return np.asarray(outside * affine_scale(photo_to_crop))


def _soften(image: NDArray[np.uint8], beyond: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Blur from 0 to full within a tenth of the side beyond the border, the median colour from 0 to full within three tenths."""
    from scipy.ndimage import gaussian_filter

    sigma = 0.02 * image.shape[0]
    values = image.astype(np.float32)
    blurred = np.stack([gaussian_filter(values[..., c], sigma, mode="nearest") for c in range(3)], axis=-1)
    median = np.median(values[beyond == 0] if (beyond == 0).any() else values.reshape(-1, 3), axis=0)
    values += (blurred - values) * np.clip(beyond / 0.1, 0, 1)[..., None].astype(np.float32)
    values += (median.astype(np.float32) - values) * np.clip(beyond / 0.3, 0, 1)[..., None].astype(np.float32)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def landmarks_in_crop(crop: Crop, landmarks: Landmarks) -> tuple[NDArray[np.floating], NDArray[np.floating] | None]:
    """Points (468, 3) and iris (2, 5, 2) in pixels of the crop, as `read_face` takes them. landmarks: in photo pixels."""
    points = np.concatenate([crop.to_crop(landmarks.points[:, :2]), landmarks.points[:, 2:] * crop.scale], 1)
    return points, None if landmarks.iris is None else crop.to_crop(landmarks.iris)
