"""The edit of one photo, as `edit` and its way for folders share it: what each face becomes, and the edit itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from discontrolface.cli.common import progress_bar
from discontrolface.cli.controls import Controls
from discontrolface.cli.faces import FaceEdits
from discontrolface.cli.personal import Personal
from discontrolface.cli.sampling import SamplingOptions
from discontrolface.cli.source import Source
from discontrolface.cli.writing import Writing

if TYPE_CHECKING:
    from discontrolface.editing.editor import Editor, EditResult
    from discontrolface.editing.group import GroupResult
    from discontrolface.editing.person import Person
    from discontrolface.face.parameters import FaceParameters


@dataclass(frozen=True)
class EditOptions:
    """What is the same for all photos that one command edits."""

    controls: Controls
    source: Source
    sampling: SamplingOptions
    writing: Writing
    faces: FaceEdits
    personal: Personal
    strict: bool
    device: str
    cache_dir: Path | None
    overwrite: bool


def named(people: Mapping[int | None, Person], photo: Path) -> list[tuple[str, Person]]:
    """The faces, with what messages call them."""
    return [(str(photo) if number is None else f"face {number} of {photo}", person) for number, person in people.items()]


def targets_of(
    people: Mapping[int | None, Person], controls: Controls, faces: FaceEdits, others: Mapping[str, Person]
) -> dict[int | None, FaceParameters]:
    """What each face becomes: first the options for all of them, then its own."""
    own = faces.controls()
    targets = {number: controls.target(person, others) for number, person in people.items()}
    return {number: target if number is None else target.edit(controls=own.get(number)) for number, target in targets.items()}


def run_edit(
    editor: Editor,
    people: Mapping[int | None, Person],
    targets: Mapping[int | None, FaceParameters],
    sampling: SamplingOptions,
    quiet: bool,
) -> EditResult | GroupResult:
    """One face, or several in one picture, with a progress bar."""
    with progress_bar("editing", quiet) as update:
        if len(people) == 1:
            ((number, person),) = people.items()
            return editor.edit(person, targets[number], lambda step: update(step.index + 1, step.count), **sampling.choices())
        return editor.edit_group(
            list(people.values()),
            list(targets.values()),
            lambda face, step: update(face * step.count + step.index + 1, len(people) * step.count),
            **sampling.choices(),
        )
