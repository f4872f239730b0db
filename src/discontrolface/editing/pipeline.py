"""One edit, three steps: prepare (photo and target to what the networks see) -> denoise (a batch) -> composite (back into the photo).

Everything that edits goes this way: `Editor`, personal weights, evaluation and ablations, command line, baselines (which have their own denoising).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.common.snapshot_spec import SnapshotSpec
from discontrolface.common.tensors import from_network, to_network
from discontrolface.diffusion.condition import EditCondition
from discontrolface.diffusion.inversion import invert, invert_controlled
from discontrolface.diffusion.sampling import Step, sample
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.carried import carried
from discontrolface.editing.composite import Motion, paste_back
from discontrolface.editing.composited import Composite, moved_alpha
from discontrolface.editing.person import Person
from discontrolface.editing.super_resolved import super_resolved
from discontrolface.face.crop import Crop
from discontrolface.face.geometry import SourceLook
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.regions import face_hull
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.mirror import mirrored_picture
from discontrolface.nets.super_resolution import SuperResolution
from discontrolface.render.snapshot import Snapshot
from discontrolface.render.sweep import swept
from discontrolface.render.warp import Preview

INVERTED_SPREAD: Final = 0.5  # standard deviation of an inverted x_T under the photo's own control; the open networks fail at 0.8


@dataclass(frozen=True)
class Networks:
    """What denoises: a backbone and the control network beside it, on one device, in evaluation mode."""

    backbone: Backbone
    control: ExpFaceNet
    device: str = "cpu"
    head: str | None = None  # the head model whose snapshots they are to read; None: the one that the control network was trained on
    larger: SuperResolution | None = None  # what follows them; None: nothing does

    @property
    def size(self) -> int:
        """Pixels of the crop that the networks see."""
        return self.backbone.image_size

    @property
    def spec(self) -> SnapshotSpec:
        """The snapshots that the control network is to read."""
        return SnapshotSpec(self.head or self.control.spec.head, self.control.spec.maps)

    @property
    def maps(self) -> tuple[str, ...]:
        """The maps of these snapshots."""
        return self.control.spec.maps

    def check(self, given: SnapshotSpec) -> None:
        """UserError for snapshots of another head model or of other maps."""
        self.spec.check(given, "this editor's control network", "read the photo with this editor, or load it with the reader that was used")

    @property
    def sees_preview(self) -> bool:
        """Whether the preview is among these maps."""
        return "preview" in self.maps


@dataclass(frozen=True)
class PreparedEdit:
    """One edit as the networks and the compositing take it.

    crop: (1, 3, S, S) in [-1, 1]. preview: of size S; fine: of the size at which the edit goes back into the photo. snapshot: (1, C, S, S), of the
    target.
    seed: of noise and masks.
    """

    person: Person
    target: FaceParameters
    seed: int
    crop: Tensor
    preview: Preview
    fine: Preview
    snapshot: Snapshot

    @property
    def size(self) -> int:
        """S."""
        return int(self.crop.shape[-1])

    @property
    def fine_crop(self) -> Crop:
        """The photo's crop, of the fine preview's size."""
        own, size = self.person.fine_crop, len(self.fine.image)
        return own if own.size == size else self.person.crop.resize(size)

    def without(self, maps: Sequence[str]) -> PreparedEdit:
        """With these maps of the snapshot set to zero: a probe of what the control network reads."""
        image = self.snapshot.image.clone()
        for name in maps:
            image[:, self.snapshot.spec.slice(name)] = 0
        return replace(self, snapshot=replace(self.snapshot, image=image))


def prepare(
    person: Person,
    target: FaceParameters,
    size: int,
    maps: Sequence[str],
    seed: int = 0,
    fine_size: int | None = None,  # of the fine preview; None: as many pixels as the photo has there
) -> PreparedEdit:
    """Pose the head once; warp the photo at both resolutions; draw the snapshot. UserError for a target of another head model."""
    person.check_target(target)
    geometry = person.geometry
    vertices = geometry.vertices(target)  # (1, V, 3)
    view = geometry.view(target, vertices)
    fine = person.warp(view, fine_size)
    preview = fine if len(fine.image) == size else person.warp(view, size)
    look = person.look(size, maps)
    snapshot = geometry.snapshot(target, size, maps, preview, vertices, look)
    return PreparedEdit(person, target, seed, to_network(look.picture), preview, fine, snapshot)


@torch.no_grad()
def denoise(
    networks: Networks, edits: Sequence[PreparedEdit], sampling: Sampling, callback: Callable[[Step], None] | None = None
) -> Tensor:
    """The networks' pictures of a batch of edits: (B, 3, S, S) in about [-1, 1].

    Noise and masks of an edit follow from its own seed, so that it does not matter what else is in the batch. Edits of one photo with one seed share
    noise, masks and the code of the masked crop, and at a first step from noise what the backbone makes of them.
    """
    for edit in edits:
        networks.check(edit.snapshot.spec)
    model, device = networks.backbone, networks.device
    first = edits[0]
    shared = all(edit.person.crop is first.person.crop and edit.seed == first.seed for edit in edits)
    sources = [first] if shared else list(edits)
    generators = [torch.Generator().manual_seed(edit.seed) for edit in sources]
    crop = stacked([edit.crop for edit in sources]).to(device)  # (1 or B, 3, S, S)
    snapshot = stacked([edit.snapshot.image for edit in edits]).to(device)  # (B, C, S, S)
    region = stacked([face_region(edit) for edit in sources]).to(device) if sampling.mask_region == "face" else None
    used = resolved(sampling, networks)
    noise = used.temperature * white_noise(model, generators, device)  # (1 or B, C, h, w)
    if used.start == "inverted":
        noise = inverted(networks, sources, crop, used)

    def steered_by(mirrored: bool = False) -> EditCondition:
        def seen(x: Tensor) -> Tensor:
            return x.flip(-1) if mirrored else x

        about: dict[str, Any] = {"patch": used.mask_patch, "finishes": not mirrored, "mirrored": mirrored}
        about["region"] = None if region is None else seen(region)
        return EditCondition(model, networks.control, seen(crop), snapshot, used.predictions, used.masking, generators, **about)

    condition = steered_by()
    run: dict[str, Any] = {"steps": used.steps, "solver": used.solver}
    if used.start == "draft":
        draft = model.to_space(stacked([to_network(edit.preview.image) for edit in edits]).to(device))
        x0 = sample(model, noise, condition=condition, start=draft, strength=used.strength, callback=callback, **run)
    elif used.start == "predicted":
        x0 = predicted_then_refined(model, noise, condition, lambda: steered_by(mirrored=True), generators, used, callback)
    else:
        x0 = sample(model, noise, condition=condition, callback=callback, **run)
    return condition.finish(model.from_space(x0.expand(len(edits), -1, -1, -1)))


def predicted_then_refined(
    model: Backbone,
    noise: Tensor,  # (B, C, h, w)
    condition: EditCondition,  # of the photo
    mirror: Callable[[], EditCondition],  # of its mirror image, made when it is its turn
    generators: Sequence[torch.Generator],
    sampling: Sampling,
    callback: Callable[[Step], None] | None,
) -> Tensor:
    """One prediction from noise, the mean of the photo's and of its mirror image's; then the last steps from it with a little noise: (B, C, h, w).

    Ours. On real pairs more steps from noise are worse than one, for the networks never saw their own predictions; a low-noise pass after it pays
    once they were trained on these (docs/decisions.md).
    """
    count = sampling.predictions

    def shifted(offset: int) -> Callable[[Step], None] | None:
        if callback is None:
            return None
        return lambda step: callback(replace(step, index=step.index + offset, count=count))

    seen = sample(model, noise, steps=1, condition=condition, callback=shifted(0))
    first = (seen + mirrored_picture(model, sample(model, noise.flip(-1), steps=1, condition=mirror()))) / 2
    again = white_noise(model, generators, str(noise.device)).expand_as(first)
    return sample(
        model,
        again,
        steps=sampling.steps,
        condition=lambda step, t, x_t: condition(step + 1, t, x_t),
        start=first,
        strength=sampling.strength,
        solver=sampling.solver,
        callback=shifted(1),
    )


def resolved(sampling: Sampling, networks: Networks) -> Sampling:
    """With what the networks decide: how a photo is inverted, and the spread of x_T."""
    if sampling.start == "inverted":
        automatic = "control" if networks.sees_preview else "backbone"
        inversion = automatic if sampling.inversion == "auto" else sampling.inversion
        return replace(sampling, inversion=inversion, temperature=INVERTED_SPREAD if inversion == "control" else 1.0)
    return replace(sampling, temperature=1.0) if sampling.start == "draft" else sampling


def inverted(networks: Networks, sources: Sequence[PreparedEdit], crop: Tensor, sampling: Sampling) -> Tensor:
    """The photos' own x_T (B, C, h, w): by the backbone alone (the paper), or under the photos' own control, scaled to `temperature`.

    A network that predicts x0 needs the latter, see `invert_controlled`.
    """
    model = networks.backbone
    if sampling.inversion == "backbone":
        return invert(model, model.to_space(crop), model.encode(crop), steps=sampling.steps)
    own = stacked([own_snapshot(edit, networks.maps) for edit in sources]).to(networks.device)
    condition = EditCondition(model, networks.control, crop, own, sampling.steps, "A")
    return invert_controlled(model, model.to_space(crop), condition, sampling.steps, sampling.temperature)


def own_snapshot(edit: PreparedEdit, maps: Sequence[str]) -> Tensor:
    """(1, C, S, S): the control image of the photo as it is."""
    person, size = edit.person, edit.size
    source = SourceLook(from_network(edit.crop), person.parameters)
    return person.geometry.snapshot(person.parameters, size, maps, person.draft(person.parameters, size), source=source).image


def face_region(edit: PreparedEdit) -> Tensor:
    """(1, 1, S, S) bool: the face of the photo."""
    points = edit.person.geometry.landmarks(edit.person.parameters, edit.size)
    return torch.from_numpy(face_hull(points[:, :2], edit.size))[None, None]


def white_noise(model: Backbone, generators: Sequence[torch.Generator], device: str) -> Tensor:
    """(B, C, h, w) ~ N(0, I) in the backbone's space, a sample from each generator."""
    shape = (1, model.space.channels, model.space.size, model.space.size)
    return stacked([torch.randn(shape, generator=generator) for generator in generators]).to(device)


def stacked(parts: Sequence[Tensor]) -> Tensor:
    """(1, ...) each to (B, ...)."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def composite(edit: PreparedEdit, picture: Tensor, larger: SuperResolution | None = None) -> Composite:
    """The networks' picture (1, 3, S, S) back in its photo, with the photo's own detail carried over, in its tones if it has no colours.

    larger: makes what the photo did not show as sharp as the fine preview; None: that stays as soft as the networks' picture.
    """
    person, fine = edit.person, edit.fine
    edited, motion = finished(edit, from_network(picture), larger)
    motion = replace(motion, swept=swept(edited, person.preview_source(len(edited)).plain))
    patch = paste_back(person.photo.filled, edited, edit.fine_crop, fine.mask, motion)
    if person.photo.alpha is not None:  # else nothing was filled
        patch = patch.over(person.photo.array)
    follows = replace(fine, flow=motion.flow)
    alpha = None if person.photo.alpha is None else moved_alpha(person, person.geometry.view(edit.target), follows, edit.fine_crop)
    return Composite(person, edited, fine.mask, motion, patch, alpha)


def finished(edit: PreparedEdit, picture: NDArray[np.float32], larger: SuperResolution | None = None) -> tuple[NDArray[np.float32], Motion]:
    """A network's picture (s, s, 3) at the size of the fine crop, with the preview's detail; and where it shows the photo."""
    edited, motion = carried(edit, picture)
    if larger is not None and len(edited) > len(picture):
        edited = super_resolved(larger, edited, edit.fine, motion.shown)
    if edit.person.toning is not None:
        edited = edit.person.toning.apply(edited)
    return edited, motion
