"""From face parameters to pictures of the head: what the preview and the snapshot need, with everything that only depends on the head model kept.

`Geometry` draws any head model. `DetailGeometry` draws FLAME with one person's wrinkles: DECA's detail, in the expression of the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface import render  # its names load when they are used: reading needs no preview
from discontrolface.common.tensors import to_network
from discontrolface.face.heads.base import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.cameras import ndc_to_pixels, project
from discontrolface.render.snapshot import Snapshot, render_snapshot

if TYPE_CHECKING:
    from discontrolface.face.paper import PaperFace
    from discontrolface.face.regress import Codes
    from discontrolface.render.rig import PreviewRig
    from discontrolface.render.warp import Preview, View


class SourceLook(NamedTuple):
    """The picture that an edit starts from, (S, S, 3) in [0, 1], and its face parameters; normals: (1, 3, S, S) of that head, if drawn before."""

    picture: NDArray[np.float32]
    parameters: FaceParameters
    normals: torch.Tensor | None = None


class Surface(NamedTuple):
    """A triangle mesh in view space: vertices (V, 3) metres, faces (F, 3), uv (T, 2) with v up, faces_uv (F, 3); None without texture coordinates."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32] | None
    faces_uv: NDArray[np.int32] | None


@dataclass(frozen=True)
class Geometry:
    """A head model and its preview rig."""

    head: HeadModel

    @cached_property
    def rig(self) -> PreviewRig:
        """What previews need of the head model alone; made when the first preview is."""
        return render.PreviewRig.of(self.head)

    @property
    def label(self) -> str:
        """What draws the snapshots: the head model's name, and `+detail` where wrinkles are drawn."""
        return self.head.name

    def coarse(self) -> Geometry:
        """The same head without anybody's wrinkles."""
        return self

    @torch.no_grad()
    def vertices(self, parameters: FaceParameters) -> torch.Tensor:
        """(1, V, 3) the posed head in view space, metres."""
        p = parameters.tensors()
        return self.head(p["shape"], p["expression"], p["pose"]).vertices

    def view(self, parameters: FaceParameters, vertices: torch.Tensor | None = None) -> View:
        """The posed head in the crop, as the preview takes it. vertices: `vertices(parameters)`, if computed before."""
        vertices = self.vertices(parameters) if vertices is None else vertices
        return render.View(project(vertices, parameters.tensors()["camera"])[0].numpy(), parameters.light, parameters.albedo)

    def snapshot(
        self,
        parameters: FaceParameters,
        size: int,  # pixels
        maps: Sequence[str],
        preview: Preview | None = None,  # at the same size, where the maps ask for it
        vertices: torch.Tensor | None = None,  # `vertices(parameters)`, if computed before
        source: SourceLook | None = None,  # at the same size, where the maps ask for it
    ) -> Snapshot:
        """The control image (1, C, size, size) of one face."""
        p = parameters.tensors()
        albedo = torch.tensor(parameters.albedo[self.head.region.astype(int)])[None]  # (1, V, 3): each vertex has its region's colour
        vertices = self.vertices(parameters) if vertices is None else vertices
        given = self.given_maps(size, maps, preview, source)
        return render_snapshot(vertices, self.head.faces_tensor, p["camera"], p["light"], albedo, size, maps, given, self.head.name)

    def given_maps(self, size: int, maps: Sequence[str], preview: Preview | None, source: SourceLook | None) -> dict[str, torch.Tensor]:
        """The maps of a snapshot that do not show the target's head, (1, C, size, size) each, as far as `maps` asks for them and they are known."""
        given: dict[str, torch.Tensor] = {}
        if preview is not None:
            given |= {"preview": to_network(preview.image), "visibility": torch.from_numpy(preview.visibility)[None, None]}
        if source is not None and "source" in maps:
            given["source"] = to_network(source.picture)
        if source is not None and "source_normals" in maps:
            drawn = source.normals
            given["source_normals"] = self.snapshot(source.parameters, size, ("normals",)).image if drawn is None else drawn
        return given

    @torch.no_grad()
    def landmarks(self, parameters: FaceParameters, size: int) -> NDArray[np.float64]:
        """(L, 3): where the head model has its landmarks, in pixels of a crop of `size`; z in the same scale, smaller is nearer."""
        p = parameters.tensors()
        points = project(self.head(p["shape"], p["expression"], p["pose"]).landmarks_3d, p["camera"])  # (1, L, 3) ndc
        flat = ndc_to_pixels(points, size, size)
        return torch.cat([flat, -size / 2 * points[..., 2:]], -1)[0].numpy().astype(np.float64)

    def surface(self, parameters: FaceParameters) -> Surface:
        """The posed head as a mesh."""
        head = self.head
        return Surface(self.vertices(parameters)[0].numpy(), head.faces, head.uv, head.faces_uv)


@dataclass(frozen=True)
class DetailGeometry(Geometry):
    """FLAME with the wrinkles of the person whose codes these are."""

    plain: Geometry  # the same head without wrinkles, which keeps the rig
    face: PaperFace
    codes: Codes

    @cached_property
    def rig(self) -> PreviewRig:
        return self.plain.rig

    @property
    def label(self) -> str:
        return f"{self.head.name}+detail"

    def coarse(self) -> Geometry:
        return self.plain

    def snapshot(
        self,
        parameters: FaceParameters,
        size: int,
        maps: Sequence[str],
        preview: Preview | None = None,
        vertices: torch.Tensor | None = None,
        source: SourceLook | None = None,
    ) -> Snapshot:
        return self.face.snapshot(parameters, size, maps, self.codes, self.given_maps(size, maps, preview, source), vertices)

    def surface(self, parameters: FaceParameters) -> Surface:
        """With the wrinkles: every triangle in 16, displaced."""
        if self.face.detail is None:
            return super().surface(parameters)
        mesh = self.face.detail.mesh(self.vertices(parameters)[0], self.face.displacement(parameters, self.codes)[0])
        return Surface(mesh.vertices, mesh.faces, mesh.uv, mesh.faces_uv)
