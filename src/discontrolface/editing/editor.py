"""The main job: read a photo, personalize, edit.

editor = Editor.load("open")
person = editor.read("photo.jpg")
result = editor.edit(person, person.parameters.edit(expression={"smile": 0.8}, yaw=15))
result.image.save("edited.png")
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.images import Photo
from discontrolface.common.pixels import to_float, to_uint8
from discontrolface.common.provenance import make_record
from discontrolface.common.tensors import from_network, to_network
from discontrolface.diffusion.condition import EditCondition
from discontrolface.diffusion.inversion import invert, invert_controlled
from discontrolface.diffusion.sampling import Step, sample
from discontrolface.diffusion.schedule import denoising_timesteps
from discontrolface.editing.composite import paste_back
from discontrolface.editing.detail import fuse_detail
from discontrolface.editing.person import Person
from discontrolface.editing.personal import PersonalWeights, weights_id
from discontrolface.editing.personalize import PAPER_ONE_SHOT, OneShot, one_shot
from discontrolface.editing.reading import Box, Reader
from discontrolface.face.parameters import FaceParameters
from discontrolface.render.snapshot import Snapshot
from discontrolface.weights.preset import STARTS, Preset, load_preset, preset_folder

if TYPE_CHECKING:
    from PIL import Image

INVERTED_SPREAD = 0.5  # standard deviation of an inverted x_T under the photo's own control; the open networks fail at 0.8


@dataclass(frozen=True)
class EditResult:
    """An edited photo. Pictures are PIL images.

    image: the whole photo, edited. crop: the edited crop at the photo's resolution. preview: the draft, likewise. snapshot: the normals of the
    target head. mask: (H, W) bool in the photo, where `image` may differ from it. parameters: the target. record: provenance, for `save_photo`.
    """

    image: Image.Image
    crop: Image.Image
    preview: Image.Image
    snapshot: Image.Image
    mask: NDArray[np.bool_]
    parameters: FaceParameters
    record: dict[str, Any]


class Editor:
    """Networks, head model and landmark models of one preset, loaded once."""

    def __init__(self, preset: Preset, reader: Reader, device: str = "cpu", cache: Path | None = None) -> None:
        self.preset = preset
        self.reader = reader
        self.device = device
        self.cache = cache
        self.size = preset.model.image_size
        self.base_id = weights_id(preset.model, preset.control)

    @classmethod
    def load(
        cls,
        preset: str | Path = "open",
        device: str = "cpu",
        cache: Path | str | None = None,
        reader: Reader | None = None,
        assets: str | Path | None = None,
        detail: bool = True,
    ) -> Editor:
        """A preset by name ("open", "paper") or folder.

        cache: where personal weights are kept (default: the user's cache folder). assets: the folder of imported files, for FLAME (default: the
        user's data folder). detail: False controls FLAME without the detail vector, the paper's ablation.
        reader: one that is loaded already, of any head model: `Editor.load("open", reader=Reader.flame())` edits with FLAME and the open networks.
        Raises UserError that lists everything the paper preset lacks.
        """
        loaded = load_preset(preset_folder(preset, assets), device)
        size = loaded.model.image_size
        if reader is None:
            reader = Reader.load(loaded.head, size, assets, detail, device=device)
        return cls(loaded, reader, device, Path(cache) if cache is not None else default_cache())

    @cached_property
    def settings(self) -> OneShot:
        """How this preset personalizes unless told otherwise: the paper's way, but for what preset.json says."""
        try:
            return replace(PAPER_ONE_SHOT, **self.preset.one_shot)
        except TypeError as error:
            raise UserError(f"preset {self.preset.name!r}: one_shot {dict(self.preset.one_shot)} is not understood ({error})") from error

    def read(self, photo: str | Path | Photo, face: int | None = None, face_box: Box | None = None) -> Person:
        """Read a photo: see `Reader.read`."""
        return self.reader.read(photo, face, face_box)

    def read_all(self, photo: str | Path | Photo) -> list[Person]:
        """Every face of a photo, the largest first."""
        return self.reader.read_all(photo)

    # ---- one-shot fine-tuning

    def personal_path(self, person: Person, settings: OneShot | None = None, seed: int = 0) -> Path | None:
        """Where this person's weights are cached; None without a cache. settings: None for the preset's."""
        if self.cache is None:
            return None
        import hashlib

        settings = settings or self.settings
        control = (person.geometry.label, person.parameters.to_json())  # another reading of the same photo is another control
        what = repr((person.photo.sha256, np.round(person.crop.photo_to_crop, 4).tolist(), self.base_id, settings, seed, control))
        return self.cache / f"{person.photo.sha256[:12]}-{hashlib.sha256(what.encode()).hexdigest()[:12]}.safetensors"

    def personalize(
        self,
        person: Person,
        settings: OneShot | None = None,  # None: the preset's
        seed: int = 0,
        progress: Callable[[int, int, float], None] | None = None,
    ) -> Person:
        """One-shot fine-tuning; read from the cache when this photo was personalized before with the same settings."""
        settings = settings or self.settings
        path = self.personal_path(person, settings, seed)
        if path is not None and path.is_file():
            return person.with_personal(PersonalWeights.load(path))
        control = copy.deepcopy(self.preset.control).requires_grad_(True)
        generator = torch.Generator().manual_seed(seed)
        personal = one_shot(self.preset.model, control, person, settings, self.base_id, generator, progress)
        if path is not None:
            personal.save(path)
        return person.with_personal(personal)

    def cached(self, person: Person, settings: OneShot | None = None, seed: int = 0) -> Person:
        """The person with cached personal weights if there are any, else as given."""
        path = self.personal_path(person, settings, seed)
        return person.with_personal(PersonalWeights.load(path)) if path is not None and path.is_file() else person

    def _control(self, person: Person) -> Any:
        if person.personal is None:
            return self.preset.control
        control = copy.deepcopy(self.preset.control)
        person.personal.apply(control, self.base_id)
        return control

    # ---- editing

    def edit(
        self,
        person: Person,
        target: FaceParameters,
        steps: int | None = None,  # denoising steps; None: the preset's
        masking: str | Sequence[float] = "linear",  # masking schedule, see diffusion/masking.py
        seed: int = 0,
        start: str | None = None,  # "noise" (the paper), "draft" (the noised preview) or "inverted"; None: the preset's
        strength: float | None = None,  # with "draft": the share of the steps that is taken
        solver: str = "ddim",  # or "dpm++"
        callback: Callable[[Step], None] | None = None,
        temperature: float | None = None,  # with "noise": standard deviation of x_T, 1 (the paper) or less; None: the preset's
    ) -> EditResult:
        """Make the same person with the face parameters `target`. Same arguments, same machine: the same picture to the bit."""
        person.check_target(target)
        start = start or self.preset.start
        if start not in STARTS:
            raise UserError(f"start {start!r} is not known; choose one of {', '.join(STARTS)}")
        if strength is not None and start != "draft":
            raise UserError(f"strength {strength} belongs to start 'draft', not to {start!r}; leave it out")
        steps = steps or self.preset.steps
        strength = (strength if strength is not None else self.preset.strength) if start == "draft" else 1.0
        if temperature is not None and start != "noise":
            raise UserError(f"temperature {temperature} belongs to start 'noise', not to {start!r}; leave it out")
        if start == "noise":
            temperature = self.preset.temperature if temperature is None else temperature
        else:
            temperature = INVERTED_SPREAD if start == "inverted" and self._sees_preview else 1.0
        if not 0 < temperature <= 1:
            raise UserError(f"temperature {temperature} must lie above 0 and not above 1 (the paper's)")
        x0, snapshot = self._denoise(person, target, steps, masking, seed, start, strength, solver, callback, temperature)
        fine = person.draft(target)
        edited = fuse_detail(from_network(x0), fine.image, fine.visibility)
        picture, mask = paste_back(person.photo.array, edited, person.fine_crop, fine.mask)
        run = {"seed": seed, "steps": steps, "start": start, "strength": strength, "temperature": temperature}
        run |= {"masking": masking, "solver": solver}
        return self._result(person, target, picture, mask, edited, fine.image, snapshot, run)

    @torch.no_grad()
    def _denoise(
        self,
        person: Person,
        target: FaceParameters,
        steps: int,
        masking: str | Sequence[float],
        seed: int,
        start: str,
        strength: float,
        solver: str,
        callback: Callable[[Step], None] | None,
        temperature: float,
    ) -> tuple[Tensor, Snapshot]:
        model, control = self.preset.model, self._control(person)
        preview = person.draft(target, self.size)
        snapshot = person.geometry.snapshot(target, self.size, control.config["snapshot_maps"], preview)
        crop = to_network(to_float(person.crop.resize(self.size).image)).to(self.device)
        generator = torch.Generator().manual_seed(seed)
        noise = temperature * torch.randn(crop.shape, generator=generator).to(self.device)
        if start == "inverted":
            noise = self._inverted(person, control, crop, steps, temperature)
        taken = len(denoising_timesteps(steps, strength))
        condition = EditCondition(model, control, crop, snapshot.image.to(self.device), taken, masking, generator)
        draft = to_network(preview.image).to(self.device) if start == "draft" else None
        x0 = sample(model, noise, steps=steps, condition=condition, start=draft, strength=strength, solver=solver, callback=callback)
        return x0, snapshot

    @property
    def _sees_preview(self) -> bool:
        """Whether the control network has the preview among its maps."""
        return "preview" in self.preset.control.config["snapshot_maps"]

    def _inverted(self, person: Person, control: Any, crop: Tensor, steps: int, temperature: float) -> Tensor:
        """The photo's own x_T: by the backbone alone (the paper), or, if the control network sees a preview, under the photo's own control.

        A network that predicts x0 needs it, see `invert_controlled`; x_T then has the standard deviation `temperature`.
        """
        model, maps = self.preset.model, control.config["snapshot_maps"]
        if not self._sees_preview:
            return invert(model, crop, model.encode(crop), steps=steps)
        own = person.geometry.snapshot(person.parameters, self.size, maps, person.draft(person.parameters, self.size))
        return invert_controlled(
            model, crop, EditCondition(model, control, crop, own.image.to(self.device), steps, "A"), steps, temperature
        )

    def _result(
        self,
        person: Person,
        target: FaceParameters,
        picture: NDArray[np.uint8],
        mask: NDArray[Any],
        edited: NDArray[np.float32],
        preview: NDArray[np.float32],
        snapshot: Snapshot,
        run: dict[str, Any],
    ) -> EditResult:
        from PIL import Image

        if person.photo.alpha is not None:
            picture = np.dstack([picture, person.photo.alpha])
        normals = snapshot.image[0, :3].permute(1, 2, 0).numpy()
        record = make_record(
            target.difference(person.parameters),
            weights=self.base_id + ("+personal" if person.personal is not None else ""),
            source_sha256=person.photo.sha256,
            head=person.geometry.label,
            **run,
        )
        return EditResult(
            image=Image.fromarray(picture),
            crop=Image.fromarray(to_uint8(edited)),
            preview=Image.fromarray(to_uint8(preview)),
            snapshot=Image.fromarray(to_uint8((normals + 1) / 2 * (np.abs(normals).sum(-1, keepdims=True) > 0))),
            mask=mask > 0,
            parameters=target,
            record=record,
        )


def default_cache() -> Path:
    """The user's cache folder for personal weights."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("discontrolface")) / "personal"
