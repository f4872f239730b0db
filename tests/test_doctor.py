"""`doctor` says what is there and what is missing; `inspect` what a picture says of itself."""

import json
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.cli.doctor import EXTRAS, PACKAGES, extras
from discontrolface.common.images import save_photo
from discontrolface.common.provenance import make_record
from discontrolface.weights import shipped


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.output


def test_a_whole_installation(tmp_path: Path) -> None:
    code, output = run("doctor", "--cache-dir", str(tmp_path), "--assets-dir", str(tmp_path), "--json")
    assert code == 0
    found = {finding["what"]: finding for finding in json.loads(output)}
    assert all(found[name]["state"] == "ok" for name in (*PACKAGES, "device", "open preset", "cache"))
    assert found["paper preset"]["state"] == "missing"
    assert "discontrolface assets" in found["paper preset"]["note"]


def test_a_damaged_preset_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = shipped.list_shipped()

    def damaged() -> list[object]:
        from dataclasses import replace

        return [replace(whole[0], state="damaged", note="another hash"), *whole[1:]]

    monkeypatch.setattr(shipped, "list_shipped", damaged)
    code, output = run("doctor", "--cache-dir", str(tmp_path))
    assert code == 1
    assert f"{whole[0].path}: damaged (another hash)" in output


def test_extras_are_those_of_the_package() -> None:
    """Each extra's modules come from the distributions that pyproject.toml lists for it."""
    listed = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(listed) - {"dev", "head", "docs", "release"}, "every extra that users install has its line"
    installed = packages_distributions()
    for name, (_, modules) in EXTRAS.items():
        wanted = {entry.split(">")[0].split("[")[0].split(";")[0].strip().lower().replace("_", "-") for entry in listed[name]}
        for module in modules:
            for distribution in installed.get(module, []):
                assert distribution.lower().replace("_", "-") in wanted, (name, module)
    (first, *_) = extras(lambda module: None)
    assert first.state == "missing"
    assert "pip install 'discontrolface[train]'" in first.note
    assert all(finding.state == "ok" for finding in extras(lambda module: module))


def test_inspect_prints_the_record_or_says_that_there_is_none(tmp_path: Path) -> None:
    from PIL import Image

    picture = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    save_photo(picture, tmp_path / "edited.png", info=make_record({"yaw": 10.0}, seed=3))
    picture.save(tmp_path / "plain.png")
    code, output = run("inspect", str(tmp_path / "edited.png"))
    assert code == 0
    assert '"yaw": 10.0' in output
    assert "was edited" in output
    code, output = run("inspect", str(tmp_path / "edited.png"), str(tmp_path / "plain.png"))
    assert code == 1
    assert "carries no record" in output
    assert run("inspect", str(tmp_path / "none.png"))[0] == 2
