"""Pictures of faces as the networks see them, without a head model: the aligned crop of a photo, and pictures back to bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from discontrolface.common.images import Photo, load_photo
from discontrolface.common.pixels import to_float, to_uint8
from discontrolface.common.tensors import from_network, to_network
from discontrolface.face.crop import make_crop
from discontrolface.face.landmarks import FaceLandmarker


def aligned_picture(path: Path, size: int, landmarker: FaceLandmarker | None) -> tuple[Photo, Tensor]:
    """A photo, and the crop of its largest face as (1,3,size,size) in [-1, 1]. landmarker None: the picture is a crop already, only scaled."""
    photo = load_photo(path)
    if landmarker is None:
        crop = np.asarray(Image.fromarray(photo.array).resize((size, size), Image.Resampling.LANCZOS))
    else:
        crop = make_crop(photo.array, landmarker.find_face(photo.array, source=str(path)), size).image
    return photo, to_network(to_float(crop))


def to_images(pictures: Tensor) -> list[Image.Image]:
    """(B,3,H,W) in [-1, 1] as PIL images."""
    return [Image.fromarray(to_uint8(from_network(picture[None]))) for picture in pictures]
