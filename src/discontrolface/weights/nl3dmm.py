"""HeadNeRF's face model in: `nl3dmm_net_dict.pth` of its ConfigModels.zip, with `LandMarkInfo.pkl` of its repository. Nothing is executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.unpickle import load_file
from discontrolface.nets.headnerf import EXPRESSION
from discontrolface.nets.nl3dmm import INNER, JAW, NL3DMM
from discontrolface.weights.reader import Reader, fill

LAYERS: Final = {"hidden": "geo_fc2", "vertices": "geo_fc3"}
LANDMARKS: Final = "LandMarkInfo.pkl"
PLACES: Final = ("", "../ConfigFiles")  # of that file, from the checkpoint's folder: beside it, or as the official tree has it


def import_nl3dmm(path: str | Path, landmarks: str | Path | None = None) -> NL3DMM:
    """The rows of the face model's last layer that landmarks need, in eval mode, float32, on the CPU.

    landmarks: `LandMarkInfo.pkl`; None: beside the checkpoint, or in ../ConfigFiles as in the official tree. UserError that names what is missing,
    misshapen or damaged.
    """
    path = Path(path)
    reader = Reader(path)
    shapes = reader.shapes()
    keys: dict[str, str] = {}
    for ours, official in LAYERS.items():
        for leaf in ("weight", "bias"):
            found = [key for key in shapes if key == f"{official}.{leaf}" or key.endswith(f".{official}.{leaf}")]
            if len(found) != 1:
                raise UserError(f"{path} is not HeadNeRF's nl3dmm_net_dict.pth: it has {len(found)} keys {official}.{leaf}, not one.")
            keys[f"{ours}.{leaf}"] = found[0]
    indices, candidates = _vertices(_landmark_file(path) if landmarks is None else Path(landmarks))
    (hidden, width), (rows,) = _sizes(shapes, keys, path)
    if width <= EXPRESSION or rows % 3 or rows // 3 <= int(indices.max()):
        raise UserError(f"{path} has {width} codes and {rows} coordinates, which do not fit {len(indices)} vertices up to {indices.max()}.")
    tensors = {ours: reader.read(key) for ours, key in keys.items()}
    coordinates = torch.from_numpy((indices[:, None] * 3 + np.arange(3)).reshape(-1))
    for leaf in ("weight", "bias"):
        tensors[f"vertices.{leaf}"] = tensors[f"vertices.{leaf}"][coordinates]
    with torch.device("meta"):
        network = NL3DMM(width - EXPRESSION, EXPRESSION, hidden, candidates)
    fill(network, tensors, lambda ours: keys[ours], [], str(path))
    return network.eval()


def _sizes(shapes: Mapping[str, tuple[int, ...]], keys: Mapping[str, str], path: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of the first layer's weight and the last one's bias. UserError unless the four tensors are of two linear layers."""
    ndims = {"weight": 2, "bias": 1}
    wrong = [key for ours, key in keys.items() if len(shapes[key]) != ndims[ours.split(".")[1]]]
    if wrong or shapes[keys["vertices.weight"]][0] != shapes[keys["vertices.bias"]][0]:
        key = wrong[0] if wrong else keys["vertices.weight"]
        raise UserError(f"{path}: {key} has the shape {list(shapes[key])}, which is not that of HeadNeRF's face model.")
    return shapes[keys["hidden.weight"]], shapes[keys["vertices.bias"]]


def _landmark_file(checkpoint: Path) -> Path:
    places = [checkpoint.parent / place / LANDMARKS for place in PLACES]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise UserError(f"{checkpoint} needs {LANDMARKS} of HeadNeRF's repository (folder ConfigFiles) beside it; it is not there.")
    return found


def _vertices(path: Path) -> tuple[NDArray[np.int64], int]:
    """The vertices that landmarks may lie on: those of the jaw line point by point, then the inner 51. And how many each jaw point has."""
    content: Any = load_file(path)
    arrays = [np.asarray(content.get(key)) if isinstance(content, dict) else np.zeros(0) for key in ("contour_idx", "inface_idx")]
    jaw, inner = arrays
    if jaw.ndim != 2 or len(jaw) != JAW or inner.shape != (INNER,) or any(array.dtype.kind not in "iu" for array in arrays):
        raise UserError(f"{path} is not HeadNeRF's {LANDMARKS}: contour_idx {jaw.shape} and inface_idx {inner.shape} of {jaw.dtype}.")
    indices = np.concatenate([jaw.reshape(-1), inner]).astype(np.int64)
    if indices.min() < 0:
        raise UserError(f"{path} names vertex {indices.min()}; it is damaged.")
    return indices, jaw.shape[1]
