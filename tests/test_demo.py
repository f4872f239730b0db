"""`demo` edits the photo that comes with the package, and the version is the same wherever it stands."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from helpers.networks import write_tiny_preset
from PIL import Image
from typer.testing import CliRunner

from discontrolface import example_photo
from discontrolface.cli.app import app
from discontrolface.common.provenance import read_provenance
from discontrolface.editing.example_edits import EDITS

ROOT = Path(__file__).parents[1]


def test_the_demo_edits_the_packaged_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirteen pictures that differ from the photo within its size, and a sheet; a second run replaces nothing by itself."""
    preset = write_tiny_preset(tmp_path / "preset")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["demo", "--preset", str(preset)])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "discontrolface-demo"
    with Image.open(example_photo()) as photo:
        before = np.asarray(photo.convert("RGB")).astype(int)
    for name in EDITS:
        path = folder / f"{name.replace(' ', '_')}.png"
        with Image.open(path) as picture:
            after = np.asarray(picture.convert("RGB")).astype(int)
        assert after.shape == before.shape
        assert (np.abs(after - before).max(-1) > 20).sum() > 100, f"{name} changes something"
        record = read_provenance(path)
        assert record is not None
        assert record["edited"], name
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.width == 5 * 320
    again = CliRunner().invoke(app, ["demo", "--preset", str(preset)])
    assert again.exit_code == 2
    assert "--overwrite" in again.output


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = CliRunner().invoke(app, ["demo", "-o", str(tmp_path / "file" / "below")])
    assert done.exit_code == 2
    assert "choose another with --output" in done.output


def test_one_version() -> None:
    """pyproject.toml says it; the command, the citation, the newest change and the ComfyUI package agree."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert CliRunner().invoke(app, ["--version"]).output.strip() == version("discontrolface") == said
    assert re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)[1] == said  # type: ignore[index]
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)[1] == said  # type: ignore[index]
    assert tomllib.loads((ROOT / "comfyui/pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] == said
