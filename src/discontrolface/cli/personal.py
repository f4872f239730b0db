"""The options that adapt the networks to the person who is edited: personal weights of a file, or of a fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discontrolface.cli.personalize import run_personalize, same_person
from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.editing.editor import Editor
    from discontrolface.editing.person import Person


@dataclass(frozen=True)
class Personal:
    """None: the preset's."""

    personal: Annotated[Path | None, typer.Option(help="Personal weights in this file (`train oneshot`, or a file of the cache).")] = None
    personalize: Annotated[
        bool | None,
        typer.Option(
            "--personalize/--no-personal", help="Adapt the networks to the person first, or not. [default: the preset's; open: not]"
        ),
    ] = None
    personal_seed: Annotated[int | None, typer.Option(help="Of the fine-tuning, as `personalize --seed`; personalizes. [default: 0]")] = (
        None
    )

    also: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PHOTO[#N]",
            help="Another photo of the person, for each one the option again: personalizes on all of them. PHOTO#2 is its face 2.",
        ),
    ] = None

    def check(self) -> None:
        """UserError for options that exclude each other."""
        if self.also and (self.personal is not None or self.personalize is False):
            other = "--no-personal" if self.personal is None else f"--personal {self.personal}"
            raise UserError(f"--also {self.also[0]} and {other} were both given; give one of them")
        if self.personal is not None and self.personalize is not None:
            other = "--personalize" if self.personalize else "--no-personal"
            raise UserError(f"--personal {self.personal} and {other} were both given; give one of them")
        if self.personal_seed is not None and self.personalize is False:
            raise UserError(f"--personal-seed {self.personal_seed} and --no-personal were both given; give one of them")

    def adapt(self, editor: Editor, people: Mapping[int | None, Person], quiet: bool) -> Mapping[int | None, Person]:
        """The people with the file's personal weights, with those of a fine-tuning each, or as they are."""
        if self.personal is not None:
            from discontrolface.editing.personal import PersonalWeights

            weights = PersonalWeights.load(self.personal)
            return {number: person.with_personal(weights) for number, person in people.items()}
        if self.also and len(people) > 1:
            raise UserError(f"--also {self.also[0]} is of one person, and several faces are edited; choose one with --face")
        asked = self.personalize or self.personal_seed is not None or bool(self.also)
        if asked or (editor.preset.personalize and self.personalize is None):
            also = same_person(editor, self.also)
            return {number: run_personalize(editor, person, self.personal_seed or 0, quiet, also) for number, person in people.items()}
        return people
