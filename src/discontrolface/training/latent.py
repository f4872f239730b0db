"""The command `train latent`: the latent DPM of a backbone, on the codes of its own encoder (Diff-AE, Section 5.4). Pictures come from a folder of
aligned crops, from shards, or, if none are given, are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from discontrolface.common.configs import load_dataclass
from discontrolface.common.errors import UserError
from discontrolface.common.files import replace_folder
from discontrolface.common.tensors import to_network
from discontrolface.diffusion.latent import latent_loss
from discontrolface.editing.aligned import aligned_picture
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.latent import MLPSkipNet
from discontrolface.nets.randomness import SeededWeights
from discontrolface.synthetic.portraits import make_scene, random_parameters, render_scene
from discontrolface.training.average import Averaged
from discontrolface.training.draws import step_generator
from discontrolface.training.shards import ShardDataset
from discontrolface.weights.codes import codes_folder
from discontrolface.weights.preset import load_backbone

Say = Callable[[str], None]
ENCODED_AT_ONCE = 8
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class LatentTraining:
    """A run. The network's defaults are the official ones."""

    stage: str = "latent"
    portraits: int = 0  # drawn when no --data is given; 0: data must be given
    hidden_channels: int = 2048
    num_layers: int = 10
    steps: int = 100_000
    batch: int = 128  # codes per step
    lr: float = 1e-4  # AdamW
    weight_decay: float = 0.01
    ema: float = 0.9999  # decay of the averaged weights
    seed: int = 0

    def __post_init__(self) -> None:
        if self.stage != "latent":
            raise UserError(f"stage is {self.stage!r}, not 'latent'")
        for name in ("hidden_channels", "num_layers", "steps", "batch"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 1")


def run_latent(
    path: Path,  # of the config
    data: Path | None,  # shards (`prepare`), or a folder of aligned crops
    output: Path | None,  # the weights go to OUTPUT/weights
    backbone: Path | None,  # None: the preset's
    preset: str,
    device: str,
    say: Say,
) -> Path:
    """Encode the pictures, train, and return the folder of the averaged weights, which `sample --latent` takes."""
    config = load_dataclass(path, LatentTraining())
    output = output or Path("runs") / path.stem
    if (output / "weights").exists():
        raise UserError(f"{output / 'weights'} exists; choose another --output")
    model: Backbone = load_backbone(backbone or codes_folder(preset) / "diffae", device)
    if data is None and not config.portraits:
        raise UserError(f"{path} draws no portraits; give --data, shards (discontrolface prepare) or a folder of aligned crops")
    pictures = drawn_portraits(config.portraits, model.image_size) if data is None else read_crops(data, model.image_size)
    z = encode(model, pictures, device, say)
    say(f"{len(z)} codes of {z.shape[1]} numbers, {config.steps} steps of {config.batch}")
    net = train_latent(z, config, device, say)
    output.mkdir(parents=True, exist_ok=True)
    replace_folder(net.save_pretrained, output / "weights", "the weights")
    return output / "weights"


def drawn_portraits(count: int, size: int) -> Iterator[Tensor]:
    """Portraits of the seeds 0..count-1, which are not held out: (1,3,size,size) each."""
    for seed in range(count):
        scene = make_scene(seed, detail=min(1.0, max(0.4, size / 256)))
        yield to_network(render_scene(scene, random_parameters(scene, np.random.default_rng([seed, 472])), size).image)


def read_crops(folder: Path, size: int) -> Iterator[Tensor]:
    """The crops of shards (there is an index.json), or the pictures of a folder: (1,3,size,size) each. UserError where there are none."""
    if (folder / "index.json").is_file():
        shards = ShardDataset(folder)
        if shards.size != size:
            raise UserError(f"the crops in {folder} have {shards.size} pixels, the backbone wants {size}; run prepare with --size {size}")
        return (to_network(shards.photo(i)) for i in range(len(shards)))
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in PICTURES)
    if not paths:
        raise UserError(f"no index.json and no pictures in {folder}; give shards (discontrolface prepare) or a folder of aligned crops")
    return (aligned_picture(path, size, None)[1] for path in paths)


@torch.no_grad()
def encode(model: Backbone, pictures: Iterator[Tensor], device: str, say: Say) -> Tensor:
    """z_sem of all pictures: (N,Z), on the CPU."""
    codes: list[Tensor] = []
    waiting: list[Tensor] = []
    for number, picture in enumerate(pictures, 1):
        waiting.append(picture)
        if len(waiting) == ENCODED_AT_ONCE:
            codes.append(model.encode(torch.cat(waiting).to(device)).cpu())
            waiting = []
        if number % 500 == 0:
            say(f"{number} pictures encoded")
    if waiting:
        codes.append(model.encode(torch.cat(waiting).to(device)).cpu())
    z = torch.cat(codes)
    if len(z) < 2:
        raise UserError("one picture has no distribution; give many")
    return z


def train_latent(z: Tensor, config: LatentTraining, device: str, say: Say = lambda text: None) -> MLPSkipNet:
    """The network with its averaged weights, in evaluation mode. Deterministic: weights, draws and noise follow from `config.seed`."""
    with SeededWeights(config.seed):
        net = MLPSkipNet(z.shape[1], config.hidden_channels, config.num_layers, skip_layers=tuple(range(1, config.num_layers)))
    net.set_statistics(z)
    net.to(device).train()
    averaged = Averaged(net, config.ema)
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    total = 0.0
    for step in range(config.steps):
        generator = step_generator(config.seed, step)
        rows = torch.randint(len(z), (config.batch,), generator=generator)
        optimizer.zero_grad(set_to_none=True)
        loss = latent_loss(net, z[rows].to(device), generator=generator).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        averaged.update(net, step)
        total += loss.detach().item() if (step + 1) % 100 == 0 else 0.0
        if (step + 1) % 1000 == 0:
            say(f"step {step + 1}/{config.steps}  loss {total / 10:.4f}")
            total = 0.0
    averaged.swap(net)
    return net.eval()
