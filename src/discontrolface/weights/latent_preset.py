"""A preset on autoencoder latents, made from a preset on pixels: `discontrolface assets latent`.

A network that sees p x p pixels of a picture of S as channels has the grid of one that sees latents of f = k p pixels of a picture of k S. All
between its first and last layers stays as it is. The first layers get what the latents say about the small picture's patches, the last ones turn
patches into latents: both by least squares on pictures, for latents are nearly linear in pixels. The preview and the source are mixed in after
decoding, by the gates of the small picture, enlarged. What training then changed comes from a file (latent_parts.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.files import replace_folder
from discontrolface.common.weights_id import weights_id
from discontrolface.diffusion.masking import PATCH
from discontrolface.nets.autoencoders import make_autoencoder
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.latent_diffae import LatentDiffAE
from discontrolface.nets.presets import autoencoder_config
from discontrolface.nets.randomness import SeededWeights
from discontrolface.weights.autoencoders import load_autoencoder
from discontrolface.weights.latent_parts import apply_parts
from discontrolface.weights.manifest import read_description
from discontrolface.weights.preset import load_preset

RIDGE = 1e-4  # of the mean square of what is fitted from
COOL = 0.2  # temperature of x_T: noise of latents is coarser than that of pixels, which the networks learned to look through
FIRST, LAST = "unet.stem", "unet.head"


@dataclass(frozen=True)
class Translation:
    """Between normalised latents and patches of the picture at 1/k of its size. to_patch: (3p^2,C), offset (3p^2,); to_latent: (C,3p^2), (C,)."""

    to_patch: Tensor
    patch_offset: Tensor
    to_latent: Tensor
    latent_offset: Tensor


def fitted(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A and b of y = A x + b by least squares: x (N,X), y (N,Y) -> (Y,X), (Y,)."""
    centre, middle = x.mean(0), y.mean(0)
    a, b = (x - centre).double(), (y - middle).double()
    gram = a.T @ a
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    matrix = torch.linalg.solve(gram + ridge, a.T @ b).T.float()
    return matrix, middle - matrix @ centre


def translation(model: LatentDiffAE, pictures: Sequence[Tensor], patch: int, shrink: int) -> Translation:
    """Fitted on pictures (B,3,H,W)."""
    latents, patches = [], []
    with torch.no_grad():
        for picture in pictures:
            latents.append(model.to_space(picture).permute(0, 2, 3, 1).flatten(0, 2))  # (N,C)
            patches.append(F.pixel_unshuffle(F.avg_pool2d(picture, shrink), patch).permute(0, 2, 3, 1).flatten(0, 2))  # (N,3p^2)
    return Translation(*fitted(torch.cat(latents), torch.cat(patches)), *fitted(torch.cat(patches), torch.cat(latents)))


def latent_backbone(model: DiffAE, autoencoder: Any, pictures: Sequence[Tensor]) -> LatentDiffAE:
    """The backbone on latents, its statistics measured on the pictures (B,3,H,W). UserError for one that it cannot be made from."""
    config: Any = model.config
    patch, stride = model.patch, autoencoder.stride
    if config.prediction_type != "sample" or patch == 1 or stride % patch:
        raise UserError(
            f"a preset that predicts {config.prediction_type!r} in patches of {patch} pixels cannot be turned into one on latents of {stride} "
            "pixels: it takes one that predicts 'sample' (x0), in patches that divide the latents' pixels, as the open preset does; train one"
        )
    shrink = stride // patch
    kept = {k: v for k, v in config.items() if k not in ("image_size", "patch", "in_channels")}
    latent = LatentDiffAE(
        image_size=shrink * model.image_size,
        autoencoder=dict(autoencoder.config) | {"_class_name": type(autoencoder).__name__},
        encoder_size=model.image_size,
        encoder_patch=patch,
        **kept,
    )
    codec: Any = latent.autoencoder
    codec.load_state_dict(autoencoder.state_dict())
    latent.set_statistics(pictures)
    between = translation(latent, pictures, patch, shrink)
    state = {k: v for k, v in model.state_dict().items() if not k.startswith((FIRST, LAST))}
    pixels = model.state_dict()
    stem, head = pixels["unet.stem.weight"], pixels["unet.head.weight"]  # (W,3p^2,3,3), (3p^2,W,3,3)
    state["unet.stem.weight"] = torch.einsum("oqij,qc->ocij", stem, between.to_patch)
    state["unet.stem.bias"] = pixels["unet.stem.bias"] + torch.einsum("oqij,q->o", stem, between.patch_offset)
    state["unet.head.weight"] = torch.einsum("cq,qoij->coij", between.to_latent, head)
    state["unet.head.bias"] = between.to_latent @ pixels["unet.head.bias"] + between.latent_offset
    missing, unexpected = latent.load_state_dict({k: v.detach() for k, v in state.items()}, strict=False)
    assert not unexpected
    assert all(name.startswith(("autoencoder.", "latent_")) for name in missing)
    return latent.eval().requires_grad_(False)


def latent_control(control: ExpFaceNet, backbone: LatentDiffAE) -> ExpFaceNet:
    """The control network beside it, with the same weights: it sees the snapshot at the small size, and its gates and its correction are enlarged."""
    config: Any = control.config
    if config.stem_widths or config.stem_shrink > 1 or config.preview_in_space:
        raise UserError("the preset's control network is one on latents already; give one on pixels")
    latent = ExpFaceNet.from_backbone(
        backbone,
        head=config.head,
        snapshot_maps=config.snapshot_maps,
        preview_gate=config.preview_gate,
        preview_correction=config.preview_correction,
        source_gate=config.source_gate,
        control_blocks=config.control_blocks,
        stem_shrink=backbone.image_size // config.image_size,
        mix_decoded=config.preview_gate != "none",
    )
    latent.load_state_dict(control.state_dict())
    return latent.eval().requires_grad_(False)


def make_latent_preset(
    source: Path,  # the folder of a preset on pixels
    output: Path,  # the folder that is made
    autoencoder: Path | None,  # the folder of an autoencoder; None: ours, untrained
    picture: Tensor,  # (1,3,H,W) in [-1, 1], what the translation is fitted on
    parts: Path | None = None,  # trained parts (latent_parts.py) that are put in; None: as it is made
) -> Path:
    """Write the preset whole or not at all, halves in its files. UserError where it cannot be made."""
    preset, about = load_preset(source), read_description(source)
    if not isinstance(preset.model, DiffAE):
        raise UserError(f"the backbone in {source} is a {type(preset.model).__name__}, not a DiffAE; give a preset on pixels")
    with SeededWeights(0):
        codec = make_autoencoder(autoencoder_config()) if autoencoder is None else load_autoencoder(autoencoder)
    model = latent_backbone(preset.model, codec, looks(picture, codec.stride * 8))
    control = latent_control(preset.control, model)
    if parts is not None:
        apply_parts((model, control), weights_id(preset.model, preset.control), parts)
    shrink, one_shot = model.image_size // preset.model.image_size, dict(preset.one_shot)
    about |= {"name": "latent", "temperature": min(COOL, preset.sampling.temperature), "mask_patch": shrink * preset.sampling.mask_patch}
    about["one_shot"] = one_shot | {"mask_patch": shrink * one_shot.get("mask_patch", PATCH), "crop": shrink * one_shot.get("crop", 0)}

    def write(folder: Path) -> None:
        model.half().save_pretrained(folder / "diffae")
        control.half().save_pretrained(folder / "exp_facenet")
        (folder / "preset.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    output.parent.mkdir(parents=True, exist_ok=True)
    replace_folder(write, output, "the latent preset")
    return output


def looks(picture: Tensor, multiple: int) -> list[Tensor]:
    """The picture as it is, mirrored, turned, with colours exchanged, lighter and darker: (1,3,H,W) each, H and W a multiple."""
    height, width = (n // multiple * multiple for n in picture.shape[-2:])
    x = picture[..., :height, :width]
    if not height or not width:
        raise UserError(f"a picture of {picture.shape[-1]}x{picture.shape[-2]} pixels is too small to fit latents on")
    side = min(height, width)
    turned = x[..., :side, :side].transpose(2, 3)
    return [x, x.flip(-1), turned, x[:, [2, 1, 0]], x[:, [1, 0, 2]].flip(-1), 0.6 * x, (0.7 * x - 0.3), (0.7 * x + 0.3), -x]
