"""The main job: read a photo, personalize, edit.

editor = Editor.load("open")
person = editor.read("photo.jpg")
result = editor.edit(person, person.parameters.edit(expression={"smile": 0.8}, yaw=15))
result.image.save("edited.png")
"""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from platformdirs import user_cache_dir

from discontrolface.common.errors import UserError
from discontrolface.common.images import Photo, check_output
from discontrolface.common.parallel import map_threads
from discontrolface.common.pixels import to_uint8
from discontrolface.common.program import program_id
from discontrolface.common.provenance import make_record
from discontrolface.common.snapshot_spec import SnapshotSpec
from discontrolface.common.weights_id import weights_id
from discontrolface.diffusion.sampling import Step
from discontrolface.diffusion.settings import Sampling, SamplingChoices
from discontrolface.editing.composited import Composite, save_edited
from discontrolface.editing.group import MANY, FaceEdit, GroupResult
from discontrolface.editing.person import Person
from discontrolface.editing.personal import PersonalNetworks, PersonalWeights
from discontrolface.editing.personal_cache import PersonalCache
from discontrolface.editing.personalize import FEW_SHOT, PAPER_ONE_SHOT, OneShot, Progress, one_shot
from discontrolface.editing.pipeline import Networks, PreparedEdit, composite, denoise, prepare, resolved
from discontrolface.editing.reading import Box, Reader
from discontrolface.editing.same_person import fitted_again, with_one_albedo
from discontrolface.face.parameters import FaceParameters
from discontrolface.nets.super_resolution import SuperResolution
from discontrolface.render.covered import COVERED, lips_move
from discontrolface.weights.manifest import preset_folder
from discontrolface.weights.preset import Preset, load_preset

_log = logging.getLogger(__name__)
BATCH = 8  # edits that `edit_many` denoises at once


@dataclass(frozen=True)
class EditResult:
    """An edited photo. Pictures are PIL images.

    image: the whole photo, edited. crop: its aligned square at the photo's resolution. preview: the draft of that square. snapshot: the normals of
    the target head. mask: (H, W) bool in the photo, where `image` may differ from it. parameters: the target. record: provenance, for `save_photo`.
    mouth_covered: something (a mask, a microphone) seems to be before the mouth, and the edit moves it with the lips.
    `save` writes the photo's own profile and depth, which `image` (8-bit sRGB) does not have.
    """

    preview: Image.Image
    snapshot: Image.Image
    parameters: FaceParameters
    record: dict[str, Any]
    composite: Composite
    person: Person
    mouth_covered: bool = False

    @cached_property
    def image(self) -> Image.Image:
        """The whole photo, edited: RGB, with the alpha channel of a photo that has one."""
        return Image.fromarray(self.composite.image)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W): where it is False `image` is the photo, to the bit."""
        return self.composite.mask > 0

    def save(self, path: str | Path, overwrite: bool = False, keep_profile: bool = True, background: str = "white") -> tuple[str, ...]:
        """Write the edited photo (.png, .jpg, .webp) with its record; returns what the file cannot hold, in words that go on from its name.

        keep_profile: write the photo's own colour profile and, in a PNG, its 16 bits; what lies outside the mask is then what the photo holds. False:
        8-bit sRGB. background: what a transparent picture stands on in a JPEG. Raises UserError as `save_photo` does.
        """
        path = Path(path)
        check_output(path, overwrite, self.person.photo.size)
        return save_edited(self.composite, path, overwrite, self.record, keep_profile, background)

    @cached_property
    def crop(self) -> Image.Image:
        """The finished picture's aligned square, of as many pixels as the edit had (`Sampling.resolution`)."""
        return Image.fromarray(self.crop_at(len(self.composite.edited)))

    def crop_at(self, size: int) -> NDArray[np.uint8]:
        """The finished picture's aligned square at size x size pixels, (size, size, 3)."""
        return self.composite.crop(self.person, size)


class Editor:
    """Networks, head model and landmark models of one preset, loaded once. Its methods may be called from several threads at a time."""

    def __init__(self, preset: Preset, reader: Reader, device: str = "cpu", cache: Path | None = None) -> None:
        self.preset = preset
        self.reader = reader
        self.device = device
        self.cache = cache
        self.networks = Networks(preset.model, preset.control, device, reader.geometry.head.name, preset.larger)
        self.size = self.networks.size
        self.base_id = weights_id(preset.model, preset.control)
        self._personal = PersonalNetworks(preset.control, self.base_id)

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
        reader: one that is loaded already. Its head model may be another than the preset's; the networks then see what they did not train on:
        `Editor.load("open", reader=Reader.flame())` edits with FLAME and the open networks.
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

    def identity(self, person: Person | None = None) -> tuple[str, ...]:
        """What names everything of the program and its models that a picture of this editor follows from. person: whose weights are used."""
        larger, personal = self.networks.larger, None if person is None else person.personal
        return (
            program_id(),
            self.base_id,
            "" if larger is None else weights_id(larger),
            "" if personal is None else personal.identity(),
            self.reader.geometry.label,
            self.device,
        )

    def read(self, photo: str | Path | Photo, face: int | None = None, face_box: Box | None = None, of_clip: bool = False) -> Person:
        """Read a photo, or a frame of a clip: see `Reader.read`."""
        return self.reader.read(photo, face, face_box, of_clip)

    def read_all(self, photo: str | Path | Photo) -> list[Person]:
        """Every face of a photo, the largest first, as `read(photo, 0)`, `read(photo, 1)`, ... give them."""
        return self.reader.read_all(photo)

    # ---- one-shot fine-tuning

    def personal_path(self, person: Person, settings: OneShot | None = None, seed: int = 0, also: Sequence[Person] = ()) -> Path | None:
        """Where this person's weights are cached; None without a cache. settings and also: as in `personalize`."""
        if self.cache is None:
            return None
        settings = settings or (FEW_SHOT if also else self.settings)
        control = (person.geometry.label, person.parameters.to_json())  # another reading of the same photo is another control
        others = [(p.photo.sha256, np.round(p.crop.photo_to_crop, 4).tolist(), p.parameters.to_json()) for p in also]
        own = (person.photo.sha256, np.round(person.crop.photo_to_crop, 4).tolist())
        key = repr((*own, self.base_id, settings, seed, control, *((others,) if others else ())))
        return self.cache / f"{person.photo.sha256[:12]}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.safetensors"

    def personalize(
        self,
        person: Person,
        settings: OneShot | None = None,  # None: the preset's
        seed: int = 0,
        progress: Progress | None = None,
        also: Sequence[Person] = (),
    ) -> Person:
        """One-shot fine-tuning; read from the cache when this photo was personalized before with the same settings.

        also: the same person in other photos, which `read` gave. The networks then learn from true answers, each photo's from each other one
        (`FEW_SHOT`); a smile and a side view say most. UserError where no two of the heads are turned by less than 60 degrees from each other.
        `progress` may raise `Cancelled`, which stops the work; nothing is then kept.
        Two processes with the same photo: one works, the other waits. UserError, before the work, when the cache's folder cannot be written.
        """
        settings = settings or (FEW_SHOT if also else self.settings)
        for other in also:
            other.check_target(person.parameters)
        path = self.personal_path(person, settings, seed, also)
        if path is None:
            return person.with_personal(self._fine_tuned(person, settings, seed, progress, also))
        cache = PersonalCache(path.parent)
        kept = cache.load(path)
        if kept is None:
            cache.check_writable()
            with cache.locked(path):
                kept = cache.load(path)  # another process may have made it meanwhile
                if kept is None:
                    kept = self._fine_tuned(person, settings, seed, progress, also)
                    cache.save(path, kept)
        return person.with_personal(kept)

    def _fine_tuned(
        self, person: Person, settings: OneShot, seed: int, progress: Progress | None, also: Sequence[Person]
    ) -> PersonalWeights:
        self.networks.check(SnapshotSpec(person.geometry.head.name, self.networks.maps))
        control = copy.deepcopy(self.preset.control).requires_grad_(True)
        generator = torch.Generator().manual_seed(seed)
        same = with_one_albedo([person, *(fitted_again(other, person.parameters.shape, self.reader) for other in also)])[1:]
        return one_shot(self.preset.model, control, person, settings, self.base_id, generator, progress, same)

    def networks_of(self, person: Person) -> Networks:
        """The preset's networks, or those of the person's personal weights, which are put together once."""
        if person.personal is None:
            return self.networks
        return replace(self.networks, control=self._personal.network(person.personal))

    # ---- editing

    def edit(
        self,
        person: Person,
        target: FaceParameters,
        callback: Callable[[Step], None] | None = None,  # told every denoising step; it may raise `Cancelled`
        sampling: Sampling | None = None,  # None: the preset's
        **choices: Unpack[SamplingChoices],  # steps, start, masking, seed, ...: what is to differ from `sampling`
    ) -> EditResult:
        """Make the same person with the face parameters `target`. Same arguments, same machine: the same picture to the bit."""
        return self.edit_many(person, [target], callback, sampling, **choices)[0]

    def edit_many(
        self,
        person: Person,
        targets: Sequence[FaceParameters],
        callback: Callable[[Step], None] | None = None,  # told every denoising step of every batch
        sampling: Sampling | None = None,  # as in `edit`
        **choices: Unpack[SamplingChoices],
    ) -> list[EditResult]:
        """Several edits of one photo, in batches through the networks. Each picture is that of `edit` but for rounding (1e-5)."""
        chosen = (sampling or self.preset.sampling).with_choices(choices)
        networks = self.networks_of(person)
        results: list[EditResult] = []
        for first in range(0, len(targets), BATCH):
            batch = targets[first : first + BATCH]
            edits = map_threads(lambda target: prepare(person, target, self.size, networks.maps, chosen.seed, chosen.fine_size), batch)
            pictures = denoise(networks, edits, chosen, callback)
            jobs = list(zip(edits, pictures, strict=True))
            results += map_threads(lambda job: self._result(job[0], job[1][None], chosen, networks.larger), jobs)
        return results

    def edit_group(
        self,
        people: Sequence[Person],
        targets: Sequence[FaceParameters],
        callback: Callable[[int, Step], None] | None = None,  # told every denoising step of every face, by its number in `people`
        sampling: Sampling | None = None,  # as in `edit`
        **choices: Unpack[SamplingChoices],
    ) -> GroupResult:
        """Several faces of one photo, each with a target of its own, in one picture. `editing/group.py` says how edits share pixels.

        UserError for faces of different photos, and for none.
        """
        if not people or len(people) != len(targets) or any(person.photo.sha256 != people[0].photo.sha256 for person in people):
            raise UserError(f"{len(people)} faces and {len(targets)} targets were given; give faces of one photo, and a target for each")
        edits: list[FaceEdit] = []
        record: dict[str, Any] = {}
        changed: list[dict[str, Any]] = []
        for number, (person, target) in enumerate(zip(people, targets, strict=True)):
            told = None if callback is None else partial(callback, number)
            result = self.edit(person.anew() if len(people) > MANY else person, target, told, sampling, **choices)
            edits.append(FaceEdit.of(person, target, result.composite, result.preview))
            record = record or result.record
            box, confidence = [round(v) for v in person.landmarks.box], result.record["confidence"]
            changed.append({"box": box, "confidence": confidence, "edited": result.record["edited"]})
        return GroupResult(
            tuple(edits), {**record, "confidence": min(face["confidence"] for face in changed), "edited": {"faces": changed}}
        )

    def _result(self, edit: PreparedEdit, picture: torch.Tensor, sampling: Sampling, larger: SuperResolution | None) -> EditResult:
        person = edit.person
        covered = person.covered > COVERED and lips_move(  # asked before the most memory is needed: it looks at a part of the photo
            person.own_view.vertices, person.geometry.view(edit.target).vertices, person.geometry.rig
        )
        finished = composite(edit, picture, larger)
        normals = edit.snapshot.image[0, :3].permute(1, 2, 0).numpy()
        record = make_record(
            edit.target.difference(person.parameters),
            weights=self.base_id + ("+personal" if person.personal is not None else ""),
            source_sha256=person.photo.sha256,
            head=person.geometry.label,
            confidence=round(person.confidence.value, 3),
            **resolved(sampling, self.networks).record(),
        )
        if larger is not None and len(finished.edited) > edit.size:
            record["super_resolution"] = weights_id(larger)
        if covered:
            record["mouth_covered"] = round(person.covered, 2)
            _log.warning("%s: something is before the mouth; this edit moves it along with the lips", person.photo.path.name)
        return EditResult(
            preview=Image.fromarray(to_uint8(edit.fine.image)),
            snapshot=Image.fromarray(to_uint8((normals + 1) / 2 * (np.abs(normals).sum(-1, keepdims=True) > 0))),
            parameters=edit.target,
            record=record,
            composite=finished,
            person=person,
            mouth_covered=covered,
        )


def default_cache() -> Path:
    """The user's cache folder for personal weights."""
    return Path(user_cache_dir("discontrolface")) / "personal"
