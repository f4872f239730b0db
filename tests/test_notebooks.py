"""The notebooks run from top to bottom, show their pictures, and are kept without outputs; the site shows the pictures that they make."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers.scripts import load_script
from PIL import Image

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    pytest.importorskip("nbclient", reason="extra `dev` is not installed")
    pytest.importorskip("ipykernel", reason="extra `dev` is not installed")
    return load_script("run_notebooks")


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["edit-a-face", "the-papers-figures"]


@pytest.mark.heavy
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_makes_the_pictures_of_the_site(
    path: Path, script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = script.executed(path, tmp_path)
    said = {int(file.stem.rpartition("-")[2]) for file in path.parent.glob(f"{path.stem}-*.txt")}
    assert script.texts(notebook).keys() == said, "make notebooks"
    shown = script.pictures(notebook)
    kept = {int(file.stem.rpartition("-")[2]): file for file in path.parent.glob(f"{path.stem}-*.webp")}
    assert shown.keys() == kept.keys(), "make notebooks"
    for k, picture in shown.items():
        with Image.open(kept[k]) as file:
            site = np.asarray(file.convert("RGB")).astype(float)
        picture.thumbnail((script.WIDEST, script.WIDEST))
        assert picture.size == site.shape[1::-1], f"cell {k}: make notebooks"
        assert np.abs(site - np.asarray(picture)).mean() < 8, f"cell {k} shows another picture than the site: make notebooks"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
