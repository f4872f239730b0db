"""From face parameters to pictures of the head: what the preview and the snapshot need, with everything that only depends on the head model kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from discontrolface.face.head import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.render.rig import PreviewRig
from discontrolface.render.shade import project
from discontrolface.render.snapshot import Snapshot, render_snapshot
from discontrolface.render.warp import Preview, View


@dataclass(frozen=True)
class Geometry:
    """A head model and its preview rig."""

    head: HeadModel
    rig: PreviewRig

    @classmethod
    def of(cls, head: HeadModel) -> Geometry:
        """Of a head model."""
        return cls(head, PreviewRig.of(head))

    @torch.no_grad()
    def view(self, parameters: FaceParameters) -> View:
        """The posed head in the crop, as the preview takes it."""
        p = parameters.tensors()
        vertices = self.head(p["shape"], p["expression"], p["pose"]).vertices
        return View(project(vertices, p["camera"])[0].numpy(), parameters.light, parameters.albedo)

    @torch.no_grad()
    def snapshot(self, parameters: FaceParameters, size: int, maps: Sequence[str], preview: Preview | None = None) -> Snapshot:
        """The control image (1, C, size, size) of one face; `preview` (at the same size) where the maps ask for it."""
        p = parameters.tensors()
        vertices = self.head(p["shape"], p["expression"], p["pose"]).vertices
        albedo = torch.tensor(parameters.albedo[self.head.region.astype(int)])[None]  # (1, V, 3): each vertex has its region's colour
        picture = visible = None
        if preview is not None:
            picture = torch.from_numpy(preview.image).permute(2, 0, 1)[None] * 2 - 1
            visible = torch.from_numpy(preview.visibility)[None, None]
        return render_snapshot(vertices, self.head.faces_tensor, p["camera"], p["light"], albedo, size, maps, picture, visible)
