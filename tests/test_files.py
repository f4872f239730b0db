"""The one writer: the old file or the whole new one, whatever happens; one sentence for what the disk refuses."""

from pathlib import Path

import numpy as np
import pytest

from discontrolface.common import files
from discontrolface.common.errors import UserError
from discontrolface.common.files import replace_folder, replacing, write_atomically


def test_a_stream_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_atomically(path, b"old")
    with replacing(path) as file:
        np.savez(file, x=np.arange(3))
        assert path.read_bytes() == b"old"
    assert np.load(path)["x"].tolist() == [0, 1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def fail_half_way(path: Path, error: BaseException) -> None:
    with replacing(path) as file:
        file.write(b"half of it")
        raise error


def test_an_error_in_the_block_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    for error in (ValueError("mine"), RuntimeError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            fail_half_way(path, error)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_what_the_disk_refuses_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"the list .*a\.bin cannot be written: No such file or directory; "):
        write_atomically(tmp_path / "nowhere" / "a.bin", b"", what="the list")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UserError, match=r"a\.bin cannot be written: No space left on device"):
        write_atomically(tmp_path / "a.bin", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_taken_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with pytest.raises(UserError, match=r"a\.bin exists already"), replacing(path, overwrite=False):
        path.write_bytes(b"somebody else's")
    assert path.read_bytes() == b"somebody else's"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    replace_folder(lambda new: (new / "one").write_text("1"), folder)
    replace_folder(lambda new: (new / "two").write_text("2"), folder)
    assert [p.name for p in folder.iterdir()] == ["two"]

    def fail(new: Path) -> None:
        (new / "three").write_text("3")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"the weights .*weights cannot be written: No space"):
        replace_folder(fail, folder, "the weights")
    assert [p.name for p in tmp_path.iterdir()] == ["weights"]
    assert [p.name for p in folder.iterdir()] == ["two"]
