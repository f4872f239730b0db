"""The command `train oneshot`: one photo's personal weights, by a config file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from discontrolface.common.errors import UserError
from discontrolface.editing.editor import Editor
from discontrolface.editing.personal import PersonalWeights
from discontrolface.editing.personalize import load_one_shot, one_shot


def run_one_shot(
    config: Path,
    photo: Path | None,
    preset: str,
    output: Path | None,  # .safetensors; None: beside the photo, PHOTO.personal.safetensors
    device: str,
    dry_run: bool,
    say: Callable[[str], None],
) -> str:
    """Fine-tune and write the personal weights; returns a line for the user."""
    settings = load_one_shot(config)
    if photo is None:
        raise UserError("one-shot training needs a photo; give --photo")
    output = output or photo.with_name(f"{photo.stem}.personal.safetensors")
    if output.suffix != ".safetensors":
        raise UserError(f"{output} must end in .safetensors")

    import torch

    editor = Editor.load(preset, device)
    person = editor.read(photo)
    control = editor.preset.control
    parameters = sum(p.numel() for p in control.parameters())
    if dry_run:
        return f"{settings.iterations} iterations of {settings.batch} pictures, {parameters:,} parameters trained, weights would go to {output}"

    def report(done: int, total: int, loss: float) -> None:
        if done % 50 == 0:
            say(f"iteration {done}/{total}  loss {loss:.5f}  {(time.monotonic() - begin) / done:.2f} s each")

    begin = time.monotonic()
    personal: PersonalWeights = one_shot(
        editor.preset.model, control.requires_grad_(True), person, settings, editor.base_id, torch.Generator().manual_seed(0), report
    )
    personal.save(output)
    return f"personal weights in {output} ({output.stat().st_size / 1e6:.1f} MB, {time.monotonic() - begin:.0f} s)"
