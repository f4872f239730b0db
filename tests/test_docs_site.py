"""The documentation: it builds without a warning, and the commands of its first page and of the README run as they stand there."""

import json
import re
import shlex
import subprocess
import sys
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from helpers.networks import write_tiny_preset
from PIL import Image
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.common.example import example_photo
from discontrolface.common.provenance import read_provenance
from discontrolface.editing.editor import Editor

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/index.md", "docs/animate.md")
STUDIO = "studio"  # a server: tested in files of its own


def commands(page: str) -> list[list[str]]:
    """The arguments of every `discontrolface` command in a page's shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if re.match(r"(\.venv/bin/)?discontrolface ", line)]
    return [line[1:] for line in words]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photo.jpg, other.jpg, clip.mp4 and a tiny preset."""
    from discontrolface.common.video import write_clip

    pytest.importorskip("av", reason="extra `video` is not installed")
    out = tmp_path_factory.mktemp("quickstart")
    with Image.open(example_photo()) as photo:
        picture = photo.convert("RGB")
    for name in ("photo.jpg", "other.jpg"):
        picture.save(out / name, quality=95)
    small = np.asarray(picture.crop((90, 0, 370, 280)))
    write_clip(out / "clip.mp4", [small] * 2, Fraction(25), {})
    write_tiny_preset(out / "preset")
    return out


@pytest.mark.parametrize("page", [*PAGES[:2], *(pytest.param(page, marks=pytest.mark.heavy) for page in PAGES[2:])])
def test_the_commands_of_a_page_run(page: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [line for line in commands(page) if line[0] != STUDIO]
    assert listed, "the page shows commands"
    for name in ("photo.jpg", "other.jpg", "clip.mp4"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    for line in listed:
        arguments = [*line, "--preset", str(folder / "preset")] if line[0] in ("read", "edit", "animate") else line
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, (line, done.output)
        made = [line[k + 1] for k, word in enumerate(line) if word in ("-o", "--sheet", "--save-parameters")]
        assert all((tmp_path / name).exists() for name in made), line  # a file, or a folder of frames


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_python_of_a_page_runs(page: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    (tmp_path / "photo.jpg").write_bytes((folder / "photo.jpg").read_bytes())
    load = Editor.load
    monkeypatch.setattr(Editor, "load", lambda _name: load(folder / "preset"))
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    record = read_provenance(tmp_path / "edited.png")
    assert record is not None
    assert "yaw" in json.dumps(record)


class Links(HTMLParser):
    """What a page links to, and the anchors that it has."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and (name == "src" or (name == "href" and tag in ("a", "link"))):
                self.links.add(value)
            elif value and name in ("id", "name"):
                self.anchors.add(value)


def check_links(site: Path) -> int:
    """Every link inside the site leads to a file, and to an anchor that is there; how many were followed. Other sites are not asked."""
    pages = {
        page.resolve(): Links(page) for page in site.rglob("*.html") if page.name != "404.html"
    }  # whose links are from the site's root
    followed = 0
    for page, parsed in pages.items():
        for link in parsed.links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = (page.parent / unquote(address.path)).resolve() if address.path else page
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{page.name}: {link} leads nowhere"
            if address.fragment and target in pages:
                assert unquote(address.fragment) in pages[target].anchors, f"{page.name}: {link} has no such place"
            followed += 1
    return followed


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="extra `docs` is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "fonts.googleapis" not in page, "the site loads nothing from elsewhere"
    assert (tmp_path / "site" / "api.html").read_text(encoding="utf-8").count("FaceParameters") > 3
    assert check_links(tmp_path / "site") > 1000
    broken = tmp_path / "site" / "broken.html"
    broken.write_text('<a href="index.html#nowhere">x</a>', encoding="utf-8")
    with pytest.raises(AssertionError, match="no such place"):
        check_links(tmp_path / "site")
