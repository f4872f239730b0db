"""A reading that cannot be trusted is said before the edit, or refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from discontrolface.cli.common import say
from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.editing.person import Person


def check_confidence(readings: Iterable[tuple[str, Person]], strict: bool) -> None:
    """A warning on standard error for each (name, person) whose reading has a low confidence; UserError instead if `strict`."""
    for name, person in readings:
        confidence = person.confidence
        if not confidence.low:
            continue
        sentence = f"the reading of {name} is not to be trusted (confidence {confidence.value:.2f}): {confidence.against}"
        if strict:
            raise UserError(f"{sentence}; leave out --strict to edit all the same")
        say(f"warning: {sentence}; the edit may not fit", err=True)
