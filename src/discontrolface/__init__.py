"""DisControlFace: edit a face photo through explicit 3D parameters (open implementation of the ACM MM 2024 paper)."""

from typing import TYPE_CHECKING

from discontrolface.common.lazy import lazy_names

if TYPE_CHECKING:
    from discontrolface.common.errors import UserError
    from discontrolface.common.example import example_photo
    from discontrolface.editing.editor import Editor, EditResult
    from discontrolface.editing.person import Person
    from discontrolface.face.heads.base import HeadModel
    from discontrolface.face.parameters import FaceParameters

__all__ = ["EditResult", "Editor", "FaceParameters", "HeadModel", "Person", "UserError", "example_photo"]

__getattr__ = lazy_names(
    __name__,
    {
        "EditResult": "editing.editor",
        "Editor": "editing.editor",
        "FaceParameters": "face.parameters",
        "HeadModel": "face.heads.base",
        "Person": "editing.person",
        "UserError": "common.errors",
        "example_photo": "common.example",
    },
)
