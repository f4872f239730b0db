"""The nodes that read, personalize, preview, edit and animate. IMAGE is (B, H, W, C) float32 in [0, 1], MASK (B, H, W), as everywhere in ComfyUI."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from discontrolface.comfy.controls import CONTROLS_TYPE, PERSON_TYPE
from discontrolface.comfy.host import progress
from discontrolface.comfy.node import Node
from discontrolface.comfy.plan import Plan
from discontrolface.common.errors import UserError
from discontrolface.common.images import Photo
from discontrolface.diffusion.masking import SCHEDULES
from discontrolface.diffusion.settings import STARTS
from discontrolface.editing.animate import animate, sampling_of_frames
from discontrolface.editing.editor import Editor
from discontrolface.editing.performance import PARTS, Driving, driven, read_performance
from discontrolface.editing.person import Person

EDITOR_TYPE: Final = "DCF_EDITOR"
PRESETS_OWN: Final = "preset's"
SEED: Final = ("INT", {"default": 0, "min": 0, "max": 2**53, "control_after_generate": False})


def to_array(image: Tensor) -> NDArray[np.uint8]:
    """One picture (H, W, C) float in [0, 1] to (H, W, 3) uint8."""
    return (image[..., :3].clamp(0, 1).cpu().numpy() * 255 + 0.5).astype(np.uint8)


def to_image(picture: NDArray[np.uint8] | Image.Image) -> Tensor:
    """(H, W, 3) uint8 to IMAGE (1, H, W, 3)."""
    return torch.from_numpy(np.array(picture if isinstance(picture, np.ndarray) else picture.convert("RGB"))).float()[None] / 255


def single(image: Tensor) -> Photo:
    """The only picture of an IMAGE. UserError for a batch of several."""
    if image.ndim != 4 or len(image) != 1:
        raise UserError(f"IMAGE of shape {tuple(image.shape)}: give one picture, (1, H, W, C); a batch goes into Animate")
    array = to_array(image[0])
    return Photo.of(array, Path("image"))


class Load(Node):
    """The networks and the models that read photos."""

    RETURN_TYPES: ClassVar = (EDITOR_TYPE,)
    RETURN_NAMES: ClassVar = ("editor",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        devices = ["cpu"]
        if torch.accelerator.is_available():
            devices.append(str(torch.accelerator.current_accelerator()))
        about = "open, paper, or a folder with other weights"
        return {"required": {"preset": ("STRING", {"default": "open", "tooltip": about}), "device": (devices, {"default": devices[-1]})}}

    def run(self, preset: str, device: str) -> tuple[Editor]:
        return (Editor.load(preset, device),)


class ReadFace(Node):
    """One face of a photo. `faces` says how many there are; 0 is the largest."""

    RETURN_TYPES: ClassVar = (PERSON_TYPE, "STRING", "INT", "IMAGE")
    RETURN_NAMES: ClassVar = ("person", "parameters", "faces", "crop")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        face = ("INT", {"default": 0, "min": 0, "max": 999, "tooltip": "Which face: 0 is the largest."})
        return {"required": {"editor": (EDITOR_TYPE,), "image": ("IMAGE",), "face": face}}

    def run(self, editor: Editor, image: Tensor, face: int) -> tuple[Person, str, int, Tensor]:
        people = editor.read_all(single(image))
        if face >= len(people):
            raise UserError(f"face {face} is not there: {len(people)} found, numbered from 0")
        person = people[face]
        return person, person.parameters.to_json(), len(people), to_image(person.crop.image)


class Personalize(Node):
    """Fine-tune the networks on this face (the paper's one-shot); kept on disk per photo."""

    RETURN_TYPES: ClassVar = (PERSON_TYPE,)
    RETURN_NAMES: ClassVar = ("person",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"editor": (EDITOR_TYPE,), "person": (PERSON_TYPE,), "seed": SEED}}

    def run(self, editor: Editor, person: Person, seed: int) -> tuple[Person]:
        report = progress(editor.settings.iterations)
        return (editor.personalize(person, seed=seed, progress=lambda done, total, loss: report(done)),)


class Preview(Node):
    """The mesh-driven warp, without networks: at once."""

    RETURN_TYPES: ClassVar = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"person": (PERSON_TYPE,), "controls": (CONTROLS_TYPE,)}}

    def run(self, person: Person, controls: Plan) -> tuple[Tensor]:
        return (to_image(person.preview(controls.apply(person.parameters))),)


class Edit(Node):
    """The same person with these controls, in the photo."""

    RETURN_TYPES: ClassVar = ("IMAGE", "MASK", "IMAGE", "STRING")
    RETURN_NAMES: ClassVar = ("image", "mask", "crop", "parameters")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"editor": (EDITOR_TYPE,), "person": (PERSON_TYPE,), "controls": (CONTROLS_TYPE,), "seed": SEED},
            "optional": {
                "steps": ("INT", {"default": 0, "min": 0, "max": 1000, "tooltip": "0: the preset's."}),
                "start": ([PRESETS_OWN, *STARTS], {"default": PRESETS_OWN}),
                "masking": ([PRESETS_OWN, *SCHEDULES], {"default": PRESETS_OWN}),
            },
        }

    def run(
        self,
        editor: Editor,
        person: Person,
        controls: Plan,
        seed: int,
        steps: int = 0,
        start: str = PRESETS_OWN,
        masking: str = PRESETS_OWN,
    ) -> tuple[Tensor, Tensor, Tensor, str]:
        given: dict[str, Any] = {"steps": steps or None}
        given |= {name: None if value == PRESETS_OWN else value for name, value in (("start", start), ("masking", masking))}
        sampling = editor.preset.sampling.with_choices({**given, "seed": seed})  # type: ignore[typeddict-item]
        report = progress(sampling.predictions)
        target = controls.apply(person.parameters)
        result = editor.edit(person, target, lambda step: report(step.index + 1), sampling)
        mask = torch.from_numpy(result.composite.mask)[None]
        return to_image(result.image), mask, to_image(result.crop), target.to_json()


class Animate(Node):
    """The photo does what the face in a batch of frames does."""

    RETURN_TYPES: ClassVar = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        usual = Driving()
        return {
            "required": {
                "editor": (EDITOR_TYPE,),
                "person": (PERSON_TYPE,),
                "frames": ("IMAGE", {"tooltip": "The clip that drives."}),
                "frame_rate": ("FLOAT", {"default": 25.0, "min": 1.0, "max": 240.0, "step": 0.001}),
                "relative": ("BOOLEAN", {"default": usual.relative, "tooltip": "Add changes against the clip's own rest."}),
                "multiplier": ("FLOAT", {"default": usual.multiplier, "min": 0.0, "max": 2.0, "step": 0.05}),
                "smoothing": ("FLOAT", {"default": usual.smoothing, "min": 0.0, "max": 1.0, "step": 0.01, "tooltip": "Seconds."}),
                **{part: ("BOOLEAN", {"default": True}) for part in PARTS},
                "seed": SEED,
            },
            "optional": {"controls": (CONTROLS_TYPE, {"tooltip": "Changes of the photo's face before it moves."})},
        }

    def run(
        self,
        editor: Editor,
        person: Person,
        frames: Tensor,
        frame_rate: float,
        relative: bool,
        multiplier: float,
        smoothing: float,
        seed: int,
        controls: Plan | None = None,
        **parts: bool,
    ) -> tuple[Tensor]:
        driving = Driving(tuple(name for name in PARTS if parts.get(name)), relative, multiplier, smoothing)
        rate = Fraction(frame_rate).limit_denominator(1001)
        report = progress(2 * len(frames))
        performance = read_performance(editor.reader, (to_array(frame) for frame in frames), rate, "frames", report)
        face = (controls or Plan()).apply(person.parameters)
        targets = list(driven(face, performance, driving))
        sampling = sampling_of_frames(editor.preset.sampling).with_choices({"seed": seed})
        moved = animate(editor, person, targets, sampling, progress=lambda done, total: report(len(frames) + done))
        return (torch.cat([to_image(picture) for picture in moved]),)
