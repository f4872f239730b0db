"""Official Diff-AE checkpoints in: autoencoder, latent DPM, attribute classifier. Files from outside: nothing in them is executed."""

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

import torch

from discontrolface.common.errors import UserError
from discontrolface.diffusion.attributes import AttributeDirections
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.latent import MLPSkipNet
from discontrolface.weights.reader import Reader, Source, fill

# The 40 attributes of CelebA, in its order: the official classifier's rows.
_NAMES = """
5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair Blurry Brown_Hair
Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache
Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair
Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young
"""
CELEBA_ATTRIBUTES = tuple(_NAMES.split())

RES_PARTS = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time",
    "cond_emb_layers.1": "semantic",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "skip",
}
ATTENTION_PARTS = {"norm": "norm", "qkv": "qkv", "proj_out": "proj"}
MIDDLE_PARTS = ("res1", "attention", "res2")


def our_key(official: str) -> str | None:
    """The name in `DiffAE.state_dict()` of an official parameter (without its prefix `ema_model.`); None if Diff-AE's networks have no such one."""
    net, rest = ("encoder", official.removeprefix("encoder.")) if official.startswith("encoder.") else ("unet", official)
    head = {"encoder": {"out.0": "norm", "out.3": "head"}, "unet": {"out.0": "norm", "out.2": "head"}}[net]
    match = re.fullmatch(r"(.+)\.(weight|bias)", rest)
    if match is None:
        return None
    path, leaf = match.groups()
    if path in head:
        return f"{net}.{head[path]}.{leaf}"
    if path == "input_blocks.0.0":
        return f"{net}.stem.{leaf}"
    if net == "unet" and (block := re.fullmatch(r"time_embed\.time_embed\.([02])", path)):
        return f"unet.time_embed.{block[1]}.{leaf}"
    block = re.fullmatch(r"(?:(input|output)_blocks\.(\d{1,4})|middle_block)\.(\d{1,4})\.(.+)", path)
    if block is None or block[4] not in {**RES_PARTS, **ATTENTION_PARTS}:
        return None
    side, index, layer = block[1], int(block[2] or 0), int(block[3])
    part = RES_PARTS.get(block[4]) or ATTENTION_PARTS[block[4]]
    if side is None:
        return f"{net}.middle.{MIDDLE_PARTS[layer]}.{part}.{leaf}" if layer < 3 else None
    kind = "attention" if block[4] in ATTENTION_PARTS else "res" if layer == 0 else "resample"
    if side == "input":
        return f"{net}.down.{index - 1}.{kind}.{part}.{leaf}" if index > 0 else None
    return f"{net}.up.{index}.{kind}.{part}.{leaf}"


def official_key(ours: str, all_ours: Container[str]) -> str:
    """The inverse of `our_key`; `all_ours` says which blocks have attention, because the official layers are numbered."""
    net, *path, leaf = ours.split(".")
    prefix = "encoder." if net == "encoder" else ""
    parts = {value: key for key, value in RES_PARTS.items()}
    attention = {value: key for key, value in ATTENTION_PARTS.items()}
    match path:
        case ["time_embed", linear]:
            name = f"time_embed.time_embed.{linear}"
        case ["stem"]:
            name = "input_blocks.0.0"
        case ["norm"]:
            name = "out.0"
        case ["head"]:
            name = "out.3" if net == "encoder" else "out.2"
        case ["middle", "attention", part]:
            name = f"middle_block.1.{attention[part]}"
        case ["middle", res, part]:
            name = f"middle_block.{MIDDLE_PARTS.index(res)}.{parts[part]}"
        case [side, k, kind, part]:
            layer = {"res": 0, "attention": 1, "resample": 2 if f"{net}.up.{k}.attention.norm.weight" in all_ours else 1}[kind]
            block = f"input_blocks.{int(k) + 1}" if side == "down" else f"output_blocks.{k}"
            name = f"{block}.{layer}.{attention[part] if kind == 'attention' else parts[part]}"
        case _:
            raise KeyError(ours)
    return f"{prefix}{name}.{leaf}"


def read_config(shapes: Mapping[str, tuple[int, ...]], image_size: int | None = None) -> dict[str, Any]:
    """`DiffAE`'s arguments, read off official keys and shapes (without prefix).

    Parameters do not depend on the picture's size. Without `image_size` it follows from the level that has attention, which every official network
    has at 16x16. Raises UserError where the keys are not those of a Diff-AE autoencoder.
    """
    try:
        config = unet_config(shapes, image_size)
        encoder_channels = shapes["encoder.input_blocks.0.0.weight"][0]
        encoder_widths = _encoder_widths(shapes, config["num_res_blocks"])
        return config | {
            "in_channels": shapes["input_blocks.0.0.weight"][1],
            "encoder_channels": encoder_channels,
            "encoder_mult": tuple(_multiple(w, encoder_channels) for w in encoder_widths[1]),
            "encoder_res_blocks": encoder_widths[0],
        }
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise UserError(f"these are not the keys of an official Diff-AE autoencoder ({error} does not fit); give its last.ckpt.") from error


def unet_config(shapes: Mapping[str, tuple[int, ...]], image_size: int | None = None) -> dict[str, Any]:
    """The U-Net's arguments, as `read_config`. KeyError, IndexError, ValueError or ZeroDivisionError where the keys are not those of one."""
    channels = shapes["time_embed.time_embed.0.weight"][1]
    outputs = _layers(shapes, "output_blocks")
    ups = [k for k in sorted(outputs) if any(layer > 0 and "in_layers.2" in parts for layer, parts in outputs[k].items())]
    per_level = ups[0] + 1 if ups else len(outputs)
    levels = len(outputs) // per_level
    widths = [shapes[f"output_blocks.{level * per_level}.0.in_layers.2.weight"][0] for level in range(levels)][::-1]
    with_attention = {levels - 1 - k // per_level for k, parts in outputs.items() if any("qkv" in p for p in parts.values())}
    size = image_size or 16 * 2 ** max(with_attention)
    return {
        "image_size": size,
        "model_channels": channels,
        "channel_mult": tuple(w // channels if w % channels == 0 else w / channels for w in widths),
        "num_res_blocks": per_level - 1,
        "attention_resolutions": tuple(sorted(size // 2**level for level in with_attention)),
        "embed_channels": shapes["time_embed.time_embed.2.weight"][0],
        "z_channels": shapes["middle_block.0.cond_emb_layers.1.weight"][1],
    }


def _layers(shapes: Iterable[str], blocks: str) -> dict[int, dict[int, set[str]]]:
    """Block number -> layer number -> names of the parts that have a weight."""
    layers: dict[int, dict[int, set[str]]] = {}
    for key in shapes:
        if match := re.fullmatch(rf"{re.escape(blocks)}\.(\d{{1,4}})\.(\d{{1,4}})\.(.+)\.weight", key):
            layers.setdefault(int(match[1]), {}).setdefault(int(match[2]), set()).add(match[3])
    return layers


def _multiple(width: int, channels: int) -> int:
    if width % channels:
        raise ValueError(f"a width of {width} with {channels} base channels")
    return width // channels


def _encoder_widths(shapes: Mapping[str, tuple[int, ...]], guess: int) -> tuple[int, list[int]]:
    """ResBlocks per level and width per level. Blocks that halve the size look like others, but keep the width: the first division that fits."""
    count = 1 + max(_layers(shapes, "encoder.input_blocks"))
    widths = [shapes["encoder.input_blocks.0.0.weight"][0]]
    widths += [shapes[f"encoder.input_blocks.{k}.0.in_layers.2.weight"][0] for k in range(1, count)]
    for res_blocks in (guess, *range(1, count)):
        if res_blocks and count % (res_blocks + 1) == 0:
            starts = range(0, count, res_blocks + 1)  # the stem, then the blocks that halve
            changes = {k for k in range(1, count) if widths[k] != widths[k - 1]}
            if changes <= {k + 1 for k in starts}:
                return res_blocks, [widths[k + 1] for k in starts]
    raise ValueError(f"an encoder of {count} blocks")


STEM = "input_blocks.0.0.weight"  # of every autoencoder
ENCODER = "encoder.input_blocks.0.0.weight"
LATENT = "latent_net.layers.0.linear.weight"  # of every latent DPM


def _chosen_prefix(shapes: Mapping[str, tuple[int, ...]], weights: str, marker: str, name: str) -> str:
    """`ema_model.` (or `model.`) where the keys have it, nothing for bare keys. UserError that says what the file holds instead."""
    for prefix in (f"{weights}.", ""):
        if prefix + marker in shapes:
            return prefix
    others = sorted(
        (key.removesuffix(marker) for key in shapes if key.endswith(f".{marker}") and not key.endswith(f".encoder.{marker}")), key=len
    )
    others = [prefix for prefix in others if prefix != "encoder."]
    if others and others[0] in ("model.", "ema_model."):
        raise UserError(f"{name} has no weights {weights!r}, only {others[0][:-1]!r}; give weights={others[0][:-1]!r}.")
    if others:
        raise UserError(f"the keys of {name} begin with {others[0]!r}, where {weights + '.'!r} or nothing is known; remove this prefix.")
    raise UserError(f"{name} has no key {weights}.{marker}: {_kind(shapes)}.")


def _kind(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """What a file of these keys is, and what to do with it."""

    def has(marker: str) -> bool:
        return any(key == marker or key.endswith(f".{marker}") for key in shapes)

    if has(LATENT):
        return "it is a latent DPM without its autoencoder; import_latent reads it, and an autoencoder is in *_autoenc/last.ckpt"
    if has(ENCODER):
        return "it is an autoencoder without a latent DPM; import_diffae reads it, and a latent DPM is in *_autoenc_latent/last.ckpt"
    if "classifier.weight" in shapes or "ema_classifier.weight" in shapes:
        return "it is an attribute classifier; import_attributes reads it"
    return "give an official Diff-AE checkpoint (last.ckpt) or its state dict"


def import_diffae(source: Source, weights: str = "ema_model", image_size: int | None = None) -> DiffAE:
    """An official Diff-AE autoencoder as our `DiffAE`, in eval mode, float32, on the CPU.

    `source`: the path of a Lightning checkpoint (`last.ckpt`, any torch format) or a mapping of official keys to tensors, with or without prefix.
    `weights`: "ema_model" (what the official code samples with) or "model". `image_size`: overrides what the file says.
    The configuration is read off keys and shapes. Raises UserError that names every missing, unexpected or misshapen key, and for damaged files.
    """
    reader = Reader(source)
    shapes = reader.shapes()
    prefix = _chosen_prefix(shapes, weights, STEM, reader.name)
    own = {key.removeprefix(prefix): shape for key, shape in shapes.items() if key.startswith(prefix)}
    own = {
        key: shape for key, shape in own.items() if not key.startswith(("latent_net.", "model.", "ema_model.")) and key not in LIT_BUFFERS
    }
    if image_size is None and "x_T" in shapes and len(shapes["x_T"]) == 4:
        image_size = shapes["x_T"][-1]
    config = read_config(own, image_size)
    names = {key: our_key(key) for key in own}
    tensors = {ours: reader.read(prefix + key) for key, ours in names.items() if ours is not None}
    with torch.device("meta"):
        model = DiffAE(**config)
    sources = {ours: prefix + key for key, ours in names.items() if ours is not None}
    every = {*model.state_dict()}
    unexpected_keys = [prefix + key for key, ours in names.items() if ours is None]
    fill(model, tensors, lambda ours: sources.get(ours) or prefix + official_key(ours, every), unexpected_keys, reader.name)
    return model.eval()


LIT_BUFFERS = frozenset({"x_T", "conds_mean", "conds_std", "conds"})


def import_latent(source: Source, weights: str = "ema_model") -> MLPSkipNet:
    """The latent DPM of an official checkpoint (`*_autoenc_latent/last.ckpt`) with its statistics, in eval mode.

    Raises UserError as `import_diffae` does, and where the statistics (`conds_mean`, `conds_std`) are missing.
    """
    reader = Reader(source)
    shapes = reader.shapes()
    prefix = _chosen_prefix(shapes, weights, LATENT, reader.name) + "latent_net."
    own = {key.removeprefix(prefix): shape for key, shape in shapes.items() if key.startswith(prefix)}
    try:
        count = 1 + max(int(m[1]) for key in own if (m := re.match(r"layers\.(\d{1,4})\.", key)))
        hidden, channels = own["layers.0.linear.weight"]
        widths = [own[f"layers.{i}.linear.weight"][1] for i in range(count)]
        config: dict[str, Any] = {
            "channels": channels,
            "hidden_channels": hidden,
            "num_layers": count,
            "skip_layers": tuple(i for i in range(1, count) if widths[i] != hidden),
            "time_channels": own["time_embed.0.weight"][1],
            "time_layers": sum(key.startswith("time_embed.") and key.endswith(".weight") for key in own),
            "norm": "layers.0.norm.weight" in own,
        }
    except (KeyError, ValueError) as error:
        raise UserError(f"{reader.name} does not hold an official latent DPM ({error} is missing).") from error
    renamed = {key: _latent_key(key, count) for key in own if "linear_emb" not in key}  # linear_emb is cond_layers.1, stored twice
    tensors = {ours: reader.read(prefix + key) for key, ours in renamed.items()}
    for ours, key in (("mean", "conds_mean"), ("std", "conds_std")):
        if key not in shapes:
            raise UserError(f"{reader.name} has no {key}, the statistics of the codes; give the latent checkpoint, not the autoencoder's.")
        tensors[ours] = reader.read(key).flatten()
    with torch.device("meta"):
        net = MLPSkipNet(**config)

    def official(ours: str) -> str:
        if ours in ("mean", "std"):
            return f"conds_{ours}"
        return prefix + ours.replace("head.", f"layers.{count - 1}.linear.").replace("condition.", "cond_layers.1.")

    fill(net, tensors, official, [], reader.name)
    return net.eval()


def _latent_key(key: str, count: int) -> str:
    key = key.replace("cond_layers.1.", "condition.")
    return key.replace(f"layers.{count - 1}.linear.", "head.")


def import_attributes(source: Source, weights: str = "classifier", names: Iterable[str] = CELEBA_ATTRIBUTES) -> AttributeDirections:
    """The official attribute classifier (`*_cls/last.ckpt`): a linear layer on normalised codes, one row per CelebA attribute.

    `weights`: "classifier" (what the official tools move along) or "ema_classifier".
    """
    reader = Reader(source)
    shapes = reader.shapes()
    keys = [f"{weights}.weight", f"{weights}.bias", "conds_mean", "conds_std"]
    missing_keys = [key for key in keys if key not in shapes]
    if missing_keys:
        kind = f"; {_kind(shapes)}" if keys[0] in missing_keys else ""
        raise UserError(f"{reader.name} is not an official attribute classifier: it has no {', '.join(missing_keys)}{kind}.")
    weight, bias, mean, std = (reader.read(key) for key in keys)
    return AttributeDirections(tuple(names), weight, bias, mean.flatten(), std.flatten())
