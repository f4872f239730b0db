"""The command line: bad input is one sentence, exit code 2 and no file; odd but good pictures work."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.rights import locked_folder
from PIL import Image
from typer.testing import CliRunner, Result

from discontrolface.cli.app import app
from discontrolface.common.example import example_photo

PHOTO = example_photo()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def refused(folder: Path, *arguments: str | Path) -> str:
    """The one sentence on stderr; checks the exit code and that no file appeared or changed."""
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    assert "Traceback" not in result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def png_header(width: int, height: int) -> bytes:
    """A PNG file that promises this size and holds one row of it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1 + 3 * width))) + chunk(b"IEND", b"")


def test_text_file_named_jpg(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("this is no picture")
    assert "notes.jpg is not a picture" in refused(tmp_path, "edit", path, "-o", tmp_path / "out.png", "--yaw", "10")


def test_truncated_jpeg(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    Image.open(PHOTO).save(whole)
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole.read_bytes()[:9000])
    assert "cut.jpg" in refused(tmp_path, "read", path)


def test_one_pixel(tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    Image.new("RGB", (1, 1)).save(path)
    assert "dot.png" in refused(tmp_path, "read", path)


def test_pixel_limit(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(png_header(30_000, 30_000))
    assert "megapixels" in refused(tmp_path, "read", path)


def test_no_face(tmp_path: Path) -> None:
    path = tmp_path / "plain.png"
    Image.new("RGB", (400, 300), (90, 120, 60)).save(path)
    sentence = refused(tmp_path, "edit", path, "-o", tmp_path / "out.png", "--yaw", "10")
    assert f"no face found in {path} (400x300); try --face-box" in sentence


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--expression", "jawOpn=0.5"], "jawOpen"),
        (["--expression", "jawOpen=7"], "out of range"),
        (["--expression", "jawOpen"], "name=value"),
        (["--yaw", "90"], "out of range"),
        (["--gaze", "5"], "2 numbers"),
        (["--light", "behind-you"], "left"),
        (["--shape", "999=1"], "999"),
        (["--expression-from", "missing.jpg"], "missing.jpg does not exist"),
        (["--parameters", "missing.json"], "missing.json does not exist"),
        (["--face", "3"], "no face 3"),
        (["--face-box", "1,2,3"], "4 numbers"),
    ],
)
def test_bad_values(tmp_path: Path, arguments: list[str], expected: str) -> None:
    assert expected in refused(tmp_path, "edit", PHOTO, "-o", tmp_path / "out.png", *arguments)


def test_output_exists(tmp_path: Path) -> None:
    path = tmp_path / "there.png"
    path.write_bytes(b"mine")
    assert "exists" in refused(tmp_path, "edit", PHOTO, "-o", path, "--yaw", "10")


def test_output_folder_missing_or_unknown_ending(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path, "edit", PHOTO, "-o", tmp_path / "no" / "out.png")
    assert ".xyz" in refused(tmp_path, "edit", PHOTO, "-o", tmp_path / "out.xyz")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_output_folder_not_writable(tmp_path: Path) -> None:
    refused(tmp_path, "edit", PHOTO, "-o", tmp_path / "no" / "out.png")  # imports what the check needs
    with locked_folder() as locked:
        result = run("edit", PHOTO, "-o", locked / "out.png")
        assert os.listdir(locked) == []
    assert result.exit_code != 0
    assert result.stderr.count("\n") == 1
    assert f"folder {locked}" in result.stderr
    assert "not writable" in result.stderr


def test_read_writes_parameters_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "face.json"
    assert run("read", PHOTO, "-o", path).exit_code == 0
    values = json.loads(path.read_text())
    assert values
    assert "exists" in refused(tmp_path, "read", PHOTO, "-o", path)
    assert run("read", PHOTO, "-o", path, "--overwrite").exit_code == 0


@pytest.mark.parametrize("kind", ["L", "RGBA", "I;16", "CMYK", "P", "exif"])
def test_odd_pictures_are_read(tmp_path: Path, kind: str) -> None:
    image = Image.open(PHOTO).convert("RGB")
    path = tmp_path / "odd.png"
    if kind == "I;16":
        grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
        Image.fromarray(grey).save(path)
    elif kind == "CMYK":
        path = tmp_path / "odd.jpg"
        image.convert("CMYK").save(path)
    elif kind == "exif":
        path = tmp_path / "odd.jpg"
        exif = Image.Exif()
        exif[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)
    else:
        image.convert(kind).save(path)
    result = run("read", path)
    assert result.exit_code == 0, result.output
    assert "landmark error" in result.output
