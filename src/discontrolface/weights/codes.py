"""What works on codes alone, without a head model: a preset's backbone, the latent DPM, attribute directions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from discontrolface.common.errors import UserError
from discontrolface.common.folders import default_folder, latent_folder
from discontrolface.diffusion.attributes import AttributeDirections
from discontrolface.nets.backbone import Backbone
from discontrolface.nets.latent import MLPSkipNet
from discontrolface.nets.network import CONFIG
from discontrolface.weights.manifest import open_folder
from discontrolface.weights.official import import_attributes, import_latent
from discontrolface.weights.preset import load_backbone, load_network, saved_class

T = TypeVar("T")
BRING = (
    "give --latent: the official latent checkpoint (checkpoints/ffhq256_autoenc_latent/last.ckpt of phizaz/diffae) with --preset paper, "
    "or a folder that `discontrolface train latent` wrote for this backbone"
)
BRING_DIRECTIONS = (
    "give a .safetensors that `discontrolface attributes train` wrote for this backbone, or, with --preset paper, the official classifier's "
    "checkpoint (checkpoints/ffhq256_autoenc_cls/last.ckpt of phizaz/diffae)"
)


def codes_folder(preset: str | Path, assets: str | Path | None = None) -> Path:
    """A preset's folder, of which only the backbone has to be there. assets: of imported files, for "paper"; None: the user's."""
    known = {"open": open_folder(), "paper": default_folder() if assets is None else Path(assets), "latent": latent_folder()}
    folder = known.get(str(preset), Path(preset))
    if not (folder / "diffae" / CONFIG).is_file():
        way = "import the official last.ckpt with `discontrolface assets import`" if str(preset) == "paper" else "train it or copy it there"
        raise UserError(f"preset {str(preset)!r} has no backbone in {folder / 'diffae'}; {way}")
    return folder


def open_backbone(folder: Path, device: str = "cpu") -> Backbone:
    """The backbone of a preset's folder."""
    backbone: Backbone = load_backbone(folder / "diffae", device)
    return backbone


def open_latent(path: Path | None, folder: Path, model: Backbone, device: str = "cpu") -> MLPSkipNet:
    """The latent DPM of a backbone: an official checkpoint, a saved folder, or (None) FOLDER/latent of the preset. UserError says which to bring."""
    if path is None:
        path = folder / "latent"
        if not path.is_dir():
            raise UserError(f"the preset in {folder} has no latent DPM, from which faces are drawn; {BRING}")
    net = _saved_latent(path, device) if path.is_dir() else _official(import_latent, path, BRING).to(device)
    wide = int(model.config["z_channels"])  # type: ignore[attr-defined]
    if net.mean.numel() != wide:
        raise UserError(f"{path} makes codes of {net.mean.numel()} numbers, the backbone in {folder} takes {wide}; {BRING}")
    return net


def open_directions(path: Path) -> AttributeDirections:
    """Attribute directions: a .safetensors that `attributes train` wrote, or the official classifier's checkpoint (*_cls/last.ckpt)."""
    return AttributeDirections.load(path) if path.suffix == ".safetensors" else _official(import_attributes, path, BRING_DIRECTIONS)


def _saved_latent(folder: Path, device: str) -> MLPSkipNet:
    if not (folder / CONFIG).is_file():
        raise UserError(f"no {CONFIG} in {folder}, so it holds no latent DPM; {BRING}")
    kind = saved_class(folder)
    if kind != MLPSkipNet.__name__:
        raise UserError(f"{folder} holds another network ({kind}), not the latent DPM that draws the codes of faces; {BRING}")
    net: MLPSkipNet = load_network(MLPSkipNet, folder, device)
    return net


def _official(read: Callable[[Path], T], path: Path, bring: str) -> T:
    """What `read` imports. Where it cannot, what it says the file is, and what to bring: its own way out names functions of Python."""
    try:
        return read(path)
    except UserError as error:
        raise UserError(f"{str(error).partition(';')[0].rstrip('.')}; {bring}") from error
