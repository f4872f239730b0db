"""One person's photos (about 20) for DiffusionRig's stage 2: read with one shape, buffers drawn, once (official `create_data.py`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from discontrolface.baselines.rig_buffers import rig_buffers
from discontrolface.common.errors import UserError
from discontrolface.common.pixels import to_float
from discontrolface.common.snapshot_spec import SnapshotSpec
from discontrolface.common.tensors import to_network
from discontrolface.diffusion.training_pair import TrainingPair
from discontrolface.editing.person import Person
from discontrolface.editing.reading import Reader
from discontrolface.nets.diffusion_rig import MAPS
from discontrolface.training.config import TrainConfig
from discontrolface.training.draws import Draws
from discontrolface.training.run import picture_size


class RigAlbum:
    """A data set for the training loop: each photo is its own source and target; `snapshot` holds the buffers as the network takes them."""

    device: torch.device | str = "cpu"

    def __init__(self, pictures: Tensor, physical: Tensor, head: str, left_out: dict[str, str]) -> None:
        self.pictures, self.physical = pictures, physical  # (N,3,S,S) in [-1, 1], (N,9,S,S)
        self.head, self.left_out = head, left_out  # left_out: {photo: why}
        self.size = int(pictures.shape[-1])

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, draws: Draws, config: TrainConfig) -> TrainingPair:
        """The photos that were drawn, as they are: nothing is mirrored and no colour changed, as officially."""
        picture = self.pictures[draws.index]
        return TrainingPair(picture, picture, self.physical[draws.index], torch.ones_like(picture[:, :1]))


def read_album(folder: Path, reader: Reader, size: int) -> RigAlbum:
    """Read a folder's photos. UserError when it holds none with a face; photos without one are left out, with the reason."""
    paths = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")) if folder.is_dir() else []
    people: list[Person] = []
    left_out: dict[str, str] = {}
    for path in paths:
        try:
            people.append(reader.read(path))
        except UserError as error:
            left_out[path.name] = str(error)
    if not people:
        why = f"; {next(iter(left_out.values()))}" if left_out else ""
        raise UserError(f"{folder} holds no photo with a face ({len(left_out)} files were tried{why}); give a folder of about 20 photos")
    shape = np.mean([person.parameters.shape for person in people], axis=0)
    head = people[0].parameters.head
    spec = SnapshotSpec(head, MAPS)
    pictures = [to_network(to_float(person.crop.resize(size).image)) for person in people]
    physical = [rig_buffers(person.geometry, person.parameters.with_(shape=shape), size, spec) for person in people]
    return RigAlbum(torch.cat(pictures), torch.cat(physical), head, left_out)


def open_album(config: TrainConfig, folder: Path, assets: Path | None) -> RigAlbum:
    """The photos of a run, read with the config's head model."""
    size = picture_size(config)
    return read_album(folder, Reader.load(config.head, size, assets), size)
