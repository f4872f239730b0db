"""Data sets of photos as WebDataset shards (docs/data.md): written whole, read at random places, and made into training pairs.

FOLDER/index.json            head model, size, crop format, and the list of shards with their numbers of samples (webdataset's wids reads it too)
FOLDER/shard-000000.tar      KEY.crop.png, KEY.snapshot.png, KEY.masks.png, KEY.parameters.json, KEY.meta.json for each sample
FOLDER/shard-000000.json     where each file lies in the tar; which photos gave no sample, and why
"""

from __future__ import annotations

import functools
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.files import replacing
from discontrolface.common.snapshot_spec import PAPER_MAPS
from discontrolface.diffusion.training_pair import TrainingPair
from discontrolface.editing.looks import PHOTO_AS_TARGET, Look, hide_preview, own_look, warped_looks
from discontrolface.face.geometry import Geometry, SourceLook
from discontrolface.face.heads.contract import HeadOptions
from discontrolface.face.heads.registry import find_head
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.random_edits import random_edit
from discontrolface.training.config import TrainConfig
from discontrolface.training.dataset import finish
from discontrolface.training.draws import Draws

INDEX_KIND, INDEX_VERSION = "wids-shard-index-v1", 1
MAX_FILE = 50_000_000  # bytes of one file in a shard
STORED = PAPER_MAPS  # maps in KEY.snapshot.png, side by side


def write_shard(path: Path, samples: Sequence[tuple[str, dict[str, bytes]]]) -> list[dict[str, Any]]:
    """Write a tar of (key, {ending: bytes}) samples, whole or not at all, the same bytes for the same samples. Returns where each file lies."""
    entries: list[dict[str, Any]] = []
    with replacing(path, "the shard") as f, tarfile.open(fileobj=f, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for key, members in samples:
            offsets: dict[str, list[int]] = {}
            for ending, data in members.items():
                info = tarfile.TarInfo(f"{key}.{ending}")
                info.size, info.mode = len(data), 0o644
                tar.addfile(info, io.BytesIO(data))
                start = tar.offset - -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                offsets[ending] = [start, len(data)]
            entries.append({"key": key, "files": offsets})
    return entries


def write_index(folder: Path, shards: Sequence[tuple[str, int]], size: int, crop_format: str, head: str) -> None:
    """Write index.json for (shard's name, number of samples)."""
    index: dict[str, Any] = {
        "__kind__": INDEX_KIND,
        "wids_version": INDEX_VERSION,
        "name": folder.name,
        "size": size,
        "crop_format": crop_format,
        "head": head,
    }
    index["shardlist"] = [{"url": name, "nsamples": count} for name, count in shards]
    with replacing(folder / "index.json", "the index") as f:
        f.write(json.dumps(index, indent=1).encode())


class ShardDataset:
    """Photos of a folder of shards, or of a folder of such folders, each readable by its number; as a training source it makes pairs of them.

    assets: the folder of imported files, for pairs that are drawn with a head model of such files; None: the user's.
    """

    device: torch.device | str = "cpu"

    def __init__(self, folder: Path, assets: Path | None = None) -> None:
        paths = [folder / "index.json"] if (folder / "index.json").is_file() else sorted(folder.glob("*/index.json"))
        if not paths:
            raise UserError(
                f"no index.json in {folder} or the folders in it; make shards first (discontrolface prepare PHOTOS -o {folder})"
            )
        shards: list[tuple[str, int]] = []
        kinds: set[tuple[int, str, str]] = set()
        for path in paths:
            try:
                index = json.loads(path.read_text())
                found = [(str(s["url"]), int(s["nsamples"])) for s in index["shardlist"]]
                kinds.add((int(index["size"]), str(index["crop_format"]), str(index["head"])))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{path} is not an index of shards, with size, crop_format and head ({error}); run prepare again, into a new folder"
                ) from error
            if any("/" in name or not name.endswith(".tar") for name, _ in found):
                raise UserError(f"{path} names a shard outside its folder")
            shards += [(str((path.parent / name).relative_to(folder)), count) for name, count in found]
        if len(kinds) > 1:
            raise UserError(f"the folders in {folder} hold crops of several sizes, formats or head models; train on one kind")
        self.size, self.crop_format, self.head = next(iter(kinds))
        self.assets = assets
        self.folder, self.names = folder, [name for name, _ in shards]
        self.starts = np.cumsum([0] + [count for _, count in shards])
        if not len(self):
            raise UserError(f"the shards in {folder} hold no photo; see report.md there")
        self._entries = functools.lru_cache(maxsize=64)(self._read_entries)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_entries"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._entries = functools.lru_cache(maxsize=64)(self._read_entries)

    def _read_entries(self, name: str) -> list[dict[str, Any]]:
        path = (self.folder / name).with_suffix(".json")
        try:
            entries: list[dict[str, Any]] = json.loads(path.read_text())["samples"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} cannot be read; run prepare again") from error
        return entries

    def file(self, index: int, ending: str) -> bytes:
        """The bytes of one file of a sample."""
        shard = int(np.searchsorted(self.starts, index, side="right")) - 1
        name = self.names[shard]
        try:
            start, length = (int(v) for v in self._entries(name)[index - int(self.starts[shard])]["files"][ending])
            if start < 0 or not 0 <= length <= MAX_FILE:
                raise ValueError(f"a file of {length} bytes")
            with (self.folder / name).open("rb") as f:
                f.seek(start)
                data = f.read(length)
        except (OSError, KeyError, IndexError, ValueError, TypeError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{ending} of sample {index} in {self.folder / name} cannot be read ({error}); run prepare again") from error
        if len(data) != length:
            raise UserError(f"{self.folder / name} is cut off; remove it and its .json and run prepare again")
        return data

    def picture(self, index: int, ending: str, width: int) -> NDArray[np.float32]:
        """A picture of a sample, (size, width, 3) in [0, 1]."""
        from PIL import Image

        try:
            image = Image.open(io.BytesIO(self.file(index, ending)), formats=["PNG", "JPEG"])
            if image.size != (width, self.size):
                raise ValueError(f"{image.size[0]}x{image.size[1]} pixels")
            return np.asarray(image.convert("RGB")).astype(np.float32) / np.float32(255)
        except (OSError, ValueError, SyntaxError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{ending} of sample {index} in {self.folder} is not the picture it should be ({error})") from error

    def photo(self, index: int) -> NDArray[np.float32]:
        """The crop of a sample, (size, size, 3) in [0, 1]."""
        return self.picture(index, f"crop.{self.crop_format}", self.size)

    def parameters(self, index: int) -> FaceParameters:
        """The face parameters of a sample."""
        text = self.file(index, "parameters.json").decode(errors="replace")
        return FaceParameters.from_json(text, source=f"sample {index} in {self.folder}")

    def geometry(self, index: int) -> Geometry:
        """What draws the head of a sample. UserError where the stored snapshot has wrinkles: what made them is not stored."""
        label = json.loads(self.file(index, "meta.json")).get("drawn_by", self.head)
        if label != self.head:
            raise UserError(
                f"sample {index} in {self.folder} has the wrinkles of {label!r}, which only stored snapshots show; "
                "train with pairs: self and the maps normals and lambertian, or run prepare with --no-detail"
            )
        return head_geometry(self.head, self.assets)

    def batch(self, draws: Draws, config: TrainConfig) -> TrainingPair:
        """The photos that were drawn, as the config's pairs: `self` (the paper) or `warp` (the photo and a random look of it, by the preview)."""
        maps, own = config.snapshot_maps, config.pairs == "self"
        looks = [self._own(i) if own else self._warped(i, s) for i, s in zip(draws.index.tolist(), draws.seed.tolist(), strict=True)]
        pictures: dict[str, list[NDArray[Any]]] = {}
        for number, look in zip(draws.index.tolist(), looks, strict=True):
            values = {"source": look.source, "target": look.target, **self._maps(number, look, maps, own)}
            for name, value in values.items():
                pictures.setdefault(name, []).append(value)
        tensors = {k: torch.from_numpy(np.stack(v)).float().permute(0, 3, 1, 2) for k, v in pictures.items()}
        pair = finish(tensors, torch.from_numpy(np.stack([look.weight for look in looks]))[:, None], draws, maps)
        if not own:
            return pair
        return replace(pair, snapshot=hide_preview(pair.snapshot, config.spec, draws.mask))

    def _own(self, index: int) -> Look:
        return own_look(self.photo(index), self.parameters(index))

    def _warped(self, index: int, seed: int) -> Look:
        rng = np.random.default_rng(seed)
        photo, parameters = self.photo(index), self.parameters(index)
        back, forth = warped_looks(photo, parameters, self.geometry(index), random_edit(parameters, rng))
        return back if rng.random() < PHOTO_AS_TARGET else forth

    def _maps(self, index: int, look: Look, maps: Sequence[str], stored: bool) -> dict[str, NDArray[Any]]:
        """The snapshot maps of the target, (H, W, C) in [0, 1]; those of the photo itself as they were stored."""
        if stored and set(maps) <= {*STORED, "preview", "visibility"}:
            both = self.picture(index, "snapshot.png", 2 * self.size)
            out: dict[str, NDArray[Any]] = {"normals": both[:, : self.size], "lambertian": both[:, self.size :]}
            out |= {"preview": look.preview.image, "visibility": look.preview.visibility[..., None]}
            return {m: out[m] for m in maps}
        source = SourceLook(look.source, look.source_parameters)
        drawn = self.geometry(index).snapshot(look.parameters, self.size, maps, look.preview, source=source)
        values = {m: drawn.image[0, drawn.spec.slice(m)].permute(1, 2, 0).numpy() for m in maps}
        return {m: value if m == "visibility" else value * 0.5 + 0.5 for m, value in values.items()}


@functools.lru_cache(maxsize=1)
def head_geometry(head: str, assets: Path | None) -> Geometry:
    """What draws a head model, loaded once in each process."""
    return find_head(head).geometry(HeadOptions(assets))
