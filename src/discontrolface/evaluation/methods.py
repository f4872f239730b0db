"""The methods that are measured side by side, by name: ours, and what they are compared with. Peers register theirs in `baselines`.

What a network makes goes back into the photo as `Editor.edit` does it, for all methods alike.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from discontrolface.baselines import register_methods
from discontrolface.common.errors import UserError
from discontrolface.common.tensors import to_network
from discontrolface.diffusion.inversion import invert
from discontrolface.diffusion.sampling import sample
from discontrolface.diffusion.settings import SamplingChoices
from discontrolface.editing.editor import Editor
from discontrolface.editing.method import Method, MethodContext, MethodEntry, finished, method_table, register_method
from discontrolface.editing.person import Person
from discontrolface.editing.pipeline import PreparedEdit, denoise, stacked, white_noise

Pictures = list[NDArray[np.uint8]]


def photo(context: MethodContext) -> Method:
    """The source as it is: what no edit at all scores."""
    return lambda edits: [edit.person.crop.resize(edit.size).image for edit in edits]


def warp(context: MethodContext) -> Method:
    """The preview, no network."""
    return lambda edits: finished(edits, stacked([to_network(edit.preview.image) for edit in edits]))


def diffae(inverted: bool) -> Callable[[MethodContext], Method]:
    """Plain Diff-AE: the backbone encodes the source and decodes it. It has no control: a reconstruction.

    From noise, z_sem alone; inverted: from the source's own x_T, as Diff-AE rebuilds pictures. Inversion divides what a network that predicts x0 gets
    wrong by the little noise of the first steps: with the open preset's backbone nothing useful comes of it.
    """

    def make(context: MethodContext) -> Method:
        networks, steps = context.editor.networks, context.sampling.steps

        @torch.no_grad()
        def run(edits: Sequence[PreparedEdit]) -> Pictures:
            source = stacked([edit.crop for edit in edits]).to(networks.device)
            z = networks.backbone.encode(source)
            if inverted:
                start = invert(networks.backbone, networks.backbone.to_space(source), z, steps=steps)
            else:
                start = white_noise(networks.backbone, [torch.Generator().manual_seed(edit.seed) for edit in edits], networks.device)
            return finished(edits, networks.backbone.from_space(sample(networks.backbone, start, z, steps=steps)))

        return run

    return make


def ours(choices: SamplingChoices) -> Callable[[MethodContext], Method]:
    """`Editor.edit` with these choices, without personal weights."""

    def make(context: MethodContext) -> Method:
        sampling = context.sampling.with_choices(choices)
        return lambda edits: finished(edits, denoise(context.editor.networks, edits, sampling), context.editor.networks.larger)

    return make


def personal(choices: SamplingChoices) -> Callable[[MethodContext], Method]:
    """`Editor.edit` after one-shot fine-tuning on the source, as the preset does it: minutes."""

    def make(context: MethodContext) -> Method:
        sampling, people = context.sampling.with_choices(choices), context.shared(People)

        def one(edit: PreparedEdit) -> NDArray[np.uint8]:
            networks = context.editor.networks_of(people.personalized(edit))
            return finished([edit], denoise(networks, [edit], sampling), networks.larger)[0]

        return lambda edits: [one(edit) for edit in edits]

    return make


class People:
    """People after one-shot fine-tuning by an editor; the last few are kept: both starts, and all edits of a photo, share one."""

    KEPT = 8

    def __init__(self, editor: Editor) -> None:
        self.editor, self.kept = editor, OrderedDict[tuple[str, int], Person]()

    def personalized(self, edit: PreparedEdit) -> Person:
        """The edit's person with personal weights; the randomness is of the edit's seed."""
        key = (edit.person.photo.sha256, id(edit.person.geometry))
        if key not in self.kept:
            self.kept[key] = self.editor.personalize(edit.person, seed=edit.seed)
            if len(self.kept) > self.KEPT:
                self.kept.popitem(last=False)
        return self.kept[key]


TEMPERATURE = ("temperature",)


def networked(label: str, make: Callable[[MethodContext], Method], usual: bool = True, depends: tuple[str, ...] = ()) -> MethodEntry:
    """A method that uses the preset's networks."""
    return MethodEntry(label, make, usual, depends, networks=True)


METHODS = {
    "photo": MethodEntry("unedited photo", photo),
    "warp": MethodEntry("mesh warp", warp),
    "diffae": networked("plain Diff-AE (no control)", diffae(inverted=False)),
    "diffae-inverted": networked("plain Diff-AE, x_T by inversion", diffae(inverted=True), usual=False),
    "ours": networked("ours, as `edit` does it unless told otherwise", ours({}), False, ("start", *TEMPERATURE)),
    "one-step": networked("ours, one prediction from noise", ours({"start": "noise", "temperature": 1.0, "steps": 1})),
    "cool-one-step": networked(
        "ours, one prediction from noise at the preset's temperature", ours({"start": "noise", "steps": 1}), False, TEMPERATURE
    ),
    "draft": networked("ours, from the draft", ours({"start": "draft"})),
    "noise": networked("ours, from noise", ours({"start": "noise", "temperature": 1.0})),
    "cool-noise": networked("ours, from noise at the preset's temperature", ours({"start": "noise"}), depends=TEMPERATURE),
    "predicted": networked("ours, one prediction from noise, then its last steps again", ours({"start": "predicted"}), False, TEMPERATURE),
    "draft-personal": networked("ours, from the draft, after one-shot", personal({"start": "draft"}), usual=False),
    "noise-personal": networked(
        "ours, from noise at the preset's temperature, after one-shot", personal({"start": "noise"}), False, TEMPERATURE
    ),
}
for _name, _entry in METHODS.items():
    register_method(_name, _entry)
register_methods()


def method_names(text: str | None) -> tuple[str, ...]:
    """`warp,noise` as names of methods; None: the usual ones. UserError for a name that is not known."""
    table = {**METHODS, **method_table()}  # ours first
    if text is None:
        return tuple(name for name, entry in table.items() if entry.usual)
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in table]
    if unknown or not names:
        raise UserError(f"method {unknown[0] if unknown else text!r} is not known; choose from {', '.join(table)}")
    return names
