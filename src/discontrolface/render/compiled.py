"""How kernels are compiled: Numba, without the GIL, divisions by zero as in NumPy, the machine code kept on disk.

A kernel takes its arrays in NamedTuples, by meaning (`Surface`, `MeshMotion`, `Paint`, ...), filled by keyword where it is called: two arrays of one
dtype that change places would give another picture and no error. A long kernel is split into `inlined` pieces, which cost no call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`numba.njit`, cached; where no cache folder can be written, compiled anew in each process."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # "cannot cache function: no locator available": package and home folder are both read-only
        return numba.njit(nogil=True, error_model="numpy")(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A piece of a kernel that becomes part of each that uses it. A file's kernels are compiled anew when that file changes, not when a piece
    in another file does: remove the cache (`__pycache__/*.nb?`) after changing one."""
    return numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)


_LEAN: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}  # a dict: Numba's type stubs do not know _nrt


def lean(function: Callable[..., Any]) -> Callable[..., Any]:
    """`compiled` for a kernel that allocates no array: without reference counts, which each array that is taken out of a NamedTuple at a pixel would
    cost (half the time of a kernel with many). Numba refuses to compile it if it does allocate."""
    try:
        return numba.njit(cache=True, **_LEAN)(function)
    except RuntimeError:
        return numba.njit(**_LEAN)(function)


def lean_inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A piece of a `lean` kernel, as `inlined`."""
    return numba.njit(forceinline=True, **_LEAN)(function)
