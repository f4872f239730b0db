"""Official DiffusionRig checkpoints in, of stage 1 and stage 2 (both are state dicts of the same network). Nothing in a file is executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.nets.diffusion_rig import BUFFERS, DiffusionRig
from discontrolface.weights.official import official_key, our_key, unet_config
from discontrolface.weights.reader import Reader, Source, fill

UNET, ENCODER, TIME = "denoisingUNet.", "encoder.", "time_embed."
MARKER = f"{UNET}input_blocks.0.0.weight"  # of every DiffusionRig checkpoint
SIZES = {(0.5, 1, 1, 2, 2, 4, 4): 512, (1, 1, 2, 2, 4, 4): 256, (1, 1, 2, 3, 4): 128, (1, 2, 3, 4): 64}
"""The picture's size by the widths of the levels, as the official code chooses them."""
Shapes = Mapping[str, tuple[int, ...]]


def import_diffusionrig(
    source: Source,
    head: str = "flame",  # the head model that its buffers showed, a name of face/heads/registry.py
    image_size: int | None = None,  # overrides what the levels say
    num_heads: int = 1,  # of the attention, which no shape tells; 1 is the official default
    dropout: float = 0.1,  # in training; the official default
) -> DiffusionRig:
    """An official DiffusionRig checkpoint (`model*.pt`) as our network, in eval mode, float32, on the CPU.

    `source`: a path, or a mapping of official keys to tensors; all keys may have a prefix (`module.`, `_orig_mod.`, `ema.`).
    The configuration is read off keys and shapes. Raises UserError that names every missing, unexpected or misshapen key, says what a file of another
    kind is, and for damaged files.
    """
    reader = Reader(source)
    shapes = reader.shapes()
    prefix = prefix_of(shapes, reader.name)
    own = {key.removeprefix(prefix): shape for key, shape in shapes.items()} if all(k.startswith(prefix) for k in shapes) else None
    if own is None:
        other = next(key for key in shapes if not key.startswith(prefix))
        raise UserError(f"{reader.name} has the key {other} beside those of {prefix + UNET!r}; give the state dict of the network alone.")
    config = read_config(own, reader.name, image_size) | {"head": head, "num_heads": num_heads, "dropout": dropout}
    with torch.device("meta"):
        rig = DiffusionRig(**config)
    names = {key: ours(key) for key in own}
    tensors: dict[str, Tensor] = {mine: reader.read(prefix + key) for key, mine in names.items() if mine is not None}
    every = {*rig.state_dict()}
    counts = {mine: torch.zeros((), dtype=torch.int64) for mine in every if mine.endswith("num_batches_tracked")}
    tensors = counts | tensors  # files of before PyTorch 0.4.1 have none, and only a training reads them
    fill(rig, tensors, lambda mine: prefix + official(mine, every), [prefix + k for k, mine in names.items() if mine is None], reader.name)
    return rig.eval()


def prefix_of(shapes: Shapes, name: str) -> str:
    """What stands before all keys. UserError that says what the file is, if it is another network's."""
    found = [key.removesuffix(MARKER) for key in shapes if key == MARKER or key.endswith(f".{MARKER}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{name} holds {len(found)} DiffusionRig networks, under {', '.join(map(repr, found))}; give one of them.")
    kinds = {
        "time_embed.time_embed.0.weight": "it is a Diff-AE autoencoder, which import_diffae reads",
        "E_flame.layers.2.bias": "it is DECA's, which `discontrolface assets import` takes",
        "label_emb.weight": "it is a class-conditional ADM network without DiffusionRig's code",
        "input_blocks.0.0.weight": "it is an ADM network without DiffusionRig's encoder and code (guided-diffusion)",
    }
    kind = next((words for end, words in kinds.items() if any(key == end or key.endswith(f".{end}") for key in shapes)), "")
    raise UserError(f"{name} has no key {MARKER}{f': {kind}' if kind else ''}; give DiffusionRig's model*.pt, not its opt*.pt.")


def ours(key: str) -> str | None:
    """The name in `DiffusionRig.state_dict()` of an official key; None if the network has no such one."""
    if key.startswith(ENCODER):
        return key
    if not key.startswith(UNET):
        return None
    rest = key.removeprefix(UNET)
    if rest.startswith((ENCODER, f"{TIME}{TIME}")):
        return None
    return our_key(f"{TIME}{rest}" if rest.startswith(TIME) else rest)


def official(mine: str, every: set[str]) -> str:
    """The inverse of `ours`; `every`: all names of the network."""
    if mine.startswith(ENCODER):
        return mine
    return UNET + official_key(mine, every).replace(f"{TIME}{TIME}", TIME)


def read_config(shapes: Shapes, name: str, image_size: int | None = None) -> dict[str, Any]:
    """`DiffusionRig`'s arguments, read off official keys and shapes (without prefix). UserError where they are not those of one."""
    unet = {re.sub(rf"^{TIME}", f"{TIME}{TIME}", key.removeprefix(UNET)): shape for key, shape in shapes.items() if key.startswith(UNET)}
    if any(re.fullmatch(r"input_blocks\.\d+\.0\.op\.weight", key) for key in unet):
        raise UserError(f"{name} was trained with --resblock_updown False, which the published network is not; it cannot be read.")
    wrong = next((key for key in unet if key.endswith(".emb_layers.1.weight") and unet[key][0] == block_width(unet, key)), None)
    if wrong is not None:
        raise UserError(f"{name} was trained with --use_scale_shift_norm False ({UNET}{wrong}), which the published network is not.")
    try:
        config = unet_config(unet, image_size)
        inputs, outputs = unet["input_blocks.0.0.weight"][1], unet["out.2.weight"][0]
        code, code_inputs = shapes["encoder.fc.weight"][0], config["z_channels"]
        encoder = {"encoder": "resnet50" if "encoder.layer1.0.conv3.weight" in shapes else "resnet18"}
        encoder_width = shapes["encoder.conv1.weight"][0]
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise UserError(f"{name} does not hold DiffusionRig's network ({error} does not fit); give its model*.pt.") from error
    if inputs != 3 + BUFFERS:
        raise UserError(f"{name} sees {inputs} channels, not the {3 + BUFFERS} of picture, rendering, normals and albedo (--in_channels).")
    if outputs not in (3, 6):
        raise UserError(f"{name} gives {outputs} channels, not 3, or 6 with a learned variance.")
    if code != code_inputs:
        raise UserError(f"{name} has an encoder of {code} numbers and ResBlocks that take {code_inputs} (--latent_dim).")
    size = image_size or SIZES.get(config["channel_mult"], config["image_size"])
    attention = tuple(sorted(at * size // config["image_size"] for at in config["attention_resolutions"]))
    sizes = {"image_size": size, "attention_resolutions": attention}
    return config | sizes | encoder | {"encoder_width": encoder_width, "learned_variance": outputs == 6}


def block_width(unet: Shapes, key: str) -> int:
    """The width of the ResBlock that a time projection belongs to; 0 where it is not there."""
    return (unet.get(key.replace("emb_layers.1.weight", "in_layers.2.weight")) or (0,))[0]
