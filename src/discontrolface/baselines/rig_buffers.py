"""The physical buffers that DiffusionRig sees of a face, the same ones in training on an album and in an edit."""

from __future__ import annotations

from torch import Tensor

from discontrolface.common.snapshot_spec import SnapshotSpec
from discontrolface.face.deca_buffers import deca_buffers
from discontrolface.face.geometry import DetailGeometry, Geometry
from discontrolface.face.parameters import FaceParameters
from discontrolface.nets.diffusion_rig import physical_buffers


def rig_buffers(geometry: Geometry, parameters: FaceParameters, size: int, spec: SnapshotSpec) -> Tensor:
    """(1, 9, size, size): Lambertian, normals, albedo. spec: of the network.

    Where DECA's or EMOCA's codes of the person and FLAME's texture space are there, as DECA draws them, without wrinkles as officially; else from the
    maps of a snapshot, with a colour a region. UserError for another head model than the network's.
    """
    if isinstance(geometry, DetailGeometry) and geometry.face.texture is not None and spec.head == parameters.head:
        p, texture = parameters.tensors(), geometry.face.texture(geometry.codes.tex[:1].cpu()).clamp(0, 1)
        return deca_buffers(geometry.head, geometry.vertices(parameters), p["camera"], p["light"], texture, size)
    snapshot = geometry.coarse().snapshot(parameters, size, spec.maps)
    spec.check(snapshot.spec, "this DiffusionRig", "give --preset paper for the official weights, or train it on that head model")
    return physical_buffers(snapshot.image)
