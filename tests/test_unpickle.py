"""The restricted unpickler: what it builds, and what it refuses."""

from __future__ import annotations

import collections
import contextlib
import io
import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix

from discontrolface.common.errors import UserError
from discontrolface.common.unpickle import load_arrays, load_file


def loaded(content: Any, protocol: int = 2) -> Any:
    return load_arrays(io.BytesIO(pickle.dumps(content, protocol)), "the file")


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_come_back_as_they_are(protocol: int) -> None:
    dense = np.array([[0, 2.5, 0], [0, 0, -1]])
    content = {
        "c": np.arange(12, dtype=np.float32).reshape(3, 4),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "empty": np.zeros((0, 3)),
        "bools": np.array([True, False]),
        "scalar": np.float32(1.5),
        "sparse": [kind(dense) for kind in (csc_matrix, csr_matrix, coo_matrix)],
        "objects": np.array({"a": np.ones(2)}, dtype=object),
        "ordered": collections.OrderedDict([("x", 1), ("y", (2, "text", None, b"bytes"))]),
        "tensor": torch.arange(6).reshape(2, 3).t(),
        "half": torch.tensor([1.5], dtype=torch.float16),
    }
    out = loaded(content, protocol)
    for key in ("c", "fortran", "big", "empty", "bools"):
        assert np.array_equal(out[key], content[key])
        assert out[key].dtype == content[key].dtype.newbyteorder("=")
    assert out["scalar"] == 1.5
    assert all(np.array_equal(matrix, dense) for matrix in out["sparse"])
    assert np.array_equal(out["objects"]["a"], np.ones(2))
    assert out["ordered"] == {"x": 1, "y": (2, "text", None, b"bytes")}
    assert np.array_equal(out["tensor"], content["tensor"].numpy())
    assert out["half"].tolist() == [1.5]


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, "system"),
        (subprocess.Popen, "Popen"),
        (eval, "eval"),
        (getattr, "getattr"),
        (np.load, r"numpy.*load"),
        (torch.load, r"torch.*load"),
        (collections.Counter, r"collections\.Counter"),
        (pickle.loads, "loads"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_calls_are_refused_by_name(function: Any, name: str, protocol: int, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    with pytest.raises(UserError, match=rf"names .*{name}.*nothing in it was executed"):
        loaded({"x": Calls(function, f"touch {trace}")}, protocol)
    assert not trace.exists()


def test_a_call_hidden_in_an_array_of_objects_is_refused() -> None:
    hidden = np.empty(1, dtype=object)
    hidden[0] = Calls(os.system, "true")
    with pytest.raises(UserError, match=r"system"):
        loaded(hidden)


def test_numpy_files(tmp_path: Path) -> None:
    hidden = np.empty((), dtype=object)
    hidden[()] = Calls(os.system, "true")
    np.save(tmp_path / "evil.npy", hidden, allow_pickle=True)
    np.savez(tmp_path / "evil.npz", x=hidden)
    for name in ("evil.npy", "evil.npz"):
        with pytest.raises(UserError, match="system"):
            load_file(tmp_path / name)
    np.save(tmp_path / "good.npy", np.arange(4))
    assert load_file(tmp_path / "good.npy").tolist() == [0, 1, 2, 3]
    (tmp_path / "cut.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:-3])
    with pytest.raises(UserError, match="cut short"):
        load_file(tmp_path / "cut.npy")
    np.save(tmp_path / "dates.npy", np.zeros(2, "M8[s]"))
    with pytest.raises(UserError, match="not numbers"):
        load_file(tmp_path / "dates.npy")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), b""),
        ((b"\x00\xff",), b"\x00\xff"),
        (([0, 127, 255],), b"\x00\x7f\xff"),
        (("a\xe9", "latin1"), b"a\xe9"),
        (("a\xe9", "latin-1"), b"a\xe9"),
    ],
)
@pytest.mark.parametrize("maker", [bytes, bytearray])
@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_bytes_by_their_constructor(maker: type, arguments: tuple[Any, ...], expected: bytes, protocol: int) -> None:
    """`__builtin__.bytes(...)`, as Python 2 and old protocols write them; also as the content of an array."""
    data = pickle.dumps({"x": Calls(maker, *arguments)}, protocol).replace(b"cbuiltins\n", b"c__builtin__\n")
    assert load_arrays(io.BytesIO(data), "the file")["x"] == expected


@pytest.mark.parametrize("arguments", [(10**12,), (-1,), ([256],), ("x", "rot13"), (["a"],), (None,)])
def test_bytes_of_anything_else_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(UserError, match="bytes are"):
        loaded({"x": Calls(bytes, *arguments)})


def test_expanded_tensors_are_read_but_not_without_limit() -> None:
    row = torch.arange(4.0)
    out = loaded({"rows": row.expand(3, 4), "one": row[2:3].expand(2, 2), "windows": row.as_strided((3, 2), (1, 1))})
    assert np.array_equal(out["rows"], np.tile(np.arange(4.0), (3, 1)))
    assert np.array_equal(out["one"], np.full((2, 2), 2.0))
    assert np.array_equal(out["windows"], [[0, 1], [1, 2], [2, 3]])
    with pytest.raises(UserError, match="a tensor of shape"):
        loaded({"x": row[:1].expand(1 << 30)})


def test_sizes_must_fit() -> None:
    good = pickle.dumps(np.zeros(3, np.float64), 2)
    wrong = good.replace(b"K\x01K\x03\x85", b"K\x01K\x04\x85")
    assert wrong != good
    with pytest.raises(UserError, match=r"shape \(4,\) has 24 bytes"):
        load_arrays(io.BytesIO(wrong), "the file")
    sparse = csc_matrix(np.eye(3))
    sparse._shape = (10**6, 10**6)
    with pytest.raises(UserError, match="claims the shape"):
        loaded(sparse)
    sparse = csc_matrix(np.eye(3))
    sparse.indices = np.array([0, 1, 7], np.int32)
    with pytest.raises(UserError, match="outside its shape"):
        loaded(sparse)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_never_gets_past_as_anything_but_a_user_error(data: st.DataObject) -> None:
    good = bytearray(pickle.dumps({"a": np.arange(5.0), "s": csc_matrix(np.eye(2)), "t": "text"}, data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    with_error = bytes(good[: data.draw(st.integers(0, len(good)))])
    with contextlib.suppress(UserError):
        load_arrays(io.BytesIO(with_error), "the file")
