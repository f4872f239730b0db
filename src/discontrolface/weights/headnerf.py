"""Official HeadNeRF checkpoints (CrisHY1995/headnerf, `model_Reso*.pth`) in. Nothing in a file is executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import torch

from discontrolface.common.errors import UserError
from discontrolface.nets.headnerf import ENCODED, EXPRESSION, LAYERS, LIGHT, HeadNeRF
from discontrolface.weights.reader import Reader, Source, fill

FIELD, RENDERER = "fg_CD_predictor", "neural_render"
BACKGROUND: Final = f"{RENDERER}.bg_featmap"  # of every model
RENAMED: Final = (  # official pattern, ours; (.+) is weight or bias
    (rf"{FIELD}\.FeaExt_module_(\d)\.(weight|bias)", "field.layers.{}.{}"),
    (rf"{FIELD}\.density_module\.(weight|bias)", "field.density.{}"),
    (rf"{FIELD}\.RGB_layer_([012])\.(weight|bias)", "field.colour.{}.{}"),
    (rf"{RENDERER}\.bg_featmap", "renderer.background"),
    (rf"{RENDERER}\.feat_upsample_list\.(\d)\.layer_1\.(weight|bias)", "renderer.up.{}.first.{}"),
    (rf"{RENDERER}\.feat_upsample_list\.(\d)\.layer_2\.(weight|bias)", "renderer.up.{}.second.{}"),
    (rf"{RENDERER}\.feat_upsample_list\.(\d)\.blur_layer\.f", "renderer.up.{}.blur.taps"),
    (rf"{RENDERER}\.rgb_upsample\.1\.f", "renderer.blur.taps"),
    (rf"{RENDERER}\.feat_2_rgb_list\.(\d)\.(weight|bias)", "renderer.to_rgb.{}.{}"),
    (rf"{RENDERER}\.feat_layers\.(\d)\.(weight|bias)", "renderer.narrow.{}.{}"),
)


def our_key(official: str) -> str | None:
    """The name in `HeadNeRF.state_dict()` of an official tensor; None if the model has no such one."""
    for pattern, ours in RENAMED:
        if match := re.fullmatch(pattern, official):
            return ours.format(*match.groups())
    return None


def official_key(ours: str) -> str:
    """The inverse of `our_key`."""
    for pattern, name in RENAMED:
        if match := re.fullmatch(re.escape(name).replace(r"\{\}", r"([^.]+)"), ours):
            parts = iter(match.groups())
            return re.sub(r"\([^)]*\)", lambda _, parts=parts: next(parts), pattern).replace("\\", "")  # type: ignore[misc]
    raise KeyError(ours)


def read_config(shapes: Mapping[str, tuple[int, ...]], samples: int) -> dict[str, Any]:
    """`HeadNeRF`'s arguments, read off official keys and shapes. KeyError, IndexError or ValueError where they are not a HeadNeRF's."""
    _, features, grid, across = shapes[BACKGROUND]
    if grid != across:
        raise ValueError(f"{BACKGROUND} of {grid}x{across} rays")
    levels = sorted(int(m[1]) for key in shapes if (m := re.fullmatch(rf"{RENDERER}\.feat_layers\.(\d)\.weight", key)))
    if levels != list(range(len(levels))) or not levels:
        raise ValueError(f"{RENDERER}.feat_layers numbered {levels}")
    layers = sum(re.fullmatch(rf"{FIELD}\.FeaExt_module_\d\.weight", key) is not None for key in shapes)
    if layers != LAYERS:
        raise ValueError(f"{layers} layers {FIELD}.FeaExt_module_*")
    hidden, inputs = shapes[f"{FIELD}.FeaExt_module_0.weight"][:2]
    shape, appearance = inputs - ENCODED, shapes[f"{FIELD}.RGB_layer_1.weight"][1] - hidden
    if shape <= EXPRESSION or appearance <= LIGHT:
        raise ValueError(f"codes of {shape} and {appearance} numbers")
    return {
        "featmap_size": grid,
        "widths": (features, *(shapes[f"{RENDERER}.feat_layers.{n}.weight"][0] for n in levels)),
        "shape_channels": shape,
        "appearance_channels": appearance,
        "hidden_channels": hidden,
        "samples": samples,
    }


def import_headnerf(source: Source, featmap_size: int | None = None, pred_img_size: int | None = None, samples: int = 64) -> HeadNeRF:
    """An official HeadNeRF, in eval mode, float32, on the CPU.

    `source`: the path of a `model_Reso*.pth` (any torch format) or a mapping: of official keys to tensors, with or without the prefixes of wrappers
    (`net.`, `module.`), or {"net": keys and tensors, "para": numbers} as the file holds it. The configuration is read off keys and shapes.
    `featmap_size` (rays along a side) and `pred_img_size` (pixels of the picture): a check, as the file's `para` is; None: what the shapes say.
    `samples`: points along a ray, which no file says; all official models have 64.
    UserError that names every missing, unexpected or misshapen key, for sizes that contradict the shapes, and for damaged files.
    """
    reader = Reader(source)
    shapes = reader.shapes()
    prefix = next((p for p in ("net.", "") if p + BACKGROUND in shapes), None)
    if prefix is None:
        first = next(iter(shapes), "nothing")
        raise UserError(f"{reader.name} is not an official HeadNeRF checkpoint: it has no {BACKGROUND} (its first key is {first}).")
    own = {key.removeprefix(prefix): shape for key, shape in shapes.items() if key.startswith(prefix)}
    if any(key.startswith("fine_") for key in own):
        raise UserError(
            f"{reader.name} has a second MLP for fine sampling, which the official code cannot run either; give a model_Reso*.pth."
        )
    try:
        config = read_config(own, samples)
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(f"{reader.name} does not hold an official HeadNeRF ({error} does not fit); give a model_Reso*.pth.") from error
    names = {key: our_key(key) for key in own}
    sources = {ours: prefix + key for key, ours in names.items() if ours is not None}
    tensors = {ours: reader.read(key) for ours, key in sources.items()}
    with torch.device("meta"):
        network = HeadNeRF(**config)
    unexpected = [prefix + key for key, ours in names.items() if ours is None]
    fill(network, tensors, lambda ours: sources.get(ours) or prefix + official_key(ours), unexpected, reader.name)
    _check_sizes(network, reader, featmap_size, pred_img_size)
    return network.eval()


def _check_sizes(network: HeadNeRF, reader: Reader, featmap_size: int | None, pred_img_size: int | None) -> None:
    """UserError where the sizes that the file or the caller says are not those of the tensors."""
    sizes = {"featmap_size": network.grid, "featmap_nc": network.config["widths"][0], "pred_img_size": network.image_size}
    stated = {name: (reader.numbers[f"para.{name}"], "its para says") for name in sizes if f"para.{name}" in reader.numbers}
    given = {"featmap_size": featmap_size, "pred_img_size": pred_img_size}
    stated |= {name: (value, "you say") for name, value in given.items() if value is not None}
    for name, (value, who) in stated.items():
        if value != sizes[name]:
            raise UserError(
                f"{reader.name}: {name} is {sizes[name]} by its tensors, but {who} {value:g}; give the sizes that belong to it."
            )
