"""GIF as a method of editing: the photo's style is found once, then the target's renderings say what the face does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.baselines.fitted import Fitted
from discontrolface.baselines.gif_condition import gif_condition
from discontrolface.baselines.gif_style import fit_style
from discontrolface.baselines.peer_weights import load_peer
from discontrolface.common.errors import UserError
from discontrolface.editing.method import Method, MethodContext, finished
from discontrolface.editing.pipeline import PreparedEdit, stacked
from discontrolface.nets.gif import GIF, GRID
from discontrolface.weights.gif import import_gif

TRAINED: Final = 6  # the step that the published networks were trained at: 256 pixels
ITERATIONS: Final = 100  # of the search for a photo's style
BOTH: Final = 6  # channels of a condition with rendering and normals


@dataclass(frozen=True)
class GifMethod:
    """Makes a batch of edits. iterations: of the search for the style of a photo that was not seen before."""

    network: GIF
    iterations: int
    device: str = "cpu"
    styles: Fitted[Tensor] = field(default_factory=Fitted)

    def __post_init__(self) -> None:
        channels = int(self.network.config["condition_channels"])
        if channels != BOTH:
            raise UserError(
                f"this GIF sees {channels} channels, and its file does not say whether rendering or normals; give the full model, "
                "which sees both (run 29)"
            )

    @property
    def step(self) -> int:
        """Of the pictures that are made."""
        return min(TRAINED, len(self.network.levels) - 1)

    def __call__(self, edits: Sequence[PreparedEdit]) -> list[NDArray[np.uint8]]:
        size = GRID * 2**self.step
        for edit in edits:
            if edit.size != size:
                raise UserError(f"this GIF makes pictures of {size}x{size}, not {edit.size}x{edit.size}")
        styles = [self.style(edit) for edit in edits]
        conditions = [gif_condition(edit.person.geometry, edit.target, size) for edit in edits]
        with torch.no_grad():
            pictures = self.network(stacked(conditions).to(self.device), step=self.step, w=stacked(styles))
        return finished(edits, pictures.clamp(-1, 1).cpu())

    def style(self, edit: PreparedEdit) -> Tensor:
        """(1,Z): of the person of an edit; found when it is first asked for."""

        def search() -> Tensor:
            own = gif_condition(edit.person.geometry, edit.person.parameters, edit.size).to(self.device)
            return fit_style(self.network, own, edit.crop.to(self.device), self.step, self.iterations)

        return self.styles.of(edit.person, search)


def gif_method(context: MethodContext) -> Method:
    """GIF with its official weights. UserError if they cannot be read."""
    device = context.editor.device
    return GifMethod(load_peer(context.weights["gif"], GIF, import_gif, device), ITERATIONS, device)
