"""Reads arrays out of other people's pickles without executing anything.

FLAME's models are Python 2 pickles of chumpy, scipy.sparse and old NumPy objects; DECA's landmark embedding mixes NumPy arrays and PyTorch
tensors. Unpickling them the ordinary way imports whatever they name and calls it. Here nothing is imported: a short list of names is answered by
stand-ins that only note down what the file says, and the arrays are built from the notes afterwards, their sizes checked against their bytes.
Any other name is refused, and the message says which.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.errors import UserError
from discontrolface.common.restricted import DAMAGE, Inert, Noted, PlainDict, RestrictedUnpickler
from discontrolface.common.torch_pickle import StorageRef, fits, read_legacy_pickles, repeated

MAX_FILE_BYTES = 4 * 2**30
MAX_DENSE = 10**8  # elements of a sparse matrix written out
MAX_EXPANDED = 10**6  # numbers that a tensor may show beyond those in the file
MAX_NODES = 10**6  # objects in one file
PLAIN_KINDS = "biuf"


class DType(Noted):
    """numpy.dtype: args = (code, align, copy), state = (version, byte order, ...)."""

    def build(self) -> np.dtype[Any]:
        code = _text(self.args[0])
        order = _text(self.state[1]) if self.state else "="
        if code.startswith("O"):
            return np.dtype(object)
        if len(code) > 3 or order not in "<>=|":
            raise pickle.UnpicklingError(f"an array has the type {code!r}, which is not a number")
        dtype = np.dtype(code)
        if dtype.kind not in PLAIN_KINDS:
            raise pickle.UnpicklingError(f"an array has the type {code!r}, which is not a number")
        return dtype.newbyteorder("<" if order in "=|" else order)  # type: ignore[arg-type]


class Array(Noted):
    """numpy.ndarray: state = (version, shape, dtype, Fortran order, bytes or list)."""

    def build(self, finish: Callable[[Any], Any]) -> Any:
        if self.state is None:
            raise pickle.UnpicklingError("an array has no content")
        _, shape, dtype, fortran, data = self.state if len(self.state) == 5 else (0, *self.state)
        kind = dtype.build()
        shape = _shape(shape)
        if kind.hasobject:  # an array of objects, such as numpy.save makes of a dict: the single object, or a list
            if not isinstance(data, list) or len(data) != math.prod(shape):
                raise pickle.UnpicklingError("an array of objects has another number of them than its shape says")
            objects = [finish(item) for item in data]
            return objects[0] if shape == () else objects
        raw = _bytes(data)
        if len(raw) != math.prod(shape) * kind.itemsize:
            raise pickle.UnpicklingError(f"an array of shape {shape} has {len(raw)} bytes")
        return np.frombuffer(raw, kind).astype(kind.newbyteorder("=")).reshape(shape, order="F" if fortran else "C")


class Scalar(Noted):
    """numpy.core.multiarray.scalar(dtype, bytes)."""

    def build(self) -> Any:
        return np.frombuffer(_bytes(self.args[1]), self.args[0].build())[0]


class Sparse(Noted):
    """A scipy.sparse matrix; `order` is csc, csr or coo."""

    order = ""

    def build(self, finish: Callable[[Any], Any]) -> NDArray[Any]:
        if not isinstance(self.state, dict):
            raise pickle.UnpicklingError("a sparse matrix has no content")
        s = {_text(key).lstrip("_"): finish(value) for key, value in self.state.items()}
        shape = _shape(s["shape"])
        if len(shape) != 2 or math.prod(shape) > MAX_DENSE:
            raise pickle.UnpicklingError(f"a sparse matrix claims the shape {shape}")
        data = np.asarray(s["data"], np.float64)
        if self.order == "coo":
            pair = s["coords"] if "coords" in s else (s["row"], s["col"])  # newer SciPy, older
            rows, columns = (np.asarray(index, np.int64) for index in pair)
        else:
            pointers, inner = (np.asarray(s[key], np.int64) for key in ("indptr", "indices"))
            outer = np.repeat(np.arange(len(pointers) - 1), np.diff(pointers))
            rows, columns = (inner, outer) if self.order == "csc" else (outer, inner)
        dense = np.zeros(shape)
        if len(data) and (min(rows.min(), columns.min()) < 0 or rows.max() >= shape[0] or columns.max() >= shape[1]):
            raise pickle.UnpicklingError("a sparse matrix has entries outside its shape")
        np.add.at(dense, (rows, columns), data)
        return dense


class SparseColumns(Sparse):
    order = "csc"


class SparseRows(Sparse):
    order = "csr"


class SparseTriplets(Sparse):
    order = "coo"


class Chumpy(Noted):
    """chumpy.ch.Ch: a variable; its value is `x`."""

    def build(self, finish: Callable[[Any], Any]) -> NDArray[Any]:
        if not isinstance(self.state, dict) or "x" not in self.state:
            raise pickle.UnpicklingError("a chumpy object has no value of its own")
        return np.asarray(finish(self.state["x"]), np.float64)


class Storage(Noted):
    """torch.storage._load_from_bytes: one storage in PyTorch's old format."""

    def build(self) -> NDArray[Any]:
        file = io.BytesIO(_bytes(self.args[0]))
        ref, storages = read_legacy_pickles(file)
        if not isinstance(ref, StorageRef) or list(storages) != [ref.key]:
            raise pickle.UnpicklingError("a tensor's storage makes no sense")
        (count,) = struct.unpack("<q", file.read(8))
        name = str(ref.dtype).removeprefix("torch.")
        kind = np.dtype({"bool": "?"}.get(name, name))
        raw = file.read(max(0, count) * kind.itemsize)
        if count != ref.count or len(raw) != count * kind.itemsize:
            raise pickle.UnpicklingError("a tensor's storage is cut short")
        return np.frombuffer(raw, kind)


class TorchTensor(Noted):
    """torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, ...)."""

    def build(self) -> NDArray[Any]:
        storage, offset, shape, stride = self.args[:4]
        flat: NDArray[Any] = storage.build()
        size, steps = _shape(shape), _shape(stride)
        if type(offset) is not int or offset < 0 or len(size) != len(steps):
            raise pickle.UnpicklingError("a tensor's description makes no sense")
        if not fits(size, steps, offset, len(flat)) or repeated(size, len(flat)) > MAX_EXPANDED:
            raise pickle.UnpicklingError(f"a tensor of shape {size} has {len(flat)} numbers")
        return np.lib.stride_tricks.as_strided(flat[offset:], size, [s * flat.itemsize for s in steps]).copy()


class Encoded(Noted):
    """_codecs.encode(text, "latin1"), bytes() and bytearray() of nothing, of bytes or of small numbers: how bytes are written in old protocols.

    A number alone, which would be a length, is refused: nothing in a file says how much memory it may take.
    """

    def build(self) -> bytes:
        if not self.args:
            return b""
        content = self.args[0]
        if self.args[1:] not in ((), ("latin1",), ("latin-1",)):
            raise pickle.UnpicklingError("bytes are encoded in an unknown way")
        if isinstance(content, Encoded) and content is not self:
            return content.build()
        if isinstance(content, bytes | bytearray):
            return bytes(content)
        if isinstance(content, str):
            return content.encode("latin1")
        if isinstance(content, list | tuple) and all(type(n) is int and 0 <= n < 256 for n in content):
            return bytes(content)
        raise pickle.UnpicklingError("bytes are made of something that is neither text nor numbers below 256")


class Buffered(Noted):
    """numpy.core.numeric._frombuffer(bytes, dtype, shape, order): how arrays are written in protocol 5."""

    def build(self) -> NDArray[Any]:
        data, dtype, shape, order = self.args
        array = Array()
        array.state = (0, shape, dtype, _text(order) == "F", data)
        if dtype.build().hasobject:
            raise pickle.UnpicklingError("an array of objects is written as bytes")
        return array.build(lambda item: item)


class NumpyReconstruct(Noted):
    """numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b"b"): an empty array."""

    def __new__(cls, kind: Any, *_: Any) -> Any:
        if kind is not Array:
            raise pickle.UnpicklingError("an array is of a class that is not numpy.ndarray")
        return Array()


class CopyReconstruct(Noted):
    """copy_reg._reconstructor(cls, object, None): an object of a class on the list, empty."""

    def __new__(cls, kind: Any, *_: Any) -> Any:
        if kind not in (Chumpy, SparseColumns, SparseRows, SparseTriplets):
            raise pickle.UnpicklingError("an object is of a class that is not on the list")
        return kind()


_NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")


class ArrayUnpickler(RestrictedUnpickler):
    """Builds dicts, lists, numbers, strings and the stand-ins above; nothing else."""

    purpose = "model"
    names: ClassVar[Mapping[tuple[str, str], Any]] = {
        **{(m, "_reconstruct"): NumpyReconstruct for m in _NUMPY},
        **{(m, "ndarray"): Array for m in _NUMPY},
        **{(m, "dtype"): DType for m in _NUMPY},
        **{(m, "scalar"): Scalar for m in _NUMPY},
        **{(m, "_frombuffer"): Buffered for m in ("numpy.core.numeric", "numpy._core.numeric")},
        **{(m, "csc_matrix"): SparseColumns for m in ("scipy.sparse.csc", "scipy.sparse._csc")},
        **{(m, "csr_matrix"): SparseRows for m in ("scipy.sparse.csr", "scipy.sparse._csr")},
        **{(m, "coo_matrix"): SparseTriplets for m in ("scipy.sparse.coo", "scipy.sparse._coo")},
        ("chumpy.ch", "Ch"): Chumpy,
        ("chumpy", "Ch"): Chumpy,
        ("torch._utils", "_rebuild_tensor_v2"): TorchTensor,
        ("torch.storage", "_load_from_bytes"): Storage,
        ("collections", "OrderedDict"): PlainDict,
        ("_codecs", "encode"): Encoded,
        **{(m, "_reconstructor"): CopyReconstruct for m in ("copy_reg", "copyreg")},
        **{(m, n): Encoded for m in ("builtins", "__builtin__") for n in ("bytes", "bytearray")},
        **{(m, n): Inert for m in ("builtins", "__builtin__") for n in ("set", "frozenset", "object")},
    }


def load_arrays(file: BinaryIO, name: str) -> Any:
    """The content of one pickle: dicts, lists and tuples of numbers, text and NumPy arrays (C order, native; sparse matrices dense float64).

    Raises UserError for a pickle that names anything outside the list, and for one that is damaged.
    """
    try:
        return _finish(ArrayUnpickler(file, encoding="latin1").load())
    except pickle.UnpicklingError as error:
        reason = str(error) or "it is damaged"
        raise UserError(f"{name} is not read: {reason}; nothing in it was executed.") from None
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(
            f"{name} cannot be read as a pickle of arrays ({type(error).__name__}); it is cut short or of another kind."
        ) from None


def load_file(path: str | Path) -> Any:
    """The content of a .pkl, .npy or .npz file (told apart by their first bytes), as `load_arrays` gives it; .npz as a dict."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist; give the path of a .pkl, .npy or .npz file.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UserError(f"{path} has {path.stat().st_size} bytes; more than {MAX_FILE_BYTES} are refused.")
    with path.open("rb") as file:
        head = file.read(6)
        file.seek(0)
        if head[:4] == b"PK\x03\x04":
            return _load_npz(file, path)
        if head == b"\x93NUMPY":
            return _load_npy(file, str(path))
        return load_arrays(file, str(path))


def _load_npz(file: BinaryIO, path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = [m for m in archive.infolist() if m.filename.endswith(".npy")]
            if not members or sum(m.file_size for m in members) > MAX_FILE_BYTES:
                raise UserError(f"{path} is a zip file without arrays in it, or too large; give a .npz file.")
            return {m.filename[:-4]: _load_npy(io.BytesIO(archive.read(m)), f"{path}, array {m.filename[:-4]}") for m in members}
    except (zipfile.BadZipFile, NotImplementedError, OSError, RuntimeError, struct.error) as error:
        raise UserError(f"{path} cannot be read as a .npz file ({type(error).__name__}); it is cut short or damaged.") from None


def _load_npy(file: BinaryIO, name: str) -> Any:
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read_header(file)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{name} cannot be read as a .npy file ({error}); it is cut short or damaged.") from None
    if dtype.hasobject:
        return load_arrays(file, name)
    if dtype.kind not in PLAIN_KINDS + "U":
        raise UserError(f"{name} holds {dtype}, not numbers.")
    data = file.read()
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise UserError(f"{name} has {len(data)} bytes where its shape {shape} needs {math.prod(shape) * dtype.itemsize}; it is cut short.")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").copy()


def _finish(content: Any) -> Any:
    """Stand-ins to arrays, all the way down. Each object once, however often the file refers to it."""
    results: dict[int, Any] = {}
    originals: list[Any] = []  # ids stay unique while the objects live

    def finish(value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | str | bytes | bytearray):
            return value
        if id(value) in results:
            return results[id(value)]
        if len(results) > MAX_NODES:
            raise pickle.UnpicklingError("it holds too many objects")
        if isinstance(value, dict):
            out: Any = {}
            results[id(value)] = out
            out.update({_key(key): finish(item) for key, item in value.items()})
        elif isinstance(value, list | tuple):
            out = type(value)(finish(item) for item in value)
        elif isinstance(value, Array | Sparse | Chumpy):
            out = value.build(finish)
        elif isinstance(value, Scalar | TorchTensor | Storage | Encoded | Buffered):
            out = value.build()
        elif isinstance(value, Inert | DType | set | frozenset):
            out = None
        else:
            raise pickle.UnpicklingError(f"it holds a {type(value).__name__} where an array or a number is wanted")
        results[id(value)] = out
        originals.append(value)
        return out

    return finish(content)


def _key(key: Any) -> Any:
    key = key.build() if isinstance(key, Encoded) else key
    if isinstance(key, bytes):
        return key.decode("latin1")
    if not isinstance(key, str | int | float | bool | None):
        raise pickle.UnpicklingError("a dictionary has a key that is neither text nor a number")
    return key


def _text(value: Any) -> str:
    value = value.build() if isinstance(value, Encoded) else value
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _bytes(value: Any) -> bytes:
    """Bytes; a Python 2 string comes as text in Latin-1."""
    value = value.build() if isinstance(value, Encoded) else value
    if isinstance(value, str):
        return value.encode("latin1")
    if not isinstance(value, bytes | bytearray):
        raise pickle.UnpicklingError("an array's content is not bytes")
    return bytes(value)


def _shape(value: Any) -> tuple[int, ...]:
    numbers: tuple[Any, ...] = tuple(value) if isinstance(value, list | tuple | np.ndarray) else (value,)
    numbers = tuple(int(n) if isinstance(n, np.integer) else n for n in numbers)
    if len(numbers) > 8 or not all(type(n) is int and 0 <= n < 2**40 for n in numbers):
        raise pickle.UnpicklingError(f"the shape {numbers!r:.80} makes no sense")
    return numbers
