"""What names a program and an editor: it follows what pictures follow from, so that nothing kept by another is mixed in."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.networks import write_tiny_preset

from discontrolface.common.example import example_photo
from discontrolface.common.program import digest_of, program_id
from discontrolface.common.weights_id import weights_id
from discontrolface.editing import editor as editing
from discontrolface.editing.animate import kept_frames as kept_animation
from discontrolface.editing.clip import kept_frames as kept_clip
from discontrolface.editing.editor import Editor
from discontrolface.editing.kept import Kept
from discontrolface.editing.personal import PersonalWeights


def test_a_digest_follows_source_and_models_and_nothing_else(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    (package / "inner" / "a.py").write_text("x = 1\n")
    (package / "head.npz").write_bytes(b"numbers")
    first = digest_of(package)
    (package / "a.pyc").write_bytes(b"compiled")
    shutil.copytree(package, tmp_path / "moved")
    assert digest_of(tmp_path / "moved") == digest_of(package) == first
    (package / "inner" / "a.py").write_text("x = 2\n")
    other = digest_of(package)
    (package / "head.npz").write_bytes(b"other numbers")
    assert len({first, other, digest_of(package)}) == 3
    assert program_id() == program_id()
    assert len(program_id()) == 16


def test_kept_frames_belong_to_a_program_and_to_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_preset(tmp_path / "preset")
    editor = Editor.load(tmp_path / "preset", cache=None)
    photo = example_photo()
    person = editor.read(photo)
    clip, sampling = tmp_path / "clip.mp4", editor.preset.sampling
    clip.write_bytes(b"a clip")
    seen: list[set[Path]] = []

    def both() -> list[Kept]:
        kept = [
            kept_animation(tmp_path / "out.mp4", editor, person, [person.parameters], sampling),
            kept_clip(tmp_path / "out.mp4", editor, clip, {"yaw": 3.0}, sampling),
        ]
        seen.append({k.folder for k in kept})
        return kept

    before = both()
    assert both() == before, "the same command goes on"
    with torch.no_grad():
        next(editor.preset.control.parameters()).add_(1)
    editor = Editor(editor.preset, editor.reader)
    both()
    monkeypatch.setattr(editing, "program_id", lambda: "another")
    both()
    editor.device = "another"
    both()
    clip.write_bytes(b"another clip")
    person = person.with_personal(PersonalWeights(editor.base_id, {"a": torch.zeros(2)}))
    both()
    person = person.with_personal(PersonalWeights(editor.base_id, {"a": torch.ones(2)}))
    assert kept_animation(tmp_path / "out.mp4", editor, person, [person.parameters], sampling).folder not in set.union(*seen)
    assert len(set.union(*seen)) == 10, "two kinds, each under five conditions"
    larger = torch.nn.Linear(2, 2)
    editor.networks = replace(editor.networks, larger=larger)  # type: ignore[arg-type]
    both()
    assert len(set.union(*seen)) == 12
    assert weights_id(larger) in editor.identity()
