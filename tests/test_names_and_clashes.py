"""What the command line makes of odd file names, of outputs that clash, and of a machine without a network."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.networks import write_tiny_preset
from PIL import Image
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.common.example import example_photo

PHOTO = example_photo()


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_preset(tmp_path_factory.mktemp("preset"))


def refused(*arguments: object) -> str:
    """The one sentence of a command that is refused."""
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 2, done.output
    return done.output


# ---- clashes


def test_two_outputs_in_one_file_are_refused(tmp_path: Path) -> None:
    x = tmp_path / "x.png"
    for overwrite in ([], ["--overwrite"]):
        assert "are the same file, for two outputs" in refused("edit", PHOTO, "-o", x, "--sheet", x, "--yaw", "5", *overwrite)
        other = tmp_path / "." / "x.png"
        assert "are the same file" in refused("edit", PHOTO, "-o", x, "--sheet", other, "--yaw", "5", *overwrite)
    (tmp_path / "link").symlink_to(tmp_path)
    assert "are the same file" in refused("edit", PHOTO, "-o", x, "--sheet", tmp_path / "link" / "x.png", "--yaw", "5")
    assert not x.exists()


def test_an_output_over_an_input_needs_overwrite(tmp_path: Path, preset: Path) -> None:
    photo = tmp_path / "photo.png"
    shutil.copy(PHOTO, photo)
    before = photo.read_bytes()
    assert "exists already" in refused("edit", photo, "-o", photo, "--yaw", "5")
    assert "exists" in refused("edit", PHOTO, "-o", tmp_path / "x.png", "--light-from", photo, "--sheet", photo)
    assert photo.read_bytes() == before
    options = ["--preset", str(preset), "--no-personal", "-q", "--yaw", "5", "--overwrite"]
    done = CliRunner().invoke(app, ["edit", str(photo), "-o", str(photo), *options])
    assert done.exit_code == 0, done.output
    assert photo.read_bytes() != before


# ---- names


def test_brackets_in_names_are_printed(tmp_path: Path) -> None:
    photo = tmp_path / "photo [bold]x[red].jpg"
    Image.open(PHOTO).convert("RGB").save(photo, quality=95)
    done = CliRunner().invoke(app, ["read", str(photo)])
    assert done.exit_code == 0, done.output
    assert "photo [bold]x[red].jpg" in done.output
    assert "[bold]x[red]" in refused("read", tmp_path / "none [bold]x[red].jpg")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_names_that_are_not_utf8_print_and_work(tmp_path: Path, preset: Path) -> None:
    photo = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")
    with open(photo, "wb") as file:
        file.write(PHOTO.read_bytes())
    out = os.path.join(os.fsencode(tmp_path), b"\xff.png")
    options = [b"--preset", os.fsencode(preset), b"--no-personal", b"-q", b"--yaw", b"5"]
    command = [os.fsencode(sys.executable), b"-m", b"discontrolface"]
    for arguments in ([b"read", photo], [b"edit", photo, b"-o", out, *options], [b"read", photo + b"x"]):
        done = subprocess.run([*command, *arguments], capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "utf-8"})
        text = done.stdout.decode() + done.stderr.decode()
        assert "Traceback" not in text, text
        assert done.returncode == (2 if arguments[1].endswith(b"x") else 0), text
        assert "\ufffd" in text
    with Image.open(out.decode("utf-8", "surrogateescape")) as picture:
        assert np.asarray(picture).shape == (512, 512, 3)


# ---- no network


def test_nothing_tries_a_connection(tmp_path: Path, preset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading, personalizing, editing, exporting and the list of assets with the open preset's models, every socket call an error."""

    def refuse(*given: object, **named: object) -> None:
        raise AssertionError(f"a connection was tried: {given}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    out, cache = tmp_path / "x.png", tmp_path / "cache"
    for arguments in (
        ["read", PHOTO, "-o", tmp_path / "p.json"],
        ["edit", PHOTO, "-o", out, "-q", "--preset", preset, "--cache-dir", cache, "--yaw", "5", "--sheet", tmp_path / "sheet.png"],
        ["edit", PHOTO, "-o", tmp_path / "y.png", "-q", "--no-personal", "--steps", "2", "--expression", "smile=0.5"],
        ["export", PHOTO, "-o", tmp_path / "x.glb"],
        ["assets"],
    ):
        done = CliRunner().invoke(app, [str(a) for a in arguments])
        assert done.exit_code == 0, (done.output, done.exception)
