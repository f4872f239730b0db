"""The networks of a preset: a folder with the two of them and the way they like to be used (manifest.py).

diffae/          the backbone (any class of nets/backbone.py), in the layout of diffusers (nets/network.py)
exp_facenet/     the control network
super_resolution/  may be left out: what makes an edit as sharp as the photo where the photo did not show it (nets/super_resolution.py)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from discontrolface.common.errors import UserError
from discontrolface.diffusion.masking import PATCH
from discontrolface.diffusion.settings import Sampling
from discontrolface.nets.backbone import Backbone, backbone_class
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.super_resolution import SuperResolution
from discontrolface.weights.control_head import check_control_head
from discontrolface.weights.manifest import read_description


@dataclass(frozen=True)
class Preset:
    """The networks of a preset, in evaluation mode, and its defaults."""

    name: str
    head: str  # the head model whose snapshots the control network was trained on, a name of face/heads/registry.py
    model: Backbone
    control: ExpFaceNet
    sampling: Sampling  # how an edit is denoised unless the user says otherwise
    one_shot: Mapping[str, Any] = field(default_factory=dict)  # fields of `OneShot` that differ from the paper's
    larger: SuperResolution | None = None  # None: what the photo did not show stays as soft as the networks' picture
    personalize: bool = True  # whether `edit` fine-tunes on the photo first, as the paper does, unless the user says otherwise


def read_manifest(folder: Path) -> dict[str, Any]:
    """preset.json as the fields of `Preset` that it holds. Raises UserError that names what is missing or wrong."""
    read, manifest = read_description(folder), folder / "preset.json"
    try:
        values: dict[str, Any] = {"name": read["name"], "head": read["head"], "one_shot": dict(read.get("one_shot", {}))}
        values["personalize"] = checked_flag(read.get("personalize", True))
        chosen: dict[str, Any] = {"start": str(read["start"]), "strength": float(read["strength"]), "steps": int(read["steps"])}
        chosen["temperature"] = float(read.get("temperature", 1.0))
        chosen["mask_patch"] = int(read.get("mask_patch", PATCH))
        chosen["resolution"] = str(read.get("resolution", "photo"))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{manifest} is not a preset's description ({error})") from error
    try:
        return values | {"sampling": Sampling(**chosen)}
    except UserError as error:
        raise UserError(f"{manifest}: {error}") from None


def checked_flag(value: Any) -> bool:
    """A truth value of JSON; ValueError for another value."""
    if not isinstance(value, bool):
        raise ValueError(f"personalize is {value!r}, not true or false")
    return value


def load_preset(folder: Path, device: str = "cpu") -> Preset:
    """Read a preset. UserError that names what is missing or broken."""
    values = read_manifest(folder)
    for part in ("diffae", "exp_facenet"):
        if not (folder / part / "config.json").is_file():
            raise UserError(f"preset {values['name']!r} in {folder} has no {part}/config.json; train it or copy it there")
    model, control = load_backbone(folder / "diffae", device), load_network(ExpFaceNet, folder / "exp_facenet", device)
    check_control_head(control, values["head"], folder / "exp_facenet")
    larger = folder / "super_resolution"
    return Preset(**values, model=model, control=control, larger=load_network(SuperResolution, larger, device) if larger.is_dir() else None)


def saved_class(folder: Path) -> str:
    """The name of the class whose weights lie in a folder. UserError if its config.json does not say."""
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["_class_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} cannot be read: its config.json does not name a network ({error})") from error


def load_backbone(folder: Path, device: str = "cpu") -> Any:
    """A backbone of the class that its config.json names (nets/backbone.py), as `load_network` gives it."""
    return load_network(backbone_class(saved_class(folder)), folder, device)


def load_network(kind: Any, folder: Path, device: str = "cpu") -> Any:
    """A network of a folder, in evaluation mode, frozen. UserError if it cannot be read."""
    try:
        network = kind.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{folder} cannot be read: {str(error).splitlines()[0]}") from error
    return network.to(device=device, memory_format=torch.channels_last).eval().requires_grad_(False)
