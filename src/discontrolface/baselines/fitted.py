"""What a peer fits to a photo before it can edit it, kept for the edits that follow of the same photo."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final, Generic, TypeVar

from discontrolface.editing.person import Person

T = TypeVar("T")
KEPT: Final = 8


class Fitted(Generic[T]):
    """The last few fits by photo, crop and face parameters. One at a time: a second caller waits for the first one's."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._lock = Lock()

    def of(self, person: Person, fit: Callable[[], T]) -> T:
        """The fit of this person, made by `fit` unless it is kept."""
        parts = (person.photo.sha256, person.crop.photo_to_crop.tobytes().hex(), str(person.crop.size), person.parameters.to_json())
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = fit()
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return self._kept[key]
