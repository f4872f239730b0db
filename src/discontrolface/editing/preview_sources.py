"""The photo as previews need it, read once for each size and kept: for every edit of a person, from any thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from discontrolface.render.source import PreviewSource

KEPT_SIZES: Final = 3  # the photo's own size, the networks', and a screen's


class PreviewSources:
    """The last KEPT_SIZES sources by side length. Thread-safe: two threads that ask for the same size read the photo once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, PreviewSource] = OrderedDict()

    def __reduce__(self) -> tuple[type[PreviewSources], tuple[()]]:
        return PreviewSources, ()  # another process reads the photo for itself

    def get(self, size: int, read: Callable[[], PreviewSource]) -> PreviewSource:
        """The source of a size, read by `read` where it is not kept."""
        with self._lock:
            if size in self._kept:
                self._kept.move_to_end(size)
            else:
                self._kept[size] = read()
                if len(self._kept) > KEPT_SIZES:
                    self._kept.popitem(last=False)
            return self._kept[size]
