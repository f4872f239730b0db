"""The options that say how an edited photo is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discontrolface.cli.common import say

if TYPE_CHECKING:
    from discontrolface.editing.editor import EditResult
    from discontrolface.editing.group import GroupResult


@dataclass(frozen=True)
class Writing:
    """Profile, depth, and what stands behind a transparent picture."""

    keep_profile: Annotated[
        bool,
        typer.Option("--keep-profile/--no-keep-profile", help="Write the photo's own colour profile and 16 bits, or 8-bit sRGB."),
    ] = True
    background: Annotated[
        str, typer.Option(help="What a transparent photo stands on in a .jpg: a colour's name or #rrggbb.", metavar="COLOUR")
    ] = "white"

    def check(self) -> None:
        """Before the long work. UserError for a colour that is none."""
        from discontrolface.common.writing import background_colour

        background_colour(self.background)

    def save(self, result: EditResult | GroupResult, output: Path, overwrite: bool) -> None:
        """Write the edited photo; on standard error, what the file cannot hold."""
        for remark in result.save(output, overwrite, self.keep_profile, self.background):
            say(f"note: {output} {remark}", err=True)
