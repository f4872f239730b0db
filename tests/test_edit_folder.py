"""A folder of photos: the same edit of all, one bad file never stops it, and the same command goes on."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.networks import write_tiny_preset
from PIL import Image
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.common.example import example_photo
from discontrolface.common.provenance import read_provenance

PHOTO = example_photo()


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    return done.exit_code, done.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos of one name, one below, an empty wall, a file that is no picture, one that is hidden."""
    write_tiny_preset(tmp_path / "preset")
    photos = tmp_path / "photos"
    (photos / "below").mkdir(parents=True)
    with Image.open(PHOTO) as photo:
        face = photo.convert("RGB").crop((90, 0, 370, 280))
    for name in ("a.png", "a.bmp", "below/c.png", ".hidden.png"):
        face.save(photos / name)
    Image.new("RGB", (200, 200), "grey").save(photos / "wall.png")
    (photos / "broken.jpg").write_bytes(b"no picture")
    (photos / "notes.txt").write_text("not a photo")
    return photos


def test_all_photos_are_edited_and_the_bad_ones_named(folder: Path, tmp_path: Path) -> None:
    out, common = tmp_path / "out", ["--preset", tmp_path / "preset", "--yaw", "8", "--no-personal", "-q", "--processes", "1"]
    code, said = run("edit", folder, "-o", out, *common)
    assert code == 0, said
    made = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert made == ["a.bmp.png", "a.png", "below/c.png", "report.json"], "two photos of one name do not end in one file"
    report = json.loads((out / "report.json").read_text())
    assert report["edited"] == 3
    assert report["left_out"].keys() == {"broken.jpg", "wall.png"}
    assert "no face" in report["left_out"]["wall.png"]
    record = read_provenance(out / "below" / "c.png")
    assert record is not None
    assert "yaw" in record["edited"]
    first = (out / "a.png").read_bytes()
    (out / "below" / "c.png").unlink()
    code, said = run("edit", folder, "-o", out, *common)
    assert code == 0
    assert "1 edited, 2 kept, 2 left out of 5" in said
    assert (out / "a.png").read_bytes() == first
    assert (out / "below" / "c.png").is_file()


@pytest.mark.heavy
def test_two_processes_make_the_pictures_of_one(folder: Path, tmp_path: Path) -> None:
    common = ["--preset", tmp_path / "preset", "--expression", "smile=0.2", "--no-personal", "-q"]
    for processes in (1, 2):
        code, said = run("edit", folder, "-o", tmp_path / str(processes), *common, "--processes", processes)
        assert code == 0, said
    pictures = [np.asarray(Image.open(tmp_path / str(n) / "below" / "c.png").convert("RGB")).astype(int) for n in (1, 2)]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1, "but for the rounding of another number of threads"


@pytest.mark.heavy
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra `ray`)")
def test_ray_makes_the_pictures_of_one_process(folder: Path, tmp_path: Path) -> None:
    common = ["--preset", tmp_path / "preset", "--expression", "smile=0.2", "--no-personal", "-q", "--processes", "1"]
    for engine in ("local", "ray"):
        code, said = run("edit", folder, "-o", tmp_path / engine, *common, "--engine", engine)
        assert code == 0, said
        report = json.loads((tmp_path / engine / "report.json").read_text())
        assert report["edited"] == 3
        assert report["left_out"].keys() == {"broken.jpg", "wall.png"}
    pictures = [np.asarray(Image.open(tmp_path / engine / "below" / "c.png").convert("RGB")).astype(int) for engine in ("local", "ray")]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1, "but for the rounding of another number of threads"


def test_what_is_for_one_photo_is_refused(folder: Path, tmp_path: Path) -> None:
    common = ["edit", folder, "--preset", tmp_path / "preset", "--yaw", "8"]
    for wrong, said in (
        (["-o", tmp_path / "out", "--sheet", tmp_path / "s.png"], "--sheet"),
        (["-o", folder], "must be another folder"),
        (["-o", folder / "a.png"], "must be another folder"),
        (["-o", tmp_path / "out", "--expression", "smiel=1"], "smiel"),
        (["-o", tmp_path / "out", "--engine", "spark"], "local, ray"),
    ):
        code, output = run(*common, *wrong)
        assert code in (1, 2), wrong
        assert said in output.replace("\n", " ") or "smiel" in (tmp_path / "out" / "report.json").read_text()
    (tmp_path / "none").mkdir()
    code, output = run("edit", tmp_path / "none", "-o", tmp_path / "out2", "--yaw", "8", "--preset", tmp_path / "preset")
    assert code == 2
    assert "no photos in" in output
