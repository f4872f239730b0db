"""Personal weights on disk: checked before the work, damaged files, two workers, a limit; and the commands over them."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.networks import write_tiny_preset
from helpers.rights import locked_folder
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.editing import editor as editor_module
from discontrolface.editing import personal_cache
from discontrolface.editing.editor import Editor
from discontrolface.editing.person import Person
from discontrolface.editing.personal import PersonalWeights
from discontrolface.editing.personal_cache import PersonalCache

PHOTO = example_photo()


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture
def editor(preset: Path, tmp_path: Path) -> Editor:
    return Editor.load(preset, cache=tmp_path / "cache")


@pytest.fixture(scope="module")
def person(preset: Path) -> Person:
    return Editor.load(preset).read(PHOTO)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A 1 for every fine-tuning that really runs."""
    counted: list[int] = []
    work = editor_module.one_shot

    def counting(*given: Any) -> PersonalWeights:
        counted.append(1)
        return work(*given)

    monkeypatch.setattr(editor_module, "one_shot", counting)
    return counted


def test_a_folder_that_cannot_be_written_is_said_before_the_work(editor: Editor, person: Person, runs: list[int]) -> None:
    with locked_folder() as locked:
        editor.cache = locked
        with pytest.raises(UserError, match=r"not writable; choose another --cache-dir"):
            editor.personalize(person)
        editor.cache = locked / "below"
        with pytest.raises(UserError, match=r"cannot be made .*; choose another --cache-dir"):
            editor.personalize(person)
    assert runs == []


def test_a_disk_that_fills_up_meanwhile_is_a_warning(
    preset: Path, editor: Editor, person: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(weights: PersonalWeights, path: Path) -> None:
        raise UserError(f"cannot write personal weights to {path}: No space left on device; choose another --cache-dir")

    monkeypatch.setattr(PersonalWeights, "save", full)
    with caplog.at_level(logging.WARNING):
        assert editor.personalize(person).personal is not None
    assert "No space left on device; these weights are not kept" in caplog.text
    assert editor.cache is not None
    done = CliRunner().invoke(app, ["personalize", str(PHOTO), "--preset", str(preset), "--cache-dir", str(editor.cache), "-q"])
    assert done.exit_code == 2, "the weights are all that this command makes"
    assert "could not be kept in" in " ".join(done.output.split())


def test_a_damaged_file_is_made_anew(editor: Editor, person: Person, runs: list[int], caplog: pytest.LogCaptureFixture) -> None:
    first = editor.personalize(person).personal
    path = editor.personal_path(person)
    assert path is not None
    path.write_bytes(path.read_bytes()[:-40])
    with caplog.at_level(logging.WARNING):
        second = editor.personalize(person).personal
    assert caplog.text.count("cannot be read; it is made anew") == 1
    assert len(runs) == 2
    assert first is not None
    assert second is not None
    assert all(torch.equal(first.difference[k], v) for k, v in second.difference.items())
    editor.personalize(person)
    assert len(runs) == 2


def test_of_two_workers_one_works_and_both_get_the_same(preset: Path, person: Person, tmp_path: Path, runs: list[int]) -> None:
    """Each has its own editor, as two processes have; they meet at the file's lock."""
    editors = [Editor.load(preset, cache=tmp_path / "cache") for _ in range(2)]
    results: list[PersonalWeights | None] = [None, None]

    def work(k: int) -> None:
        results[k] = editors[k].personalize(person).personal

    threads = [threading.Thread(target=work, args=(k,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1
    a, b = results
    assert a is not None
    assert b is not None
    assert all(torch.equal(a.difference[k], v) for k, v in b.difference.items())


def test_without_a_lock_the_work_is_done(
    editor: Editor, person: Person, runs: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Some network file systems have none, and the lock may be another user's."""

    def acquire(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(personal_cache.FileLock, "acquire", acquire)
    with caplog.at_level(logging.WARNING):
        assert editor.personalize(person).personal is not None
    assert "cannot be locked" in caplog.text
    path = editor.personal_path(person)
    assert path is not None
    assert path.is_file()
    assert len(runs) == 1


def test_beyond_the_limit_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    cache = PersonalCache(tmp_path, max_bytes=2_500)
    for age, name in enumerate("cba"):
        weights = PersonalWeights("base", {"x": torch.zeros(400, dtype=torch.float16)})
        weights.save(tmp_path / f"{name}.safetensors")
        os.utime(tmp_path / f"{name}.safetensors", (1_000 - age, 1_000 - age))
    assert [file.path.stem for file in cache.files()] == ["c", "b", "a"]
    assert cache.load(tmp_path / "a.safetensors") is not None  # used now
    cache.save(tmp_path / "d.safetensors", PersonalWeights("base", {"x": torch.ones(400, dtype=torch.float16)}))
    assert {file.path.stem for file in cache.files()} == {"d", "a"}


def test_list_and_clear(tmp_path: Path) -> None:
    PersonalWeights("base", {"x": torch.zeros(4)}).save(tmp_path / "a.safetensors")
    (tmp_path / "mine.txt").write_text("x")
    shown = CliRunner().invoke(app, ["cache", "list", "--cache-dir", str(tmp_path)])
    assert "a.safetensors" in shown.output
    assert "1 files" in shown.output
    done = CliRunner().invoke(app, ["cache", "clear", "--cache-dir", str(tmp_path)])
    assert done.output.startswith("removed 1 files")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
