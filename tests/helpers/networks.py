"""Networks small enough to run many times in a test."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import OPEN_MAPS, ExpFaceNet
from discontrolface.nets.presets import debug_config


def write_networks(folder: Path, maps: tuple[str, ...], gate: str, head: str = "open") -> None:
    """A random debug backbone and its control network as folder/diffae and folder/exp_facenet."""
    torch.manual_seed(0)
    model = DiffAE(**debug_config())
    control = ExpFaceNet.from_backbone(model, snapshot_maps=maps, preview_gate=gate, head=head)
    with torch.no_grad():  # fresh networks' last layers are zero: nothing would pass them
        for network in (model, control):
            for p in network.parameters():
                p.add_(0.05 * torch.randn(p.shape))
    model.save_pretrained(folder / "diffae")
    control.save_pretrained(folder / "exp_facenet")


def write_tiny_preset(folder: Path) -> Path:
    """A preset of 32 pixels whose random networks answer to everything that they see."""
    write_networks(folder, OPEN_MAPS, "visibility")
    about = {"name": "tiny", "head": "open", "start": "noise", "strength": 0.5, "steps": 4, "one_shot": {"mask_patch": 4, "iterations": 2}}
    (folder / "preset.json").write_text(json.dumps(about))
    return folder
