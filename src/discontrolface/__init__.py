"""DisControlFace: edit a face photo through explicit 3D parameters (open implementation of the ACM MM 2024 paper)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discontrolface.common.errors import UserError
    from discontrolface.editing.editor import Editor, EditResult
    from discontrolface.editing.person import Person
    from discontrolface.face.heads.base import HeadModel
    from discontrolface.face.parameters import FaceParameters

__all__ = ["EditResult", "Editor", "FaceParameters", "HeadModel", "Person", "UserError"]

_HOMES = {
    "EditResult": "editing.editor",
    "Editor": "editing.editor",
    "FaceParameters": "face.parameters",
    "HeadModel": "face.heads.base",
    "Person": "editing.person",
    "UserError": "common.errors",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import discontrolface` is fast."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"discontrolface.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'discontrolface' has no attribute {name!r}")
