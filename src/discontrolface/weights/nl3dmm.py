"""HeadNeRF's face model in: `nl3dmm_net_dict.pth` of its ConfigModels.zip, with the files that the official code reads beside it.

These are LandMarkInfo.pkl, nl_3dmm_topo_info.npz and skinmask.npy of the repository's folder ConfigFiles and, where the checkpoint has no colours,
nl3dmm_dict.pkl of ConfigModels.zip. Nothing is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.unpickle import load_file
from discontrolface.nets.headnerf import EXPRESSION
from discontrolface.nets.nl3dmm import INNER, JAW, NL3DMM
from discontrolface.weights.reader import Reader, fill

LAYERS: Final = {"hidden": "geo_fc2", "vertices": "geo_fc3"}
COLOURS: Final = ("mu_tex", "b_tex", "sig_tex")  # mean (3 V), directions (T,3 V), their spreads (T)
LANDMARKS, TOPOLOGY, SKIN, DICTIONARY = "LandMarkInfo.pkl", "nl_3dmm_topo_info.npz", "skinmask.npy", "nl3dmm_dict.pkl"
PLACES: Final = ("", "../ConfigFiles")  # of these files, from the checkpoint's folder: beside it, or as the official tree has them
Shapes = Mapping[str, tuple[int, ...]]


def import_nl3dmm(path: str | Path, files: str | Path | None = None) -> NL3DMM:
    """The face model, in eval mode, float32, on the CPU.

    files: the folder of the files that belong to it; None: beside the checkpoint, or ../ConfigFiles as in the official tree. UserError that names
    what is missing, misshapen or damaged.
    """
    path = Path(path)
    places = [path.parent / place for place in PLACES] if files is None else [Path(files)]
    reader = Reader(path)
    shapes = reader.shapes()
    keys = {f"{ours}.{leaf}": _one(shapes, f"{official}.{leaf}", path) for ours, official in LAYERS.items() for leaf in ("weight", "bias")}
    hidden, width, count = _sizes(shapes, keys, path)
    jaw, inner = _landmarks(_found(places, LANDMARKS, path), count)
    topology = _topology(_found(places, TOPOLOGY, path), count)
    skin = _skin(_found(places, SKIN, path), count)
    colours = _colours(reader, places, path, count)
    tensors = {ours: reader.read(key) for ours, key in keys.items()}
    tensors |= {"colours.weight": (colours["b_tex"] * colours["sig_tex"][:, None]).T.contiguous(), "colours.bias": colours["mu_tex"]}
    tensors |= {**topology, "skin": skin, "landmark_vertices": torch.from_numpy(np.concatenate([jaw.reshape(-1), inner]))}
    faces, neighbours = len(topology["triangles"]), topology["around"].shape[1]
    with torch.device("meta"):
        network = NL3DMM(width - EXPRESSION, EXPRESSION, len(colours["b_tex"]), hidden, count, faces, neighbours, jaw.shape[1])
    fill(network, tensors, lambda ours: keys.get(ours, ours), [], str(path))
    return network.eval()


def _one(shapes: Shapes, end: str, path: Path) -> str:
    """The only key that ends so."""
    found = [key for key in shapes if key == end or key.endswith(f".{end}")]
    if len(found) != 1:
        raise UserError(f"{path} is not HeadNeRF's nl3dmm_net_dict.pth: it has {len(found)} keys {end}, not one.")
    return found[0]


def _sizes(shapes: Shapes, keys: Mapping[str, str], path: Path) -> tuple[int, int, int]:
    """Hidden units, codes, vertices. UserError unless the four tensors are of two linear layers."""
    ndims = {"weight": 2, "bias": 1}
    wrong = [key for ours, key in keys.items() if len(shapes[key]) != ndims[ours.split(".")[1]]]
    if wrong or shapes[keys["vertices.weight"]][0] != shapes[keys["vertices.bias"]][0]:
        key = wrong[0] if wrong else keys["vertices.weight"]
        raise UserError(f"{path}: {key} has the shape {list(shapes[key])}, which is not that of HeadNeRF's face model.")
    (hidden, width), (rows,) = shapes[keys["hidden.weight"]], shapes[keys["vertices.bias"]]
    if width <= EXPRESSION or rows % 3:
        raise UserError(f"{path} has {width} codes and {rows} coordinates, which are not those of HeadNeRF's face model.")
    return hidden, width, rows // 3


def _found(places: list[Path], name: str, checkpoint: Path) -> Path:
    found = next((place / name for place in places if (place / name).is_file()), None)
    if found is None:
        folder = "ConfigModels.zip" if name == DICTIONARY else "HeadNeRF's repository (folder ConfigFiles)"
        raise UserError(f"{checkpoint} needs {name} of {folder} beside it; it is not there.")
    return found


def _arrays(path: Path, *names: str) -> list[NDArray[Any]]:
    """Arrays of a file by name; empty ones for what it does not have."""
    content: Any = load_file(path)
    return [np.asarray(content.get(name, ())) if isinstance(content, dict) else np.zeros(0) for name in names]


def _whole(array: NDArray[Any], what: str, below: int, path: Path) -> Tensor:
    """An array of numbers from 0 to `below` - 1. UserError for others."""
    if array.dtype.kind not in "iu" or not array.size:
        raise UserError(f"{path} has {what} of {array.dtype}, shape {list(array.shape)}; it is not HeadNeRF's {path.name}.")
    if array.min() < 0 or array.max() >= below:
        raise UserError(f"{path} names {what} {array.min()} to {array.max()}, but there are {below}; it is damaged or of another model.")
    return torch.from_numpy(array.astype(np.int64))


def _landmarks(path: Path, vertices: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The vertices that landmarks may lie on: (17,C) of the jaw line, (51,) the others."""
    jaw, inner = _arrays(path, "contour_idx", "inface_idx")
    if jaw.ndim != 2 or len(jaw) != JAW or inner.shape != (INNER,):
        raise UserError(f"{path} is not HeadNeRF's {LANDMARKS}: contour_idx {jaw.shape} and inface_idx {inner.shape}.")
    return _whole(jaw, "vertices", vertices, path).numpy(), _whole(inner, "vertices", vertices, path).numpy()


def _topology(path: Path, vertices: int) -> dict[str, Tensor]:
    """Triangles (F,3) by vertices, and of each vertex the triangles around (V,N), F for none."""
    triangles, around = _arrays(path, "fv_indices", "corr_vf_indices")
    if triangles.ndim != 2 or triangles.shape[1] != 3 or around.ndim != 2 or len(around) != vertices:
        shapes = f"fv_indices {triangles.shape} and corr_vf_indices {around.shape}"
        raise UserError(f"{path} is not HeadNeRF's {TOPOLOGY} of {vertices} vertices: {shapes}.")
    faces = len(triangles)
    return {"triangles": _whole(triangles, "vertices", vertices, path), "around": _whole(around, "triangles", faces + 1, path)}


def _skin(path: Path, vertices: int) -> Tensor:
    """(V,) 1 on the skin."""
    mask = np.asarray(load_file(path))
    if mask.shape != (vertices,) or mask.dtype.kind not in "biuf" or not np.isfinite(mask).all() or not mask.sum() > 0:
        raise UserError(f"{path} is not HeadNeRF's {SKIN} of {vertices} vertices: {mask.dtype}, shape {list(mask.shape)}.")
    return torch.from_numpy(mask.astype(np.float32))


def _colours(reader: Reader, places: list[Path], path: Path, vertices: int) -> dict[str, Tensor]:
    """Mean (3 V), directions (T,3 V) and spreads (T) of the vertices' colours, from the checkpoint or else the dictionary."""
    shapes = reader.shapes()
    if any(key == COLOURS[0] or key.endswith(f".{COLOURS[0]}") for key in shapes):
        source, tensors = path, {name: reader.read(_one(shapes, name, path)) for name in COLOURS}
    else:
        source = _found(places, DICTIONARY, path)
        arrays = _arrays(source, *COLOURS)
        if any(array.dtype.kind != "f" or not np.isfinite(array).all() for array in arrays):
            raise UserError(
                f"{source} has {', '.join(f'{n} of {a.dtype}' for n, a in zip(COLOURS, arrays, strict=True))}, not finite numbers."
            )
        tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in zip(COLOURS, arrays, strict=True)}
    mean, directions, spreads = (tensors[name] for name in COLOURS)
    if directions.ndim != 2 or directions.shape[1] != 3 * vertices or mean.numel() != 3 * vertices or spreads.numel() != len(directions):
        stated = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in tensors.items())
        raise UserError(f"{source} has {stated}, which do not fit {vertices} vertices.")
    return {"mu_tex": mean.reshape(-1), "b_tex": directions, "sig_tex": spreads.reshape(-1)}
