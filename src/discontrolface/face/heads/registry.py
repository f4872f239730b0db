"""The head models by name."""

from __future__ import annotations

from discontrolface.common.errors import UserError
from discontrolface.face.heads.contract import Head
from discontrolface.face.heads.flame import FLAME
from discontrolface.face.heads.open import OPEN

_HEADS: dict[str, Head] = {}


def register_head(head: Head) -> None:
    """Add a head model. UserError if the name is taken by another."""
    if _HEADS.setdefault(head.name, head) is not head:
        raise UserError(f"there is a head model {head.name!r} already; choose another name")


def head_names() -> tuple[str, ...]:
    """The names of all head models, in the order of registration."""
    return tuple(_HEADS)


def find_head(name: str) -> Head:
    """A head model by name. UserError that lists the known ones."""
    try:
        return _HEADS[name]
    except KeyError:
        raise UserError(f"head model {name!r} is not known; choose one of {', '.join(_HEADS)}") from None


for _head in (OPEN, FLAME):
    register_head(_head)
