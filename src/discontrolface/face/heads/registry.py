"""The head models by name."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from discontrolface.common.errors import UserError
from discontrolface.face.heads.contract import Head

# name -> module that has it as HEAD; loaded when it is asked for, so that reading with one head does not load the others.
BUILT_IN: Final = {"open": "discontrolface.face.heads.open", "flame": "discontrolface.face.heads.flame"}
_HEADS: dict[str, Head] = {}


def register_head(head: Head) -> None:
    """Add a head model from outside this package. UserError if the name is taken by another."""
    known = find_head(head.name) if head.name in BUILT_IN else _HEADS.setdefault(head.name, head)
    if known is not head:
        raise UserError(f"there is a head model {head.name!r} already; choose another name")


def head_names() -> tuple[str, ...]:
    """The names of all head models: the built-in ones, then others in the order of registration."""
    return (*BUILT_IN, *_HEADS)


def find_head(name: str) -> Head:
    """A head model by name. UserError that lists the known ones."""
    if name in BUILT_IN:
        head: Head = import_module(BUILT_IN[name]).HEAD
        return head
    if name not in _HEADS:
        raise UserError(f"head model {name!r} is not known; choose one of {', '.join(head_names())}")
    return _HEADS[name]
