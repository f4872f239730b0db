"""Reads tensors out of other people's PyTorch checkpoints without executing anything.

`torch.load(weights_only=True)` refuses some Lightning 1.4 files, because they use a class (`ModelCheckpoint`) as a dictionary key. So the pickle is
read by an unpickler that builds no foreign object (`common/torch_pickle.py`). Only the tensors asked for are read from the file.
"""

import io
import math
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.restricted import DAMAGE
from discontrolface.common.torch_pickle import MAX_REPEATED, TensorRef, TensorUnpickler, fits, read_legacy_pickles, repeated

MAX_PICKLE_BYTES = 64 * 2**20  # the structure alone; the official files need less than 1 MB


class Checkpoint(Mapping[str, TensorRef]):
    """The tensors of a checkpoint's state dict, by key; `read` fetches one's numbers."""

    def __init__(
        self,
        path: Path,
        refs: dict[str, TensorRef],
        spans: dict[str, tuple[int, int]],
        numbers: Mapping[str, float],  # what else the file says in numbers, by dotted name
    ) -> None:
        self.path, self.refs, self.numbers = path, refs, dict(numbers)
        self.spans = spans  # storage key -> (position, bytes) in the file
        self.repeated = 0  # numbers that expanded tensors have shown so far beyond those in the file

    def __getitem__(self, key: str) -> TensorRef:
        return self.refs[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.refs)

    def __len__(self) -> int:
        return len(self.refs)

    def read(self, key: str) -> Tensor:
        """The tensor, contiguous, in the file's dtype. Raises UserError if the file does not hold as many numbers as the shape says."""
        ref = self.refs[key]
        storage = ref.storage
        position, size = self.spans.get(storage.key, (0, -1))
        if size != storage.count * storage.dtype.itemsize:
            raise UserError(f"{self.path} is damaged: the numbers of {key} are missing or cut short; download the file again.")
        if math.prod(ref.shape) == 0:
            return torch.empty(ref.shape, dtype=storage.dtype)
        if not fits(ref.shape, ref.stride, ref.offset, storage.count):
            raise UserError(
                f"{self.path} is damaged: {key} of shape {list(ref.shape)} and strides {list(ref.stride)} from {ref.offset} on "
                f"reaches beyond its {storage.count} numbers."
            )
        self.repeated += repeated(ref.shape, storage.count)
        if self.repeated > MAX_REPEATED:
            raise UserError(
                f"{self.path} is refused: its expanded tensors, with {key} of shape {list(ref.shape)}, show more than {MAX_REPEATED} "
                "numbers that the file does not hold."
            )
        with self.path.open("rb") as file:
            file.seek(position)
            data = bytearray(file.read(size))
        if len(data) != size:
            raise UserError(f"{self.path} is damaged: it ends within {key}; download the file again.")
        return torch.frombuffer(data, dtype=storage.dtype).as_strided(ref.shape, ref.stride, ref.offset).contiguous()


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Reads the structure of a PyTorch checkpoint (zip or legacy format), a Lightning file or a bare state dict; executes nothing from it.

    Raises UserError, in one sentence, for a file that is missing, damaged, compressed, too large in its structure, or that names code.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; give the path of an official checkpoint.")
    try:
        with path.open("rb") as file:
            content, spans = _read_zip(file) if zipfile.is_zipfile(file) else _read_legacy(file)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} is not a checkpoint of weights: {error}; nothing in it was executed.") from error
    except UserError as error:
        raise UserError(f"{path} {error}") from error
    except DAMAGE as error:
        raise UserError(f"{path} cannot be read as a checkpoint ({type(error).__name__}); it is damaged or of another kind.") from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise UserError(f"{path} holds no state dict; give an official checkpoint of weights.")
    refs = _flat(state)
    if not refs:
        raise UserError(f"{path} holds no tensors that have a name; give an official checkpoint of weights (an optimizer's state is none).")
    return Checkpoint(path, refs, spans, _numbers(content))


def _tensors(state: Mapping[Any, Any]) -> dict[str, TensorRef]:
    return {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, TensorRef)}


def _flat(state: Mapping[Any, Any]) -> dict[str, TensorRef]:
    """The tensors of a state dict. A file with one state dict for each network (DECA's): keys get the network's name and a dot before them."""
    nets = {name: _tensors(net) for name, net in state.items() if isinstance(name, str) and isinstance(net, dict)}
    return _tensors(state) or {f"{name}.{key}": ref for name, net in nets.items() for key, ref in net.items()}


def _numbers(content: Any) -> dict[str, float]:
    """Plain numbers of a file's dict and of the dicts in it: {"epoch": 3, "para.featmap_size": 64}."""
    found: dict[str, float] = {}
    for name, value in content.items() if isinstance(content, dict) else ():
        if isinstance(name, str) and type(value) in (int, float):
            found[name] = value
        elif isinstance(name, str) and isinstance(value, dict):
            found |= {f"{name}.{key}": inner for key, inner in value.items() if isinstance(key, str) and type(inner) in (int, float)}
    return found


def _read_zip(file: BinaryIO) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The format of torch >= 1.6: `<root>/data.pkl` and one uncompressed member `<root>/data/<key>` per storage."""
    file.seek(0, os.SEEK_END)
    end = file.tell()
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        pickles = [m for m in members if m.filename.endswith("/data.pkl") and m.filename.count("/") == 1]
        if len(pickles) != 1:
            raise UserError("is a zip file, but not one that PyTorch wrote (no data.pkl).")
        if any(m.compress_type != zipfile.ZIP_STORED or m.file_size > end for m in members):
            raise UserError("is compressed or claims to be larger than it is, which PyTorch never does; it is refused.")
        if pickles[0].file_size > MAX_PICKLE_BYTES:
            raise UserError(f"describes itself in {pickles[0].file_size} bytes; more than {MAX_PICKLE_BYTES} are refused.")
        root = pickles[0].filename.split("/")[0]
        if f"{root}/byteorder" in archive.namelist() and archive.read(f"{root}/byteorder") != b"little":
            raise UserError("was written on a big-endian machine, which is not supported.")
        content = TensorUnpickler(io.BytesIO(archive.read(pickles[0]))).load()
    spans = {}
    for member in members:
        if member.filename.startswith(f"{root}/data/"):
            file.seek(member.header_offset)
            header = struct.unpack("<4s5H3I2H", file.read(30))  # the local header: its name and extra fields have their own lengths
            start = member.header_offset + 30 + header[9] + header[10]
            if start + member.file_size <= end:
                spans[member.filename.removeprefix(f"{root}/data/")] = (start, member.file_size)
    return content, spans


def _read_legacy(file: BinaryIO) -> tuple[Any, dict[str, tuple[int, int]]]:
    """The format before torch 1.6: five pickles (magic, protocol, system, content, storage keys), then per storage its count and its numbers."""
    file.seek(0)
    content, storages = read_legacy_pickles(file)
    spans = {}
    for key, storage in storages.items():
        (count,) = struct.unpack("<q", file.read(8))
        if count < 0:
            raise ValueError("negative count")
        spans[key] = (file.tell(), count * storage.dtype.itemsize)
        file.seek(count * storage.dtype.itemsize, os.SEEK_CUR)
    needed = file.tell()
    if needed > file.seek(0, os.SEEK_END):
        raise EOFError
    return content, spans
