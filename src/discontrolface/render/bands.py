"""Two threads for one preview: this one and, for large pictures, one more (Numba kernels and NumPy's loops hold no lock)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from discontrolface.common.parallel import cores

A = TypeVar("A")
B = TypeVar("B")

LARGE = 384  # pixels: with fewer rows a second thread costs more than it saves


class Pair:
    """A second thread for as long as the `with` block lasts; none for pictures of fewer than LARGE rows, or where there is only one core."""

    def __init__(self, rows: int) -> None:
        self._other = ThreadPoolExecutor(1) if rows >= LARGE and cores() > 1 else None

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._other is not None:
            self._other.shutdown()

    def both(self, here: Callable[[], A], there: Callable[[], B]) -> tuple[A, B]:
        """The results of two pieces of work that do not need each other."""
        if self._other is None:
            return here(), there()
        other = self._other.submit(there)
        return here(), other.result()

    def bands(self, kernel: Callable[..., None], rows: int, *arguments: Any) -> None:
        """kernel(first, last, *arguments) over all rows, in two bands."""
        self.both(lambda: kernel(0, rows // 2, *arguments), lambda: kernel(rows // 2, rows, *arguments))
