"""What both readers of other people's pickles stand on: an unpickler that imports nothing, and inert stand-ins.

A pickle names the functions and classes that build its content. Here a name is answered by an entry of an allow list or by nothing: the entries
are stand-ins, classes whose objects note down at most what the file says. `weights.checkpoint` reads tensors of PyTorch files this way,
`weights.unpickle` arrays.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Mapping
from typing import Any, ClassVar

# What reading a damaged or hostile file may raise, besides pickle.UnpicklingError.
DAMAGE = (
    EOFError,
    OSError,
    ValueError,  # UnicodeDecodeError as well
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
    NotImplementedError,
    struct.error,
    zipfile.BadZipFile,
)


class RestrictedUnpickler(pickle.Unpickler):
    """Knows the entries of `names` and what `find_more` finds; refuses everything else with pickle.UnpicklingError, by name.

    The entries are classes and not functions: a pickle can set attributes on a function that it was given, but not on a class with
    `__setstate__`. purpose: what the file should be, for the message.
    """

    names: ClassVar[Mapping[tuple[str, str], Any]]
    purpose: ClassVar[str]

    def find_class(self, module: str, name: str) -> Any:
        entry = self.names.get((module, name))
        if entry is None:
            entry = self.find_more(module, name)
        if entry is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no {self.purpose} needs")
        return entry

    def find_more(self, module: str, name: str) -> Any:
        """The stand-in for a name that is not in the list, or None."""
        return None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to data outside of the file")


class Noted:
    """Base of the stand-ins that are built up later: keeps the arguments and the state that the file gives, and does nothing with them."""

    def __init__(self, *args: Any) -> None:
        self.args: tuple[Any, ...] = args
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Inert:
    """Stands for an object of no use to us. Takes any construction and any state, and does nothing with it."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        pass

    def extend(self, items: object) -> None:
        pass

    def add(self, item: object) -> None:
        pass


class Unchangeable:
    """Base of descriptions that a pickle may refer to but not alter once they are checked."""

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it alters an object after it was made")


class PlainDict(dict[Any, Any]):
    """Stands for an OrderedDict; its attributes (a state dict's `_metadata`) are dropped."""

    def __setstate__(self, state: object) -> None:
        pass
