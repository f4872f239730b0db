"""DECA's crop of a photo, and how codes that were read in it move to another crop of the same photo."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from discontrolface.common.errors import UserError
from discontrolface.common.pixels import to_float
from discontrolface.face.landmark_sets import IBUG_68
from discontrolface.face.regress import INPUT_SIZE
from discontrolface.geometry.affine import apply_affine, invert_affine
from discontrolface.geometry.rotations import about_z, to_axis_angle, to_matrix
from discontrolface.render.shade import rotate_sh

BOX_FACTOR: Final = 1.1  # DECA's `bbox2point` for landmarks
CROP_SCALE: Final = 1.25
# DECA compares its projection with landmarks counted in whole pixels, whose centres our coordinates have at +0.5 (docs/conventions.md).
HALF_PIXEL: Final = 0.5


def deca_crop(points: NDArray[np.floating], size: int = INPUT_SIZE, scale: float = CROP_SCALE) -> NDArray[np.float64]:
    """`photo_to_crop` (2, 3) between continuous pixel coordinates, from landmarks in the photo: the 468 of MediaPipe or the 68 of iBUG.

    The square around the box of the 68 landmarks, (width + height) / 2 * 1.1 * 1.25 wide, without rotation (DECA's `TestData`).
    Raises UserError for landmarks of another kind.
    """
    xy = np.asarray(points, np.float64)[:, :2]
    if len(xy) in (468, 478):
        xy = xy[list(IBUG_68)]
    if len(xy) != 68 or not np.isfinite(xy).all():
        raise UserError(f"DECA's crop needs 68 or 468 landmarks, not {len(points)}, all finite")
    low, high = xy.min(0), xy.max(0)
    side = int((high - low).sum() / 2 * BOX_FACTOR * scale)
    if side < 2:
        raise UserError("the landmarks lie in one place; detect them again")
    zoom = (size - 1) / side  # the square's corners go to the centres of the corner pixels
    shift = HALF_PIXEL - zoom * ((low + high) / 2 - side / 2)
    return np.array([[zoom, 0.0, shift[0]], [0.0, zoom, shift[1]]])


def cut_deca(photo: NDArray[np.uint8], photo_to_crop: NDArray[np.floating], size: int = INPUT_SIZE) -> Tensor:
    """The crop as the encoders take it: (1, 3, size, size) in [0, 1]. photo: (H, W, 3) uint8.

    Plain bilinear sampling, black beyond the photo, as the official code does it (also where it aliases: the encoders were trained so).
    """
    height, width = photo.shape[:2]
    centres = np.arange(size) + 0.5
    grid = np.stack(np.meshgrid(centres, centres), -1)
    where = apply_affine(invert_affine(photo_to_crop), grid) / [width, height] * 2 - 1
    image = torch.from_numpy(to_float(photo)).permute(2, 0, 1)[None]
    return grid_sample(image, torch.from_numpy(where).float()[None], align_corners=False)


def move_camera(
    pose: NDArray[np.floating],  # (5, 3)
    camera: NDArray[np.floating],  # (3,) in the crop of `from_size` pixels
    light: NDArray[np.floating],  # (9, 3)
    root: NDArray[np.floating],  # (3,) the head's root joint at rest
    affine: NDArray[np.floating],  # (2, 3) similarity, pixels of the one crop to pixels of the other
    from_size: int,
    to_size: int,
    from_offset: float = 0.0,  # pixels that the one crop's projection lies to the left of and above our convention: DECA's HALF_PIXEL
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """(pose, camera, light) that show the same head, at the same place and in the same light, in another crop of the photo.

    A turn between the crops goes to the global joint, about its root, and turns the light along.
    """
    linear = np.asarray(affine, np.float64)[:, :2]
    zoom = math.sqrt(abs(float(np.linalg.det(linear))))
    if not np.allclose(linear @ linear.T, zoom**2 * np.eye(2), atol=1e-3 * zoom**2) or np.linalg.det(linear) <= 0:
        raise UserError("the two crops differ by more than a rotation, a scale and a shift")
    flip = np.diag([1.0, -1.0])
    turn2 = flip @ (linear / zoom) @ flip  # in a picture whose y points up
    turn = about_z(math.atan2(turn2[1, 0], turn2[0, 0]))
    scale = float(camera[0]) * zoom * from_size / to_size
    middle = apply_affine(affine, np.full(2, from_size / 2 + from_offset))  # where ndc 0 of the one crop lies in the other
    offset = np.array([middle[0] / to_size * 2 - 1, 1 - middle[1] / to_size * 2])
    pivot = np.asarray(root, np.float64)
    shift = turn[:2, :2] @ np.asarray(camera[1:], np.float64) + offset / scale + (turn @ pivot - pivot)[:2]
    new_pose = np.array(pose, np.float32)
    new_pose[0] = to_axis_angle(turn @ to_matrix(pose[0]))
    new_light = np.asarray(light, np.float32)
    if not np.allclose(turn, np.eye(3), atol=1e-9):
        new_light = rotate_sh(torch.from_numpy(np.array(light, np.float64)), torch.from_numpy(turn)).float().numpy()
    return new_pose, np.array([scale, *shift], np.float32), new_light
