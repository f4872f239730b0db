"""Reports: one page that needs nothing else, nothing from outside obeyed, pixels and coordinates as given."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.common.statistics import Estimate
from discontrolface.reports import to_html, to_json, to_markdown, write_html, write_markdown
from discontrolface.reports.content import Picture, Plot, Report, Section, Series, Table
from discontrolface.reports.plot_svg import BOTTOM, HEIGHT, LEFT, RIGHT, WIDTH, plot_svg, ticks
from discontrolface.reports.text import markdown_text

EVIL = "<script>alert(\"1\")</script> & 'file' | `<b>`"
VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """The page as a list of (tag, attributes, text inside); fails when tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.elements: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            self.elements.append((tag, dict(attrs), ""))
        else:
            self.open.append((tag, dict(attrs), []))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        name, attributes, text = self.open.pop()
        assert name == tag
        self.elements.append((tag, attributes, "".join(text)))

    def handle_data(self, data: str) -> None:
        for _, _, text in self.open:
            text.append(data)

    def of(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, text) for name, attributes, text in self.elements if name == tag]


def plot() -> Plot:
    steps = (1.0, 5.0, 10.0, 20.0)
    return Plot("Time", "steps", "seconds", (Series("edit", steps, (1.0, 2.0, 3.0, 5.0), (0.5, 1.5, 2.5, 4.0), (1.5, 2.5, 4.0, 10.0)),))


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.fixture(scope="module")
def report(pixels: np.ndarray) -> Report:
    table = Table(
        "Errors",
        ("method", "error", "PSNR", "pairs", "FID", "why"),
        (
            ("warp", Estimate(0.12345, 0.1, 0.2, 64), float("inf"), 1234, None, "a"),
            (EVIL, Estimate(None, missing="not measured: weights missing"), 20.5, 8, 1.5, EVIL),
        ),
        note=f"note {EVIL}",
        digits=2,
    )
    smooth = np.add.outer(np.arange(300), np.arange(1400))[..., None].repeat(3, 2)
    large = (smooth // 9 + np.random.default_rng(1).integers(0, 24, smooth.shape)).astype(np.uint8)
    sections = (
        Section("First", f"One.\n\nTwo {EVIL}.", (table,), (Picture("Faces", pixels),)),
        Section(EVIL, "", (), (Picture("Faces", large),), (plot(),)),
    )
    return Report("A report", "It fell short.\n\nAll else is fine.", sections, {"seed": 3, "file": EVIL, "share": 0.5})


def test_the_page_has_all_of_it(report: Report) -> None:
    page = Page(to_html(report))
    assert [text for _, text in page.of("h1")] == ["A report"]
    assert [text for _, text in page.of("h2")] == ["First", EVIL, "What repeats this report"]
    rows = [text for _, text in page.of("tr")]
    assert len(rows) == 3
    cells = [text for _, text in page.of("td")]
    assert cells[:5] == ["0.12 0.10 – 0.20", "∞", "1,234", "–", "a"]
    assert cells[5:9] == ["not measured: weights missing", "20.50", "8", "1.50"]
    assert ("ci", " 0.10 – 0.20") in [(attributes.get("class"), text) for attributes, text in page.of("span")]
    numeric = [attributes.get("class") for attributes, _ in page.of("th") if attributes.get("scope") == "col"]
    assert numeric == [None, "number", "number", "number", "number", None]
    targets = {attributes["id"] for attributes, _ in page.of("section")}
    assert {str(attributes["href"])[1:] for attributes, _ in page.of("a")} == targets
    assert len(targets) == 2
    assert dict(zip([t for _, t in page.of("dt")], [t for _, t in page.of("dd")], strict=True)) == {
        "seed": "3",
        "file": EVIL,
        "share": "0.5",
    }


def test_nothing_from_outside_is_markup_and_nothing_is_loaded(report: Report) -> None:
    text = to_html(report)
    page = Page(text)
    assert not page.of("script")
    assert len(page.of("label")) == 1, "the wide picture can be enlarged"
    assert not page.of("b")
    assert EVIL.replace("`", "") in page.of("tbody")[0][1]
    for tag, attributes, _ in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert name not in attributes or str(attributes[name]).startswith(("data:", "#")), (tag, attributes)
    style = "".join(text for _, text in page.of("style"))
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"https?:|file:", text)
    policies = [attributes["content"] for attributes, _ in page.of("meta") if attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_pictures_hold_the_given_pixels(report: Report, pixels: np.ndarray) -> None:
    images = [attributes for attributes, _ in Page(to_html(report)).of("img")]
    decoded = []
    for attributes in images:
        head, _, data = str(attributes["src"]).partition(";base64,")
        picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
        assert head == f"data:image/{str(picture.format).lower()}"
        assert (attributes["width"], attributes["height"]) == (str(picture.width), str(picture.height))
        decoded.append((picture.format, np.asarray(picture.convert("RGB"))))
    assert decoded[0][0] == "PNG"
    assert np.array_equal(decoded[0][1], pixels)
    assert decoded[1][0] == "JPEG", "300 x 1400 pixels of noise are too many for an exact copy"
    large = report.sections[1].pictures[0].image
    assert np.abs(decoded[1][1].astype(int) - large).mean() < 6


def test_the_coordinates_of_a_plot() -> None:
    drawing = ElementTree.fromstring(plot_svg(plot(), standalone=True))
    ns = "{http://www.w3.org/2000/svg}"

    def points(of: str, kind: str) -> list[tuple[float, float]]:
        element = next(e for e in drawing.iter(ns + of) if str(e.get("class")).startswith(kind))
        return [(float(x), float(y)) for x, y in (pair.split(",") for pair in str(element.get("points")).split())]

    grid = sorted(float(e.get("y1", "")) for e in drawing.iter(ns + "line") if e.get("class") == "grid")
    top, bottom = grid[0], HEIGHT - BOTTOM
    assert grid[-1] == bottom
    left, right = LEFT, WIDTH - RIGHT - 8
    # x from 1 to 20, y from 0 to 10 (the band's highest)
    expected = [(left + (right - left) * (x - 1) / 19, bottom - (bottom - top) * y / 10) for x, y in ((1, 1), (5, 2), (10, 3), (20, 5))]
    assert np.allclose(points("polyline", "curve"), expected, atol=0.01)
    band = points("polygon", "band")
    assert [x for x, _ in band] == pytest.approx([x for x, _ in expected] + [x for x, _ in expected][::-1], abs=0.01)
    assert [(bottom - y) / (bottom - top) * 10 for _, y in band] == pytest.approx([1.5, 2.5, 4, 10, 4, 2.5, 1.5, 0.5], abs=0.001)
    numbers = {kind: [e.text for e in drawing.iter(ns + "text") if e.get("class") == kind] for kind in ("x-tick", "y-tick")}
    assert numbers == {"x-tick": ["1", "5", "10", "20"], "y-tick": ["0", "2", "4", "6", "8", "10"]}


def test_gaps_constants_and_names_in_a_plot() -> None:
    nan = float("nan")
    gaps = Plot("gaps", "x", "y", (Series(EVIL, (0, 1, 2, 3), (1, nan, 2, 3)), Series("flat", (0, 3), (2, 2))))
    drawing = ElementTree.fromstring(plot_svg(gaps, standalone=True))
    lines = list(drawing.iter("{http://www.w3.org/2000/svg}polyline"))
    assert [len(str(e.get("points")).split()) for e in lines] == [1, 2, 2]
    assert any(e.text == EVIL for e in drawing.iter("{http://www.w3.org/2000/svg}text"))
    for series in ((), (Series("one", (5.0,), (7.0,)),), (Series("none", (0.0, 1.0), (nan, nan)),)):
        assert "nan" not in plot_svg(Plot("p", "x", "y", series)).replace("Time", "")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (3, 47, [0, 10, 20, 30, 40, 50]),
        (-0.012, 0.03, [-0.02, -0.01, 0, 0.01, 0.02, 0.03]),
        (0, 9e6, [0, 2e6, 4e6, 6e6, 8e6, 1e7]),
    ],
)
def test_ticks_are_round_and_enclose(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_markdown_and_its_pictures(report: Report, pixels: np.ndarray, tmp_path: Path) -> None:
    text = to_markdown(report, tmp_path)
    lines = text.splitlines()
    assert lines[0] == "# A report"
    assert "|---|---:|---:|---:|---:|---|" in lines
    assert r"| warp | 0.12 [0.10, 0.20] | ∞ | 1,234 | – | a |" in lines
    rows = [line for line in lines if line.startswith("| ") and "not measured" in line]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 7, "a | from outside does not make a cell"
    assert not re.search(r"(?<!\\)<script", text)
    names = re.findall(r"^!\[[^]]*\]\(([^)]+)\)$", text, re.MULTILINE)
    assert names == ["a-report-faces.png", "a-report-faces-2.jpg", "a-report-time.svg"]
    assert {p.name for p in tmp_path.iterdir()} == set(names)
    assert np.array_equal(np.asarray(Image.open(tmp_path / names[0])), pixels)
    assert to_markdown(report, tmp_path) == text, "the same pictures may be there"
    (tmp_path / names[0]).write_bytes(b"mine")
    with pytest.raises(UserError, match="exists"):
        to_markdown(report, tmp_path)
    assert (tmp_path / names[0]).read_bytes() == b"mine"
    assert to_markdown(report, tmp_path, overwrite=True) == text
    assert (tmp_path / names[0]).read_bytes() != b"mine"
    write_markdown(report, tmp_path / "Two.md")
    assert (tmp_path / "Two.md").read_text() == text.replace("(a-report-", "(two-")
    assert (tmp_path / "two-faces-2.jpg").is_file()


def test_markdown_keeps_ordinary_words() -> None:
    assert markdown_text("eye_blink at 0.3, `a_*b`: 5 %") == "eye_blink at 0.3, `a_*b`: 5 %"
    assert markdown_text("# not a heading\n- no item\n1. no item") == "\\# not a heading\n\\- no item\n1\\. no item"
    assert markdown_text("_x_ *y* [z](u) <i> a|b") == r"\_x\_ \*y\* \[z\](u) \<i\> a\|b"


def test_json_is_strict_and_complete(report: Report) -> None:
    read = json.loads(to_json(report), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert read["settings"] == {"seed": 3, "file": EVIL, "share": 0.5}
    first, second = read["sections"][0]["tables"][0]["rows"]
    assert first == ["warp", {"value": 0.12345, "low": 0.1, "high": 0.2, "count": 64}, "inf", 1234, None, "a"]
    assert second[1] == {"value": None, "low": None, "high": None, "count": 0, "missing": "not measured: weights missing"}
    assert read["sections"][1]["pictures"] == [{"title": "Faces", "width": 1400, "height": 300, "note": ""}]
    assert read["sections"][1]["plots"][0]["series"][0]["high"] == [1.5, 2.5, 4.0, 10.0]


def test_files_are_not_overwritten(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    path.write_text("mine")
    with pytest.raises(UserError, match="exists"):
        write_html(report, path)
    assert path.read_text() == "mine"
    write_html(report, path, overwrite=True)
    assert path.read_text() == to_html(report)
    with pytest.raises(UserError, match=r"must end in \.html"):
        write_html(report, tmp_path / "out.txt")
    with pytest.raises(UserError, match="does not exist"):
        to_markdown(report, tmp_path / "missing")


def test_a_row_that_does_not_fit() -> None:
    wrong = Report("r", "", (Section("s", tables=(Table("t", ("a", "b"), (("x",),)),)),))
    for write in (to_html, to_json, lambda r: to_markdown(r, Path())):
        with pytest.raises(ValueError, match="2 columns, but a row of 1"):
            write(wrong)


@pytest.mark.heavy
def test_a_browser_has_nothing_to_say(report: Report, tmp_path: Path) -> None:
    """In headless Chromium: no console message and a picture of the page; a page that loads something fails."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
    try:
        import check_report
    finally:
        sys.path.pop(0)
    if check_report.find_browser() is None:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    page = tmp_path / "page.html"
    write_html(report, page)

    def check() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, check_report.__file__, str(page), "--screenshot", str(tmp_path / "page.png"), "--size", "800x600"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = check()
    assert done.returncode == 0, done.stderr
    shown = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
    assert shown.shape == (600, 800), "the page is longer than the window"
    assert shown.std() > 20
    page.write_text(page.read_text().replace("<main>", '<main><img src="picture.png">'))
    done = check()
    assert done.returncode == 1
    assert "Content Security Policy" in done.stderr
