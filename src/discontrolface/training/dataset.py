"""Pairs on disk: the same person under two sets of parameters, with snapshots and previews, as blocks of uint8 that are read without copying."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.files import write_atomically
from discontrolface.common.snapshot_spec import MAP_CHANNELS, NORMAL_MAPS, SOURCE_MAPS
from discontrolface.diffusion.training_pair import TrainingPair, crop_places, cut
from discontrolface.nets.backbone import Space
from discontrolface.training.config import TrainConfig
from discontrolface.training.draws import Draws, draw
from discontrolface.training.stages import STAGES
from discontrolface.training.variety import stretched, toned

# Channels of a block's pictures, for the two sides a and b of a pair; "preview_ab" is the warp of a towards b.
SIDES: dict[str, int] = {
    "image_a": 3, "image_b": 3, "normals_a": 3, "normals_b": 3, "lambertian_a": 3, "lambertian_b": 3,
    "preview_ab": 3, "preview_ba": 3, "visibility_ab": 1, "visibility_ba": 1,
}  # fmt: skip
CHANNELS = sum(SIDES.values())
SMALLEST_HIDDEN = 0.005  # of a picture: fewer hidden pixels do not count for more
ABOUT = "pairs.json"
# In a file of its own beside a block, for the runs that ask for it (training/albedo.py).
ALBEDO: dict[str, int] = {"albedo_a": 3, "albedo_b": 3}
CHIP = 4  # numbers that say where a face is (face/chip.py), in a file beside a block for both sides


def channels(name: str) -> slice:
    """Where in a block's channel axis, followed by that of the albedo beside it, this map lies."""
    start = 0
    for key, width in (SIDES | ALBEDO).items():
        if key == name:
            return slice(start, start + width)
        start += width
    raise KeyError(name)


@dataclass(frozen=True)
class Batch(TrainingPair):
    """What one training step sees: pairs, and what chance adds to them."""

    mask: Tensor  # (B,1,H,W) bool: hidden from the encoder
    t: Tensor  # (B,) timesteps
    noise: Tensor  # (B,C,h,w), of the backbone's space
    own: Tensor | None = None  # (B,C,h,w), of the backbone's space: the noise of own predictions, 0 where none is to be made; None: nowhere

    def to(self, device: torch.device | str, channels_last: bool = True) -> Batch:
        """On another device; pictures in the memory order of the networks."""
        order = torch.channels_last if channels_last else torch.contiguous_format
        moved = {name: x.to(device, non_blocking=True) for name, x in self.tensors().items()}
        return replace(self, **{name: x.contiguous(memory_format=order) if x.ndim == 4 else x for name, x in moved.items()})

    def pin_memory(self) -> Batch:
        """In page-locked memory (a DataLoader asks for it), from which a device copies while it computes."""
        return replace(self, **{name: x.pin_memory() for name, x in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """What is there, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


class Source(Protocol):
    """A data set: how many pictures or pairs, how large, and the pictures that a step has drawn."""

    size: int
    head: str  # the name of the head model that the data are of

    @property
    def device(self) -> torch.device | str: ...  # where its pictures are

    def __len__(self) -> int: ...

    def batch(self, draws: Draws, config: TrainConfig) -> TrainingPair: ...


def check_head(source: Source, config: TrainConfig) -> None:
    """UserError if the data are of another head model than the run's network reads. Some stages read none."""
    if STAGES[config.stage].reads_snapshots and source.head != config.head:
        raise UserError(
            f"the data are of the head model {source.head!r} and the config says head: {config.head}; "
            f"write head: {source.head} there, or give data of {config.head!r} (discontrolface prepare --head {config.head})"
        )


class StepData(torch.utils.data.Dataset[list[Batch]]):
    """The micro-batches of one process at each step, for a DataLoader: item s is step s."""

    def __init__(
        self,
        source: Source,
        config: TrainConfig,
        process: int = 0,
        processes: int = 1,
        space: Space | None = None,  # of the noise; None: pictures
    ) -> None:
        check_head(source, config)
        self.source, self.config, self.process, self.processes = source, config, process, processes
        self.space = space or Space(3, source.size)

    def __getitem__(self, step: int) -> list[Batch]:
        config = self.config
        rounds = config.accumulate
        draws = draw(config, step, config.batch * rounds * self.processes, len(self.source), self.source.size)
        firsts = ((self.process * rounds + k) * config.batch for k in range(rounds))
        parts = [draws.part(first, config.batch).to(self.source.device) for first in firsts]
        return [complete(self.source.batch(part, config), part, config, self.space) for part in parts]


def complete(pair: TrainingPair, draws: Draws, config: TrainConfig, space: Space) -> Batch:
    """Pairs with what was drawn for them; of all but the source the training crop, where the config asks for one, on the networks' grid."""
    noise, own = draws.noise(space.size, space.channels), draws.own_noise(space.size, space.channels)
    if config.stretch_jitter:
        pair = stretched(pair, draws.stretch, config.spec)
    if config.crop:
        height, width = pair.target.shape[-2:]
        places = crop_places(height, width, config.crop, draws.centre)
        pair = pair.training_crop(places, config.crop)
        stride = height // space.size
        noise = cut(noise, places, config.crop, stride)
        own = own if own is None else cut(own, places, config.crop, stride)
    return Batch(**{**vars(pair), "weight": weights(pair, config)}, mask=draws.mask, t=draws.t, noise=noise, own=own)


def weights(pair: TrainingPair, config: TrainConfig) -> Tensor:
    """(B,1,H,W) how much each pixel counts: hidden ones more by `hidden_weight`, hard pictures less by `relative_floor`."""
    if config.relative_floor:
        return relative(pair, config)
    if config.hidden_weight and "visibility" in config.snapshot_maps:
        visible = pair.snapshot[:, config.spec.slice("visibility")]
        return pair.weight * (1 + config.hidden_weight * (1 - visible))
    return pair.weight


def relative(pair: TrainingPair, config: TrainConfig) -> Tensor:
    """(B,1,H,W) weights by which the loss asks for a smaller squared error than the preview's, of every picture alike (ours, not the paper's).

    The plain mean is ruled by the few hard edits, at the cost of the many that the preview gets nearly right. Here a picture's error is divided by
    the preview's + `relative_floor`, over the whole; and `hidden_weight` times the same over what the preview does not show. For a model that
    predicts x0 a loss of 1 + hidden_weight is then as good as the preview.
    """
    preview = pair.snapshot[:, config.spec.slice("preview")]
    hidden = 1 - pair.snapshot[:, config.spec.slice("visibility")]  # (B,1,H,W)
    error = (preview - pair.target).square().mean(1, keepdim=True)  # (B,1,H,W)
    area = hidden.mean((1, 2, 3), keepdim=True).clamp(min=SMALLEST_HIDDEN)
    whole = 1 / (error.mean((1, 2, 3), keepdim=True) + config.relative_floor)
    part = 1 / ((error * hidden).mean((1, 2, 3), keepdim=True) / area + config.relative_floor)
    return pair.weight * (whole + config.hidden_weight * hidden / area * part)


def describe_pairs(folder: Path, head: str) -> None:
    """Write pairs.json into a folder of blocks: the head model that they are of, their maps in channel order."""
    write_atomically(folder / ABOUT, (json.dumps({"head": head, "maps": SIDES}, indent=1) + "\n").encode())


def pairs_head(folder: Path) -> str:
    """The head model that the blocks of a folder are of. UserError if its pairs.json does not say, or the maps are not those of now."""
    path = folder / ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        head, maps = str(about["head"]), list(dict(about["maps"]).items())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} does not say of which head model the pairs are ({type(error).__name__}); make them again with "
            "python -m discontrolface.training.pairs (blocks that exist are kept)"
        ) from error
    if maps != list(SIDES.items()):
        raise UserError(f"{path} lists maps {', '.join(k for k, _ in maps)}, not {', '.join(SIDES)} in this order; make the pairs again")
    return head


class PairDataset:
    """All `block_*.npy` and `return_*.npy` of a folder: (N, CHANNELS, H, W) uint8 each, memory-mapped. Pairs of a `return_*.npy` run from a to b
    only: b is a photo, a was made from it (real_pairs.py). pairs.json beside them says the head model."""

    device: torch.device | str = "cpu"

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("block_*.npy")) + sorted(folder.glob("return_*.npy"))
        if not paths:
            raise UserError(
                f"no block_*.npy in {folder}; make pairs first (python -m discontrolface.training.pairs, or discontrolface prepare --people)"
            )
        try:
            self.blocks = [np.load(p, mmap_mode="r", allow_pickle=False) for p in paths]
        except (OSError, ValueError) as error:
            raise UserError(f"a block in {folder} cannot be read ({error}); remove it and make it again") from error
        for path, block in zip(paths, self.blocks, strict=True):
            if block.dtype != np.uint8 or block.ndim != 4 or block.shape[1] != CHANNELS:
                raise UserError(f"{path} holds {block.dtype} {block.shape}, not (N, {CHANNELS}, H, W) uint8 pairs")
            if block.shape[2:] != self.blocks[0].shape[2:] or block.shape[2] != block.shape[3]:
                raise UserError(
                    f"{path} holds pictures of {block.shape[3]}x{block.shape[2]}, the first block others; keep one size in a folder"
                )
        self.folder, self.paths, self.head = folder, paths, pairs_head(folder)
        self.albedo: list[NDArray[np.uint8]] | None = None  # beside the blocks, opened when it is asked for
        self._chips: Tensor | None = None  # the same
        self.starts = np.cumsum([0] + [len(b) for b in self.blocks])
        self.size = int(self.blocks[0].shape[-1])
        two_ways = sum(len(b) for path, b in zip(paths, self.blocks, strict=True) if path.name.startswith("block_"))
        self.one_way_from = two_ways  # pairs from this number on

    def __len__(self) -> int:
        return int(self.starts[-1])

    def open_albedo(self) -> list[NDArray[np.uint8]]:
        """The files `albedo_*.npy` beside the blocks: (N, 6, H, W) uint8 each, memory-mapped."""
        opened = []
        for path, block in zip(self.paths, self.blocks, strict=True):
            file = beside(path, "albedo")
            if not file.is_file():
                raise UserError(
                    f"no {file.name} in {self.folder}, and the snapshot map 'albedo' is not in the blocks; draw it with "
                    f"python -m discontrolface.training.albedo {self.folder}, or leave albedo out of snapshot_maps"
                )
            try:
                albedo = np.load(file, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise UserError(f"{file} cannot be read ({error}); remove it and draw it again") from error
            shape = (len(block), sum(ALBEDO.values()), *block.shape[2:])
            if albedo.dtype != np.uint8 or albedo.shape != shape:
                raise UserError(f"{file} holds {albedo.dtype} {albedo.shape}, its block wants uint8 {shape}; remove it and draw it again")
            opened.append(albedo)
        return opened

    def chips(self) -> Tensor:
        """(pairs, 2, 4), of the files `chips_*.npy` beside the blocks: where the faces of both sides are."""
        if self._chips is None:
            parts = [read_chips(path, len(block)) for path, block in zip(self.paths, self.blocks, strict=True)]
            self._chips = torch.from_numpy(np.concatenate(parts))
        return self._chips

    def width(self, with_albedo: bool) -> int:
        """Channels of a pair."""
        return CHANNELS + (sum(ALBEDO.values()) if with_albedo else 0)

    def bytes(self, index: int, with_albedo: bool = False) -> NDArray[np.uint8]:
        """Pair `index`, (CHANNELS, H, W); with the albedo of both sides 6 channels more."""
        block = int(np.searchsorted(self.starts, index, side="right")) - 1
        row = index - self.starts[block]
        pair = np.array(self.blocks[block][row])
        if with_albedo:
            self.albedo = self.albedo or self.open_albedo()
            pair = np.concatenate([pair, self.albedo[block][row]])
        return pair

    def read(self, index: int, with_albedo: bool = False) -> Tensor:
        """The same as float32 in [0, 1]."""
        return torch.from_numpy(self.bytes(index, with_albedo)).float() / 255

    def batch(self, draws: Draws, config: TrainConfig) -> TrainingPair:
        """The pairs that were drawn, in their direction, mirrored and re-coloured as drawn."""
        pairs = torch.stack([self.read(i, "albedo" in config.snapshot_maps) for i in draws.index.tolist()])
        two_ways = draws.index < self.one_way_from
        chips = self.chips()[draws.index] if config.identity_weight else None
        return assemble(pairs, replace(draws, reverse=draws.reverse & two_ways), config.snapshot_maps, chips)


def beside(block: Path, what: str) -> Path:
    """The file beside a block that holds its albedo maps ("albedo") or its faces' places ("chips")."""
    return block.with_name(f"{what}_{block.name.removeprefix('block_')}")


def read_chips(block: Path, count: int) -> NDArray[np.float32]:
    """(count, 2, 4) of the file beside a block. UserError when there is none, or another."""
    path = beside(block, "chips")
    if not path.is_file():
        raise UserError(
            f"no {path.name} in {path.parent}, and identity_weight asks where the faces are; make the pairs again, or write identity_weight: 0"
        )
    try:
        chips: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); make the pairs again") from error
    if chips.dtype != np.float32 or chips.shape != (count, 2, CHIP) or not np.isfinite(chips).all():
        raise UserError(f"{path} holds {chips.dtype} {chips.shape}, its block wants float32 {(count, 2, CHIP)}; make the pairs again")
    return chips


def assemble(pairs: Tensor, draws: Draws, maps: Sequence[str], chips: Tensor | None = None) -> TrainingPair:
    """pairs (B,CHANNELS,H,W) in [0,1], with albedo maps (B,CHANNELS + 6,H,W), as the networks take them. chips: (B,2,4), of both sides."""
    choose = draws.reverse[:, None, None, None]

    def pick(name: str, of_target: bool = True) -> Tensor:
        if name in SOURCE_MAPS:
            name, of_target = {"source": "image", "source_normals": "normals"}[name], False
        forward, backward = ("ab", "ba") if name in ("preview", "visibility") else ("b", "a") if of_target else ("a", "b")
        if f"{name}_{forward}" not in SIDES | ALBEDO:
            raise UserError(f"blocks of pairs hold no snapshot map {name!r}; choose from {', '.join(MAP_CHANNELS)}")
        return torch.where(choose, pairs[:, channels(f"{name}_{backward}")], pairs[:, channels(f"{name}_{forward}")])

    pictures = {"source": pick("source"), "target": pick("image"), **{m: pick(m) for m in maps}}
    pair = finish(pictures, torch.ones_like(pairs[:, :1]), draws, maps)
    return pair if chips is None else replace(pair, chip=chips_of_targets(chips, draws))


def chips_of_targets(chips: Tensor, draws: Draws) -> Tensor:
    """(B,4) of (B,2,4): those of the targets, in the mirror where the pictures are mirrored."""
    chip = torch.where(draws.reverse[:, None], chips[:, 0], chips[:, 1])
    right, down, side, angle = chip.unbind(1)
    return torch.where(draws.mirrored[:, None], torch.stack([1 - right, down, side, -angle], 1), chip)


def finish(pictures: dict[str, Tensor], weight: Tensor, draws: Draws, maps: Sequence[str]) -> TrainingPair:
    """Pictures by name, (B,C,H,W) in [0, 1] (normals as 0.5 + n/2), as the networks take them: mirrored, re-coloured, in the networks' range."""
    mirrored = draws.mirrored[:, None, None, None]

    def ready(name: str) -> Tensor:
        x = pictures[name]
        if name in NORMAL_MAPS:
            x = 2 * x - 1
            x = torch.where(mirrored, torch.cat([-x[:, :1], x[:, 1:]], 1), x)
        elif name != "visibility":
            x = 2 * toned((x * draws.gain).clamp(0, 1), draws.tone) - 1
        return torch.where(mirrored, x.flip(-1), x)

    snapshot = torch.cat([ready(m) for m in maps], 1)
    source = ready("source")
    weight = torch.where(mirrored, weight.flip(-1), weight)
    return TrainingPair(source, ready("target"), snapshot, weight)
