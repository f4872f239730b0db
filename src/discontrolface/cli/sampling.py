"""The options that say how an edit is denoised: `Sampling`, on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from discontrolface.diffusion.settings import SamplingChoices


@dataclass(frozen=True)
class SamplingOptions:
    """None: the preset's."""

    steps: Annotated[int | None, typer.Option(help="Denoising steps. [default: the preset's]")] = None
    start: Annotated[
        str | None,
        typer.Option(
            help="noise (the paper), draft (the noised preview), predicted (one prediction from noise, then its last steps again), or inverted "
            "(the open preset's networks invert badly). [default: the preset's]"
        ),
    ] = None
    strength: Annotated[float | None, typer.Option(help="With --start draft or predicted: how much noise the picture gets, up to 1.")] = (
        None
    )
    temperature: Annotated[
        float | None,
        typer.Option(help="With --start noise or predicted: 1 is the paper's, less is closer to the mean. [default: the preset's]"),
    ] = None
    masking: Annotated[str | None, typer.Option(help="Masking schedule: A to F, linear, linear-up. [default: linear]")] = None
    solver: Annotated[str | None, typer.Option(help="ddim or dpm++. [default: ddim]")] = None
    resolution: Annotated[
        str | None,
        typer.Option(
            help="Pixels of the edited square: 256, 512 or 1024; or photo, as many as the photo has there, 1024 at most. "
            "[default: the preset's; open: photo]"
        ),
    ] = None
    seed: Annotated[int, typer.Option(help="Same seed, same picture.")] = 0

    def choices(self) -> SamplingChoices:
        """As `Editor.edit` takes them."""
        return {
            "steps": self.steps,
            "start": self.start,
            "strength": self.strength,
            "temperature": self.temperature,
            "masking": self.masking,
            "solver": self.solver,
            "resolution": self.resolution,
            "seed": self.seed,
        }
