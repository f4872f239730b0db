"""A person: one photo, its crop, its face parameters, and, after one-shot fine-tuning, personal weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from discontrolface import render  # its names load when they are used: reading needs no preview
from discontrolface.common.errors import UserError
from discontrolface.common.images import Photo
from discontrolface.common.pixels import to_float, to_uint8
from discontrolface.editing.preview_sources import PreviewSources
from discontrolface.editing.toning import Toning
from discontrolface.face.appearance import appearance
from discontrolface.face.confidence import Confidence, misplaced, rate
from discontrolface.face.crop import Crop
from discontrolface.face.fit import FitReport
from discontrolface.face.geometry import Geometry, SourceLook
from discontrolface.face.heads.contract import FaceReading
from discontrolface.face.landmarks import Landmarks
from discontrolface.face.lips import hidden_lips
from discontrolface.face.parameters import FaceParameters

if TYPE_CHECKING:
    from discontrolface.editing.personal import PersonalWeights
    from discontrolface.face.regress import Codes
    from discontrolface.render.source import PreviewSource, View
    from discontrolface.render.warp import Preview


@dataclass(frozen=True)
class Person:
    """What `Editor.read` returns.

    photo: the user's picture. crop: its aligned square at the networks' size. parameters: what was read. landmarks: in photo pixels.
    fit: how well the parameters explain the landmarks. geometry: the head model of the parameters. personal: after `Editor.personalize`.
    codes: DECA's or EMOCA's own, where they read the face; they hold the wrinkles that `geometry` draws, and the texture.
    sources: the photo as previews need it; it depends on photo, crop, parameters and the head model alone.
    """

    photo: Photo
    crop: Crop
    parameters: FaceParameters
    landmarks: Landmarks
    fit: FitReport
    geometry: Geometry
    personal: PersonalWeights | None = None
    codes: Codes | None = None
    sources: PreviewSources = field(default_factory=PreviewSources, repr=False, compare=False)

    @classmethod
    def known(cls, picture: NDArray[np.uint8], parameters: FaceParameters, geometry: Geometry, name: str = "picture.png") -> Person:
        """A person whose parameters are known, not read: a drawn portrait, a sample of a shard.

        picture: (S, S, 3), which is its own crop. The landmarks are the head model's own, and fit exactly.
        """
        side = picture.shape[0]
        points = geometry.landmarks(parameters, side).astype(np.float32)
        fit = FitReport(0.0, 0.0, 0.0, 0, np.zeros_like(points))
        photo = Photo.of(picture, Path(name))
        return cls(photo, Crop(picture, np.eye(2, 3), picture), parameters, Landmarks(points, 1.0), fit, geometry)

    @property
    def reading(self) -> FaceReading:
        """What was read off the crop."""
        return FaceReading(self.parameters, self.fit, self.geometry, self.codes)

    @cached_property
    def confidence(self) -> Confidence:
        """How far the reading can be trusted; `confidence.value` in [0, 1], and its parts."""
        return rate(self.landmarks, self.fit, self.parameters, appearance(self.photo.array, self.landmarks))

    @cached_property
    def own_view(self) -> View:
        """The head as it is in the photo."""
        return self.geometry.view(self.parameters)

    @cached_property
    def own_normals(self) -> Tensor:
        """(1, 3, S, S): the normals of the head as it is in the photo, at the size of the crop."""
        return self.geometry.snapshot(self.parameters, self.crop.size, ("normals",)).image

    def look(self, size: int, maps: Sequence[str]) -> SourceLook:
        """What an edit starts from, on a crop of `size` pixels, as far as these maps ask for it."""
        known = size == self.crop.size and "source_normals" in maps
        return SourceLook(to_float(self.crop.resize(size).image), self.parameters, self.own_normals if known else None)

    @cached_property
    def fine_crop(self) -> Crop:
        """The crop at the photo's own resolution: as many pixels as the photo has there, from 256 to 1024."""
        return self.crop.resize(int(np.clip(64 * round(self.crop.native_size / 64), 256, 1024)))

    @cached_property
    def toning(self) -> Toning | None:
        """The tones of a black-and-white or toned photo; None for one in colours."""
        return Toning.of(self.fine_crop.image)

    @cached_property
    def covered(self) -> float:
        """0..1: how surely something is before the mouth, a hand, a mask, a microphone; over `render.COVERED` an edit of the mouth warns.

        0 where the mesh may lie beside the face: what lies there is not before a mouth, and `confidence` warns already.
        """
        if misplaced(self.landmarks, self.parameters):
            return 0.0
        share = render.covered_share(to_float(self.crop.image), self.own_view.vertices, self.geometry.rig)
        return max(share, hidden_lips(self.photo.array, self.landmarks))

    def check_target(self, target: FaceParameters) -> None:
        """UserError unless `target` is of the head model that this person was read with."""
        own = self.parameters
        if target.head != own.head or any(getattr(target, a).shape != getattr(own, a).shape for a in ("shape", "expression", "albedo")):
            raise UserError(
                f"the target is for head model {target.head!r}, but {self.photo.path.name} was read with {own.head!r}; read both with one"
            )

    def preview_source(self, size: int | None = None) -> PreviewSource:
        """What previews need of the photo, on a crop of `size` pixels (default: the photo's own resolution). Read once and kept."""
        size = self.fine_crop.size if size is None else size

        def read() -> PreviewSource:
            crop = self.fine_crop if size == self.fine_crop.size else self.crop.resize(size)
            return render.prepare_source(to_float(crop.image), self.own_view, self.geometry.rig)

        return self.sources.get(size, read)

    def draft(self, parameters: FaceParameters, size: int | None = None) -> Preview:
        """The mesh-driven warp of the photo towards `parameters`, on a crop of `size` pixels (default: the photo's own resolution)."""
        return self.warp(self.geometry.view(parameters), size)

    def warp(self, view: View, size: int | None = None) -> Preview:
        """The photo warped to a posed head, as `draft`; a black-and-white photo stays so."""
        preview = render.preview_of(self.preview_source(size), view)
        return preview if self.toning is None else replace(preview, image=self.toning.apply(preview.image))

    def preview(self, parameters: FaceParameters) -> Image.Image:
        """The draft of an edit as a PIL image of the crop: instant, no network."""
        return Image.fromarray(to_uint8(self.draft(parameters).image))

    def with_personal(self, personal: PersonalWeights | None) -> Person:
        """The same person with personal weights; None: without."""
        return replace(self, personal=personal)

    def anew(self) -> Person:
        """The same person with nothing worked out yet: 5 MB of an edited face go with this copy."""
        return replace(self, sources=PreviewSources())

    def without_detail(self) -> Person:
        """The same person, controlled without the detail vector: the paper's ablation. Personal weights belong to one way of control, so none."""
        return replace(self, geometry=self.geometry.coarse(), personal=None)
