"""A preset: a folder with the two networks and the way they like to be used.

preset.json      {"name", "head", "start", "strength", "steps", "one_shot"}
diffae/          the backbone, as diffusers saves it
exp_facenet/     the control network
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from discontrolface.errors import UserError
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet

STARTS = ("draft", "noise", "inverted")


@dataclass(frozen=True)
class Preset:
    """The networks of a preset, in evaluation mode, and its defaults."""

    name: str
    head: str  # the head model: "open"
    model: DiffAE
    control: ExpFaceNet
    start: str  # where an edit starts unless the user says otherwise
    strength: float  # with start "draft"
    steps: int


def open_folder() -> Path:
    """The open preset's folder inside the package."""
    return Path(str(files("discontrolface") / "assets" / "open"))


def load_preset(folder: Path, device: str = "cpu") -> Preset:
    """Read a preset. UserError that names what is missing or broken."""
    manifest = folder / "preset.json"
    if not manifest.is_file():
        raise UserError(f"no preset.json in {folder}; give 'open' or a folder with preset.json, diffae/ and exp_facenet/")
    try:
        values: dict[str, Any] = json.loads(manifest.read_text())
        name, head, start = str(values["name"]), str(values["head"]), str(values["start"])
        strength, steps = float(values["strength"]), int(values["steps"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{manifest} is not a preset's description ({error})") from error
    if start not in STARTS:
        raise UserError(f"{manifest}: start {start!r} is not known; choose one of {', '.join(STARTS)}")
    networks: list[Any] = []
    for kind, part in ((DiffAE, "diffae"), (ExpFaceNet, "exp_facenet")):
        if not (folder / part / "config.json").is_file():
            raise UserError(f"preset {name!r} in {folder} has no {part}/config.json; train it or copy it there")
        try:
            network = kind.from_pretrained(folder / part, torch_dtype=torch.float32, low_cpu_mem_usage=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(f"{folder / part} cannot be read: {str(error).splitlines()[0]}") from error
        networks.append(network.to(device=device, memory_format=torch.channels_last).eval().requires_grad_(False))
    return Preset(name, head, networks[0], networks[1], start, strength, steps)
