"""What GIF sees of a face: FLAME, textured and shaded, and its normals."""

from __future__ import annotations

import torch
from torch import Tensor

from discontrolface.baselines.rig_buffers import rig_buffers
from discontrolface.common.errors import UserError
from discontrolface.common.snapshot_spec import SnapshotSpec
from discontrolface.face.geometry import Geometry
from discontrolface.face.parameters import FaceParameters
from discontrolface.nets.diffusion_rig import MAPS

HEAD = "flame"


def gif_condition(geometry: Geometry, parameters: FaceParameters, size: int) -> Tensor:
    """(1,6,size,size) in [-1, 1]: the textured rendering, then the normals; both -1 off the head.

    As GIF's training pictures were made (`create_deca_rendered_lmdb.py`): DECA's rendering without wrinkles, and of the normals only what is positive
    (leftwards, downwards and backwards are all 0), both in 8 bits. UserError for another head model than FLAME.
    """
    if parameters.head != HEAD:
        raise UserError(
            f"GIF sees renderings of FLAME, not of head model {parameters.head!r}; give --preset paper, or leave this method out"
        )
    buffers = rig_buffers(geometry, parameters, size, SnapshotSpec(HEAD, MAPS))  # Lambertian, normals, albedo
    return torch.floor(buffers[:, :6].clamp(0, 1) * 255) / 127.5 - 1
