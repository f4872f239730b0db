"""A method of editing: photo and target in, picture out. Ours, the warp, every baseline, a folder of somebody's pictures.

To add one: write a function that takes a `MethodContext` and returns a `Method`, and register it (`register_method`). Evaluation finds it there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.pipeline import PreparedEdit, composite
from discontrolface.nets.super_resolution import SuperResolution

if TYPE_CHECKING:
    from discontrolface.editing.editor import Editor

T = TypeVar("T")


class Method(Protocol):
    """Makes a batch of edits.

    Of each it gets the person and the target's face parameters, with the preview and the snapshot of the preset's maps, and a seed. Returns for each
    the finished picture's aligned square, (S, S, 3) uint8 at the networks' size: what a user gets (`finished` pastes a network's picture).
    """

    def __call__(self, edits: Sequence[PreparedEdit]) -> list[NDArray[np.uint8]]: ...


@dataclass(frozen=True)
class MethodContext:
    """What methods are made from. sampling: the preset's, with what the user changed. weights: of methods that bring their own, by name."""

    editor: Editor
    sampling: Sampling
    weights: Mapping[str, Path] = field(default_factory=dict)
    _shared: dict[type, object] = field(default_factory=dict, repr=False)

    def shared(self, kind: Callable[[Editor], T]) -> T:
        """One object for all methods of this context, made when it is first asked for."""
        return cast(T, self._shared.setdefault(cast(type, kind), kind(self.editor)))


@dataclass(frozen=True)
class MethodEntry:
    """A method of the table. make: called once in each process. usual: measured unless the user names others.

    depends: fields of the preset's `Sampling` that its pictures follow, beside steps and strength; other values are other pictures.
    networks: whether it uses the preset's networks, so that others in their place make other pictures.
    """

    label: str
    make: Callable[[MethodContext], Method]
    usual: bool = True
    depends: tuple[str, ...] = ()
    networks: bool = False


_METHODS: dict[str, MethodEntry] = {}


def register_method(name: str, entry: MethodEntry) -> None:
    """At import. UserError when the name is taken by another method."""
    if _METHODS.get(name, entry) != entry:
        raise UserError(f"a method {name!r} is registered already; choose another name")
    _METHODS[name] = entry


def method_table() -> Mapping[str, MethodEntry]:
    """All registered methods by name."""
    return dict(_METHODS)


def finished(edits: Sequence[PreparedEdit], pictures: Tensor, larger: SuperResolution | None = None) -> list[NDArray[np.uint8]]:
    """Networks' pictures (B, 3, S, S) in [-1, 1], put into their photos as `Editor.edit` does it: the aligned squares of the finished pictures.

    larger: as of `composite`; a method that is not ours goes without.
    """
    return [composite(edit, picture[None], larger).crop(edit.person, edit.size) for edit, picture in zip(edits, pictures, strict=True)]
