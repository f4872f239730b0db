"""The pickles in PyTorch's files, read without executing anything: tensors become descriptions of where their numbers lie.

Classes that Lightning's files are known to mention become inert markers; anything else is refused by name.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

import torch

from discontrolface.common.restricted import Inert, PlainDict, RestrictedUnpickler, Unchangeable

MAX_REPEATED = 2**26  # numbers that expanded tensors may show beyond those in the file, which could otherwise fill any memory
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

# Modules whose classes appear in Lightning files as markers. None of them is imported.
_MODULES = """
pytorch_lightning lightning lightning_fabric lightning_utilities torchmetrics omegaconf argparse pathlib numpy collections enum
typing copyreg copy_reg yacs gdl
choices config config_base dataset experiment experiment_classifier templates templates_cls templates_latent model diffusion
"""
INERT_MODULES = frozenset(_MODULES.split())
_BUILTINS = "set frozenset slice complex bytearray object type int float bool str bytes list dict tuple"
INERT_BUILTINS = frozenset(_BUILTINS.split())  # of `builtins`, in old pickles `__builtin__`
DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


@dataclass(frozen=True)
class StorageRef(Unchangeable):
    """A run of numbers in the file."""

    key: str
    dtype: torch.dtype
    count: int


@dataclass(frozen=True)
class TensorRef(Unchangeable):
    """A tensor that has not been read: where it lies and its shape."""

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class RebuiltTensor:
    """torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, ...): a `TensorRef`."""

    def __new__(cls, storage: Any, offset: Any, shape: Any, stride: Any, *_: object) -> Any:
        integers = [offset, *shape, *stride]
        if not isinstance(storage, StorageRef) or len(shape) != len(stride) or not all(type(i) is int and i >= 0 for i in integers):
            raise pickle.UnpicklingError("a tensor's description makes no sense")
        return TensorRef(storage, offset, tuple(shape), tuple(stride))

    def __setstate__(self, state: object) -> None:
        pass


class Parameter:
    """torch._utils._rebuild_parameter(tensor, ...): the tensor."""

    def __new__(cls, data: Any, *_: object) -> Any:
        return data

    def __setstate__(self, state: object) -> None:
        pass


class TensorUnpickler(RestrictedUnpickler):
    """Builds dicts, lists, numbers, strings, `TensorRef` and `Inert`; nothing else."""

    purpose = "checkpoint of weights"
    names: ClassVar[Mapping[tuple[str, str], Any]] = {
        ("collections", "OrderedDict"): PlainDict,
        ("collections", "defaultdict"): Inert,
        ("torch._utils", "_rebuild_tensor_v2"): RebuiltTensor,
        ("torch._utils", "_rebuild_parameter"): Parameter,
        ("_codecs", "encode"): Inert,
        ("torch", "Size"): Inert,
        ("torch", "device"): Inert,
        ("torch.serialization", "_get_layout"): Inert,
        **{("torch", name): dtype for name, dtype in DTYPES.items()},
    }

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, StorageRef] = {}

    def find_more(self, module: str, name: str) -> Any:
        """A number type, or a marker for a class that Lightning files are known to mention."""
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if module.split(".")[0] in INERT_MODULES or (module in ("builtins", "__builtin__") and name in INERT_BUILTINS):
            return type(name.split(".")[-1], (Inert,), {})
        return None

    def persistent_load(self, pid: Any) -> StorageRef:
        kind, dtype, key, _location, count, *view = pid
        if (
            kind != "storage"
            or not isinstance(dtype, torch.dtype)
            or type(count) is not int
            or count < 0
            or any(v is not None for v in view)
        ):
            raise pickle.UnpicklingError("a storage's description makes no sense")
        self.storages[str(key)] = StorageRef(str(key), dtype, count)
        return self.storages[str(key)]


def fits(shape: Sequence[int], stride: Sequence[int], offset: int, count: int) -> bool:
    """Whether a strided tensor lies within `count` numbers. It may show them more than once, as an expanded one does (stride 0): see `repeated`."""
    last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    return math.prod(shape) == 0 or last < count


def repeated(shape: Sequence[int], count: int) -> int:
    """How many more numbers a tensor shows than the `count` that its storage holds."""
    return max(0, math.prod(shape) - count)


def read_legacy_pickles(file: BinaryIO) -> tuple[Any, dict[str, StorageRef]]:
    """(content, its storages in the order of their numbers) of the format before torch 1.6; the file is left where the numbers begin."""
    if TensorUnpickler(file).load() != LEGACY_MAGIC or TensorUnpickler(file).load() != LEGACY_PROTOCOL:
        raise pickle.UnpicklingError("it is not a file that PyTorch wrote")
    system = TensorUnpickler(file).load()
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise pickle.UnpicklingError("it was written on a big-endian machine, which is not supported")
    unpickler = TensorUnpickler(file)
    content = unpickler.load()
    return content, {str(key): unpickler.storages[str(key)] for key in TensorUnpickler(file).load()}
