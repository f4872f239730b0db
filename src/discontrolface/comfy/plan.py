"""What the control nodes hand on: changes of a face, one after the other, applied when the face is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from discontrolface.face.parameters import FaceParameters

Change = Callable[[FaceParameters], FaceParameters]


@dataclass(frozen=True)
class Plan:
    """Changes in the order of the nodes."""

    changes: tuple[Change, ...] = ()

    def then(self, change: Change) -> Plan:
        """With one more."""
        return Plan((*self.changes, change))

    def apply(self, face: FaceParameters) -> FaceParameters:
        """The face after all of them. UserError for a control that its head model does not have."""
        for change in self.changes:
            face = change(face)
        return face
