"""The same methods once more with other weights, in columns of their own: how `train`'s results are compared with what a preset ships."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.editing.method import Method, method_table
from discontrolface.editing.pipeline import PreparedEdit, prepare
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.weights.control_head import check_control_head
from discontrolface.weights.preset import Preset, load_network, load_preset

WEIGHTS = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class OtherWeights:
    """A column: a method of the table with the weights of a folder. label: what the user calls these weights."""

    label: str
    method: str
    folder: Path

    @property
    def name(self) -> str:
        """Of the column."""
        return f"{self.label}:{self.method}"

    @property
    def title(self) -> str:
        """In tables."""
        return f"{self.label}: {method_table()[self.method].label}"

    @property
    def files(self) -> tuple[Path, ...]:
        """What its pictures follow."""
        if is_preset(self.folder):
            return (self.folder / "preset.json", self.folder / "diffae" / WEIGHTS, self.folder / "exp_facenet" / WEIGHTS)
        return (self.folder / WEIGHTS,)


def other_columns(methods: Sequence[str], folders: Mapping[str, Path]) -> tuple[OtherWeights, ...]:
    """A column for each folder and each of the methods that follow the preset's networks. UserError when none does."""
    entries = method_table()
    follow = [name for name in methods if entries[name].networks]
    if folders and not follow:
        raise UserError(
            f"--weights {next(iter(folders))}: none of the methods {', '.join(methods)} uses a preset's networks; name one that does"
        )
    return tuple(OtherWeights(label, method, folder) for label, folder in folders.items() for method in follow)


def split_weights(folders: Mapping[str, Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """(of methods that bring their own, by method; of ours, by the user's name). UserError for a method that uses a preset's, and a file of ours."""
    table = method_table()
    own = {name: folder for name, folder in folders.items() if name in table}
    files = [name for name, path in folders.items() if name not in table and not path.is_dir()]
    if files:
        raise UserError(f"--weights {files[0]}: {folders[files[0]]} is a file; give a folder that `train` wrote, or a preset's")
    wrong = [name for name in own if table[name].networks]
    if wrong:
        raise UserError(
            f"--weights {wrong[0]}: the method uses the preset's weights; give the folder another name to compare it with these"
        )
    return own, {name: folder for name, folder in folders.items() if name not in table}


def is_preset(folder: Path) -> bool:
    """Whether a folder is a preset's; else it is a control network's, as `train` writes it."""
    return (folder / "preset.json").is_file()


def load_other(folder: Path, preset: Preset, device: str) -> Preset:
    """A preset's folder, or the preset at hand with the control network of a folder. UserError for another head model or another size."""
    if is_preset(folder):
        other = load_preset(folder, device)
    else:
        control = load_network(ExpFaceNet, folder, device)
        check_control_head(control, preset.head, folder)
        other = replace(preset, name=folder.name, control=control)
    size = preset.model.image_size
    if (other.head, other.model.image_size) != (preset.head, size):
        raise UserError(
            f"{folder} is of the head model {other.head!r} at {other.model.image_size} pixels, the preset of {preset.head!r} at {size}; "
            "evaluate it by itself with --preset"
        )
    return other


def with_own_snapshots(method: Method, maps: tuple[str, ...]) -> Method:
    """The method, with edits whose snapshots have the maps that its network was trained on."""

    def own(edit: PreparedEdit) -> PreparedEdit:
        return edit if edit.snapshot.spec.maps == maps else prepare(edit.person, edit.target, edit.size, maps, edit.seed)

    def run(edits: Sequence[PreparedEdit]) -> list[NDArray[np.uint8]]:
        return method([own(edit) for edit in edits])

    return run
