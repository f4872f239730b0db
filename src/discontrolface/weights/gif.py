"""Official GIF checkpoints (ParthaEth/GIF, `*.model`) in. Nothing in a file is executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import torch

from discontrolface.common.errors import UserError
from discontrolface.nets.gif import BLUR, GIF, GRID
from discontrolface.weights.reader import Reader, Source, fill

CONSTANT: Final = "generator.const_input.input"  # of every generator
# The random codes stand there twice; the official loading keeps the second.
EMBEDDINGS: Final = ("img_embdng.embd_weight", "image_embedding.embd_weight")
CONV_PARTS: Final = {
    "conv.weight": "weight",
    "conv.modulation.weight": "style.weight",
    "conv.modulation.bias": "style.bias",
    "conv.blur.kernel": "blur",
    "activate.bias": "bias",
    **{f"noise.noise_conv.{n}.{leaf}": f"condition.{n}.{leaf}" for n in (0, 2, 4) for leaf in ("weight", "bias")},
}
RGB_PARTS: Final = {
    "conv.weight": "weight",
    "conv.modulation.weight": "style.weight",
    "conv.modulation.bias": "style.bias",
    "upsample.kernel": "blur",
    "bias": "bias",
}
OFFICIAL_CONV: Final = {ours: official for official, ours in CONV_PARTS.items()}
OFFICIAL_RGB: Final = {ours: official for official, ours in RGB_PARTS.items()}


def our_key(official: str) -> str | None:
    """The name in `GIF.state_dict()` of an official tensor; None if the generator has no such one."""
    if official == CONSTANT:
        return "constant"
    if official in EMBEDDINGS:
        return "embeddings"
    if match := re.fullmatch(r"z_to_w\.([1-9]\d?)\.(weight|bias)", official):
        return f"mapping.{int(match[1]) - 1}.{match[2]}"
    if (match := re.fullmatch(r"generator\.progression\.(\d{1,2})\.st_cv([12])\.(.+)", official)) and match[3] in CONV_PARTS:
        return f"levels.{int(match[1])}.{'first' if match[2] == '1' else 'second'}.{CONV_PARTS[match[3]]}"
    if (match := re.fullmatch(r"generator\.to_rgb\.(\d{1,2})\.(.+)", official)) and match[2] in RGB_PARTS:
        return f"to_rgb.{int(match[1])}.{RGB_PARTS[match[2]]}"
    return None


def official_key(ours: str) -> str:
    """The inverse of `our_key`."""
    match ours.split(".", 3):
        case ["constant"]:
            return CONSTANT
        case ["embeddings"]:
            return EMBEDDINGS[0]
        case ["mapping", number, leaf]:
            return f"z_to_w.{int(number) + 1}.{leaf}"
        case ["levels", number, layer, part]:
            return f"generator.progression.{number}.st_cv{1 if layer == 'first' else 2}.{OFFICIAL_CONV[part]}"
        case ["to_rgb", number, *part]:
            return f"generator.to_rgb.{number}.{OFFICIAL_RGB['.'.join(part)]}"
    raise KeyError(ours)


def read_config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """`GIF`'s arguments, read off official keys and shapes. KeyError, IndexError or ValueError where they are not a generator's."""
    shape = shapes[CONSTANT]
    if len(shape) != 4 or shape[2:] != (GRID, GRID):
        raise ValueError(f"{CONSTANT} of shape {list(shape)}; the official forward pass needs {GRID}x{GRID}")
    count = _count(shapes, r"generator\.progression\.(\d{1,2})\.st_cv1\.conv\.weight")
    kernels = [key for key in shapes if key.endswith(".kernel") and shapes[key] != (BLUR, BLUR)]
    if kernels:
        raise ValueError(f"{kernels[0]} of shape {list(shapes[kernels[0]])}")
    return {
        "condition_channels": shapes["generator.progression.0.st_cv1.noise.noise_conv.0.weight"][1],
        "code_channels": shapes["generator.progression.0.st_cv1.conv.modulation.weight"][1],
        "channels": tuple(shapes[f"generator.progression.{n}.st_cv1.conv.weight"][1] for n in range(count)),
        "mapping_layers": _count(shapes, r"z_to_w\.(\d{1,2})\.weight", first=1),
        "embedding_count": next((shapes[key][0] for key in EMBEDDINGS if key in shapes), 0),
    }


def _count(shapes: Mapping[str, tuple[int, ...]], pattern: str, first: int = 0) -> int:
    """How many layers are numbered so, from `first` on. ValueError for a number that is left out, or for none."""
    numbers = sorted(int(match[1]) for key in shapes if (match := re.fullmatch(pattern, key)))
    if numbers != list(range(first, first + len(numbers))) or not numbers:
        raise ValueError(f"layers numbered {numbers} by {pattern}")
    return len(numbers)


def import_gif(source: Source, weights: str = "generator_running") -> GIF:
    """The generator of an official checkpoint, in eval mode, float32, on the CPU.

    `source`: the path of a `.model` file (any torch format) or a mapping of official keys to tensors, with or without the prefixes of wrappers
    (`generator_running.`, `module.`). `weights`: "generator_running" (the average that the official code samples with) or "generator".
    The configuration is read off keys and shapes.
    UserError that names every missing, unexpected or misshapen key, and for damaged files.
    """
    reader = Reader(source)
    shapes = reader.shapes()
    prefix = _prefix(shapes, weights, reader.name)
    own = {key.removeprefix(prefix): shape for key, shape in shapes.items() if key.startswith(prefix)}
    try:
        config = read_config(own)
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(f"{reader.name} does not hold an official GIF generator ({error} does not fit); give its .model file.") from error
    if EMBEDDINGS[0] in own:
        if own.get(EMBEDDINGS[1], own[EMBEDDINGS[0]]) != own[EMBEDDINGS[0]]:
            raise UserError(f"{reader.name} has {' and '.join(EMBEDDINGS)}, which are one tensor, in two shapes; the file is damaged.")
        own.pop(EMBEDDINGS[1], None)
    names = {key: our_key(key) for key in own}
    sources = {ours: prefix + key for key, ours in names.items() if ours is not None}
    tensors = {ours: reader.read(key) for ours, key in sources.items()}
    if not config["embedding_count"]:
        tensors["embeddings"] = torch.empty(0, config["code_channels"])
    with torch.device("meta"):
        network = GIF(**config)
    unexpected = [prefix + key for key, ours in names.items() if ours is None]
    fill(network, tensors, lambda ours: sources.get(ours) or prefix + official_key(ours), unexpected, reader.name)
    return network.eval()


def _prefix(shapes: Mapping[str, tuple[int, ...]], weights: str, name: str) -> str:
    """`generator_running.` (or `generator.`) where the keys have it, nothing for bare keys. UserError that says what the file holds instead."""
    for prefix in (f"{weights}.", ""):
        if prefix + CONSTANT in shapes:
            return prefix
    found = sorted({key.removesuffix(f".{CONSTANT}") for key in shapes if key.endswith(f".{CONSTANT}")})
    if found:
        raise UserError(f"{name} has no weights {weights!r}, only {', '.join(map(repr, found))}; give weights={found[0]!r}.")
    first = next(iter(shapes), "nothing")
    raise UserError(f"{name} is not an official GIF checkpoint: it has no {weights}.{CONSTANT} (its first key is {first}).")
