"""The edits that every variant of an ablation makes: held-out pairs with a known truth, and photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discontrolface.common.pixels import to_float
from discontrolface.editing.editor import Editor
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import PreparedEdit, prepare
from discontrolface.evaluation.ablations import EDITING, RECONSTRUCTION
from discontrolface.evaluation.trials import Bench, Trial, edit_kinds, held_out_pair
from discontrolface.face.geometry import Geometry
from discontrolface.face.parameters import FaceParameters
from discontrolface.face.regions import face_hull

Array = NDArray[np.float32]

PHOTO_EDITS: dict[str, dict[str, Any]] = {
    "open mouth, turned": {"expression": {"jawOpen": 0.6}, "turn": (12, 0, 0)},
    "neutral, lit from the right": {"neutral": True, "light": "right"},
}


@dataclass(frozen=True)
class Item:
    """One edit. truth: (S, S, 3) in [0, 1], None where nobody knows it."""

    key: str
    who: str  # whose picture the source is
    label: str  # for the picture
    kind: str  # EDITING or RECONSTRUCTION
    edit: PreparedEdit
    truth: Array | None
    on_photo: bool  # not a held-out pair

    @property
    def size(self) -> int:
        """Side of the crop, pixels."""
        return self.edit.size

    @property
    def person(self) -> Person:
        """Whose picture is edited."""
        return self.edit.person

    @cached_property
    def source(self) -> Array:
        """(S, S, 3) in [0, 1]: the crop before the edit."""
        return to_float(self.person.crop.resize(self.size).image)

    def controlled(self, geometry: Geometry, maps: Sequence[str]) -> Item:
        """The same edit under another control image."""
        person = replace(self.person, geometry=geometry)
        return replace(self, edit=prepare(person, self.edit.target, self.size, maps, self.edit.seed))

    def landmarks(self, parameters: FaceParameters) -> NDArray[np.float64]:
        """(L, 2) where the head's landmarks lie in the crop, pixels."""
        return self.person.geometry.landmarks(parameters, self.size)[:, :2]

    @cached_property
    def face(self) -> NDArray[np.bool_]:
        """(S, S) the face of the source."""
        return face_hull(self.landmarks(self.person.parameters), self.size)

    @cached_property
    def off_face(self) -> NDArray[np.bool_]:
        """(S, S) where neither the source's nor the target's face is."""
        return ~(self.face | face_hull(self.landmarks(self.edit.target), self.size))


def pair_items(number: int, kinds: Sequence[str], editor: Editor, maps: Sequence[str]) -> Iterator[Item]:
    """The items of held-out pair `number`: its edit, its reconstruction (the source as it is), as far as they are asked for."""
    trial: Trial = held_out_pair(number, Bench(editor.reader, editor.reader.geometry, editor.size, tuple(maps)))
    edit, person = trial.edit, trial.edit.person
    for kind in kinds:
        key = f"{edit.seed} {kind}"
        if kind == EDITING:
            label = ", ".join(edit_kinds(person.parameters, edit.target)) or "nothing"
            yield Item(key, str(edit.seed), label, kind, edit, trial.truth, False)
        else:
            same = prepare(person, person.parameters, editor.size, maps, edit.seed)
            yield Item(key, str(edit.seed), "as it is", kind, same, to_float(trial.source), False)


def photo_items(person: Person, seed: int, kinds: Sequence[str], editor: Editor, maps: Sequence[str]) -> Iterator[Item]:
    """The items of a photo: PHOTO_EDITS without a truth, its reconstruction with one."""
    own, who = person.parameters, f"{person.photo.path.name} {person.photo.sha256[:8]}"
    edits = {"as it is": own} if RECONSTRUCTION in kinds else {}
    if EDITING in kinds:
        edits |= {label: own.edit(**change) for label, change in PHOTO_EDITS.items()}
    for label, target in edits.items():
        edit = prepare(person, target, editor.size, maps, seed)
        same = label == "as it is"
        truth = to_float(person.crop.resize(editor.size).image) if same else None
        yield Item(f"{who} {label}", who, label, RECONSTRUCTION if same else EDITING, edit, truth, True)
