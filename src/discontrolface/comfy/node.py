"""What all nodes have in common."""

from __future__ import annotations

from inspect import cleandoc
from typing import ClassVar


class Node:
    """ComfyUI calls `run`, and shows the class's docstring in the node's help."""

    FUNCTION = "run"
    CATEGORY = "DisControlFace"
    DESCRIPTION: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.DESCRIPTION = cleandoc(cls.__doc__ or "")
