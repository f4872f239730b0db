"""The edits that every variant of an ablation makes: held-out pairs with a known truth, and photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.common.pixels import to_float
from discontrolface.editing.editor import Editor
from discontrolface.editing.person import Person
from discontrolface.evaluation.ablations import EDITING, RECONSTRUCTION
from discontrolface.evaluation.heldout import Array, Case, Task, make_case, make_task
from discontrolface.evaluation.rereading import landmarks_of
from discontrolface.face.geometry import Geometry
from discontrolface.face.parameters import FaceParameters
from discontrolface.synthetic.portraits import HELD_OUT

PHOTO_EDITS: dict[str, dict[str, Any]] = {
    "open mouth, turned": {"expression": {"jawOpen": 0.6}, "turn": (12, 0, 0)},
    "neutral, lit from the right": {"neutral": True, "light": "right"},
}


@dataclass(frozen=True)
class Item:
    """One edit. truth: (H, W, 3) in [0, 1], None where nobody knows it."""

    key: str
    who: str  # whose picture the source is
    label: str  # for the picture
    kind: str  # EDITING or RECONSTRUCTION
    task: Task
    truth: Array | None
    geometry: Geometry  # draws the snapshots
    on_photo: bool  # not a held-out pair

    @property
    def size(self) -> int:
        """Side of the crop, pixels."""
        return self.task.source.shape[0]

    def with_geometry(self, geometry: Geometry, maps: Sequence[str]) -> Item:
        """The same edit under another control image."""
        t = self.task
        drawn = make_task(t.source, t.parameters, t.target, geometry, self.size, maps, t.seed)
        return replace(self, task=replace(t, snapshot=drawn.snapshot), geometry=geometry)

    def own_snapshot(self, maps: Sequence[str]) -> Tensor:
        """(1, S, H, W) of the source as it is."""
        t = self.task
        return make_task(t.source, t.parameters, t.parameters, self.geometry, self.size, maps, t.seed).snapshot

    def landmarks(self, parameters: FaceParameters) -> NDArray[np.float64]:
        """(468, 2) where the head's landmarks lie in the crop, pixels."""
        return landmarks_of(parameters, self.geometry, self.size)

    @cached_property
    def face(self) -> NDArray[np.bool_]:
        """(H, W) the face of the source."""
        return hull(self.landmarks(self.task.parameters), self.size)

    @cached_property
    def off_face(self) -> NDArray[np.bool_]:
        """(H, W) where neither the source's nor the target's face is."""
        return ~(self.face | hull(self.landmarks(self.task.target), self.size))

    def case(self) -> Case:
        """As heldout.measure takes it."""
        return Case(**{**vars(self.task), "truth": self.truth})


def hull(points: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """(size, size): the convex hull of points (N, 2) in pixels."""
    from PIL import Image, ImageDraw
    from scipy.spatial import ConvexHull

    corners = points[ConvexHull(points).vertices]
    picture = Image.new("1", (size, size))
    ImageDraw.Draw(picture).polygon([(float(x), float(y)) for x, y in corners], fill=1)
    return np.array(picture)


def pair_items(number: int, kinds: Sequence[str], editor: Editor, maps: Sequence[str]) -> Iterator[Item]:
    """The items of held-out pair `number`: its edit, its reconstruction (the source as it is), as far as wanted."""
    geometry = editor.reader.geometry
    case = make_case(HELD_OUT + number, editor.size, maps, geometry)
    for kind in kinds:
        key = f"{case.seed} {kind}"
        if kind == EDITING:
            yield Item(key, str(case.seed), ", ".join(case.kinds) or "nothing", kind, case, case.truth, geometry, False)
        else:
            same = make_task(case.source, case.parameters, case.parameters, geometry, editor.size, maps, case.seed)
            yield Item(key, str(case.seed), "as it is", kind, same, case.source, geometry, False)


def photo_items(person: Person, seed: int, kinds: Sequence[str], editor: Editor, maps: Sequence[str]) -> Iterator[Item]:
    """The items of a photo: PHOTO_EDITS without a truth, its reconstruction with one."""
    own, who = person.parameters, f"{person.photo.path.name} {person.photo.sha256[:8]}"
    source = to_float(person.crop.resize(editor.size).image)
    edits = {"as it is": own} if RECONSTRUCTION in kinds else {}
    if EDITING in kinds:
        edits |= {label: own.edit(**wanted) for label, wanted in PHOTO_EDITS.items()}
    for label, target in edits.items():
        kind, truth = (RECONSTRUCTION, source) if label == "as it is" else (EDITING, None)
        task = make_task(source, own, target, person.geometry, editor.size, maps, seed)
        yield Item(f"{who} {label}", who, label, kind, task, truth, person.geometry, True)
