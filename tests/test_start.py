"""What a command loads before it works: nothing for the help, no networks for reading; and the size that it reads at."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from discontrolface.cli.source import Source
from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo

PHOTO = example_photo()


def imported(code: str, modules: list[str]) -> list[str]:
    """Those of the modules that a new process has imported after the code."""
    probe = f"import sys\n{code}\nprint([m for m in {modules} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    return list(json.loads(out.strip().splitlines()[-1].replace("'", '"')))


def test_package_and_command_line_import_without_what_is_slow() -> None:
    heavy = ["torch", "diffusers", "numba", "scipy", "ai_edge_litert", "matplotlib", "jinja2", "PIL"]
    assert imported("import discontrolface, discontrolface.cli.app", heavy) == []


@pytest.mark.parametrize("room", ["", ".diffusion", ".face", ".nets", ".render", ".weights"])
def test_every_name_of_a_room_loads_when_it_is_used(room: str) -> None:
    """The names that type checkers are told of are those that the room gives, and the same objects."""
    package = importlib.import_module(f"discontrolface{room}")
    assert package.__file__ is not None
    (told,) = [node for node in ast.parse(Path(package.__file__).read_text()).body if isinstance(node, ast.If)]
    for line in told.body:
        assert isinstance(line, ast.ImportFrom)
        for name in line.names:
            assert getattr(package, name.name) is getattr(importlib.import_module(str(line.module)), name.name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing


def test_reading_a_photo_loads_no_network() -> None:
    code = f"from discontrolface.cli.app import app\napp(['read', {str(PHOTO)!r}], standalone_mode=False)"
    unused = [
        "diffusers",
        "torch._dynamo",
        "torch._inductor",
        "discontrolface.nets",
        "discontrolface.diffusion",
        "discontrolface.render.warp",
    ]
    assert imported(code, [*unused, "torch"]) == ["torch"]


def test_editing_loads_no_compiler() -> None:
    code = "from discontrolface.weights.manifest import open_folder\nfrom discontrolface.editing.editor import Editor\nEditor.load(open_folder())"
    assert imported(code, ["diffusers", "torch._dynamo", "torch._inductor", "discontrolface.nets"]) == ["discontrolface.nets"]


def preset(folder: Path, config: str) -> Path:
    """A preset of which only the descriptions are there."""
    (folder / "diffae").mkdir()
    (folder / "diffae" / "config.json").write_text(config)
    (folder / "preset.json").write_text(json.dumps({"name": "small", "head": "open", "start": "noise", "strength": 1.0, "steps": 2}))
    return folder


def test_photos_are_read_at_the_size_of_the_preset(tmp_path: Path) -> None:
    """The command line as the API: the networks of a preset of 128 pixels see crops of 128 pixels, without being loaded."""
    source = Source(preset=str(preset(tmp_path, '{"_class_name": "DiffAE", "image_size": 128}')))
    reader = source.reader()
    person = source.read(reader, PHOTO)
    assert person.crop.size == reader.size == 128
    assert person.crop.image.shape == (128, 128, 3)
    assert Source().reader().size == 256


def test_a_damaged_description_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json does not say the size"):
        Source(preset=str(preset(tmp_path, "{"))).reader()
