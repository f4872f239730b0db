"""Training pairs from one photo: the photo itself, or the photo and a warp of it to another look. For one-shot fine-tuning and training on photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.common.snapshot_spec import SnapshotSpec
from discontrolface.face.geometry import Geometry
from discontrolface.face.parameters import FaceParameters
from discontrolface.render.source import PreviewSource, prepare_source
from discontrolface.render.warp import Preview, preview_of, render_preview

PHOTO_AS_TARGET = 0.7  # share of the warp pairs in which the photo is the target


@dataclass(frozen=True)
class Look:
    """A pair. source, target: (H, W, 3) in [0, 1]; parameters and preview: of the target; weight: (H, W), how much its pixels count."""

    source: NDArray[np.float32]
    source_parameters: FaceParameters
    target: NDArray[np.float32]
    parameters: FaceParameters
    preview: Preview
    weight: NDArray[np.float32]


def own_look(photo: NDArray[np.float32], parameters: FaceParameters) -> Look:
    """The paper's pair: the photo is source and target, so the preview is the photo."""
    still = Preview.unchanged(photo)
    return Look(photo, parameters, photo, parameters, still, still.visibility)


def warped_looks(
    photo: NDArray[np.float32], parameters: FaceParameters, geometry: Geometry, look: FaceParameters, source: PreviewSource | None = None
) -> tuple[Look, Look]:
    """(photo as the target, warp as the target). source: the photo, read for previews, where more than one look of it is made.

    Back: a warp is the source, and its preview is the warp of the warp, with real holes (a cheek that the warp hid, an opened mouth that it shut);
    the true pixels to fill them with are the photo's own. Forth: a warp is the target, as an edit will be; only pixels that the photo showed count.
    """
    here, there = geometry.view(parameters), geometry.view(look)
    warp = preview_of(source or prepare_source(photo, here, geometry.rig), there)
    home = render_preview(warp.image, there, here, geometry.rig)
    back = Look(warp.image, look, photo, parameters, home, np.ones_like(warp.visibility))
    return back, Look(photo, parameters, warp.image, look, warp, warp.visibility)


def hide_preview(snapshot: Tensor, spec: SnapshotSpec, mask: Tensor) -> Tensor:
    """The snapshot (B,S,H,W) without what it shows of the photo where `mask` (B,1,H,W) is true: preview, visibility and source 0 there.

    For pairs in which the photo is its own target: what is hidden from the encoder would else be copied from the preview, and nothing be learned.
    """
    shown = (~mask).to(snapshot)
    parts = [
        snapshot[:, spec.slice(m)] * shown if m in ("preview", "visibility", "source") else snapshot[:, spec.slice(m)] for m in spec.maps
    ]
    return torch.cat(parts, 1)
