"""A reading that is not to be trusted: a warning and a field of the record, or a refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.networks import write_tiny_preset
from PIL import Image
from typer.testing import CliRunner, Result

from discontrolface.cli.app import app
from discontrolface.common.example import example_photo
from discontrolface.common.provenance import read_provenance
from discontrolface.editing.reading import Reader
from discontrolface.face.confidence import LOW

PHOTO = example_photo()


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture(scope="module")
def squeezed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example photo, squeezed to half of its width: a face that no head model meets."""
    path: Path = tmp_path_factory.mktemp("photos") / "squeezed.png"
    Image.open(PHOTO).convert("RGB").resize((250, 512)).save(path)
    return path


def edit(photo: Path, output: Path, preset: Path, *options: object) -> Result:
    arguments = ["edit", photo, "-o", output, "-q", "--preset", preset, "--steps", "1", "--yaw", "5", *options]
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_clear_photo_is_edited_without_a_word(preset: Path, tmp_path: Path) -> None:
    done = edit(PHOTO, tmp_path / "x.png", preset, "--strict")
    assert done.exit_code == 0, done.output
    assert "warning" not in done.stderr
    record = read_provenance(tmp_path / "x.png")
    assert record is not None
    assert record["confidence"] == pytest.approx(Reader.open(32).read(PHOTO).confidence.value, abs=0.05)


def test_a_face_that_is_not_trusted_is_warned_of_or_refused(preset: Path, squeezed: Path, tmp_path: Path) -> None:
    reading = Reader.open(32).read(squeezed).confidence
    assert reading.low
    done = edit(squeezed, tmp_path / "x.png", preset)
    assert done.exit_code == 0, done.output
    assert f"warning: the reading of {squeezed} is not to be trusted (confidence 0." in done.stderr
    record = read_provenance(tmp_path / "x.png")
    assert record is not None
    assert record["confidence"] < LOW
    refused = edit(squeezed, tmp_path / "y.png", preset, "--strict")
    assert refused.exit_code == 2
    assert "leave out --strict to edit all the same" in refused.stderr
    assert not (tmp_path / "y.png").exists()


def test_a_face_that_is_copied_from_counts_too(preset: Path, squeezed: Path, tmp_path: Path) -> None:
    done = edit(PHOTO, tmp_path / "x.png", preset, "--expression-from", squeezed, "--pose-from", f"{squeezed}#0")
    assert done.exit_code == 0, done.output
    assert done.stderr.count("warning: ") == 1
    assert f"face 0 of {squeezed}" in done.stderr
    assert edit(PHOTO, tmp_path / "y.png", preset, "--expression-from", squeezed, "--strict").exit_code == 2


def test_every_face_of_a_group_is_judged(preset: Path, tmp_path: Path) -> None:
    """A clear face and a squeezed one, in one photo."""
    clear = Image.open(PHOTO).convert("RGB").crop((100, 0, 350, 250))
    sheet = Image.new("RGB", (460, 260), (90, 110, 120))
    sheet.paste(clear, (5, 5))
    sheet.paste(clear.resize((110, 220)), (300, 20))
    sheet.save(tmp_path / "group.png")
    done = edit(tmp_path / "group.png", tmp_path / "x.png", preset, "--face", "all")
    assert done.exit_code == 0, done.output
    assert "warning: the reading of face 1 of" in done.stderr
    assert "face 0 of" not in done.stderr
    record = read_provenance(tmp_path / "x.png")
    assert record is not None
    values = [face["confidence"] for face in record["edited"]["faces"]]
    assert values[0] > LOW > values[1] == record["confidence"]
    assert np.asarray(Image.open(tmp_path / "x.png")).shape == (260, 460, 3)
