"""Left and right exchanged: a snapshot of the mirrored head, and a picture in a backbone's own space."""

from __future__ import annotations

from torch import Tensor

from discontrolface.common.snapshot_spec import NORMAL_MAPS, SnapshotSpec
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.latent_diffae import LatentDiffAE


def mirrored_snapshot(image: Tensor, spec: SnapshotSpec) -> Tensor:
    """The snapshot (B, C, S, S) of the same head in a mirror: normals point the other way."""
    out = image.flip(-1)
    for name in NORMAL_MAPS:
        if name in spec:
            out[:, spec.slice(name).start].neg_()
    return out


def mirrored_picture(model: Backbone, x: Tensor) -> Tensor:
    """The mirror image of a picture in the backbone's space, in that space."""
    return model.mirrored(x) if isinstance(model, LatentDiffAE) else model.to_space(model.from_space(x).flip(-1))
