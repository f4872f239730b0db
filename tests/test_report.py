"""Reports: one page that needs nothing else and no sideways scrolling, nothing from outside obeyed, pixels and coordinates as given."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.scripts import load_script
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.common.statistics import Estimate
from discontrolface.reports import render, to_html, write_html, write_markdown
from discontrolface.reports.cells import markdown_text, numeric_columns
from discontrolface.reports.content import IntervalPlot, Picture, Plot, Report, Section, Series, Table
from discontrolface.reports.layout import PAGE_WIDTH, column_width, layout
from discontrolface.reports.plots import plot_svg

SVG = "{http://www.w3.org/2000/svg}"
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
            (EVIL, Estimate(None, missing="no pictures"), 20.5, 8, Estimate(None, missing="weights missing"), EVIL),
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
    return Report("A report", "It fell short.\n\nAll else is fine.", sections, {"seed": 3, "file": EVIL, "share": 0.5}, (f"it: {EVIL}",))


def wide_table(columns: int = 30) -> Table:
    """Many long numbers with intervals, long names."""
    cells = tuple(Estimate(-123456.789 * k, -234567.891, 345678.912 * k, 9) for k in range(columns))
    names = ("method", *(f"a long name of estimate {k} ↓" for k in range(columns)), "verdict")
    return Table("Wide", names, tuple((f"{EVIL} {'verylongname' * 9} {row}", *cells, "not distinguishable " * 5) for row in range(3)))


def test_the_page_has_all_of_it(report: Report) -> None:
    page = Page(to_html(report))
    assert [text for _, text in page.of("h1")] == ["A report"]
    assert [text for _, text in page.of("h2")] == ["First", EVIL, "What repeats this report"]
    rows = [text for _, text in page.of("tr")]
    assert len(rows) == 3
    cells = [text for _, text in page.of("td")]
    assert cells[:4] == ["0.120.10 – 0.20", "∞", "1,234", "a"]
    assert cells[4:7] == ["–", "20.50", "8"]
    assert ("ci", "0.10 – 0.20") in [(attributes.get("class"), text) for attributes, text in page.of("span")]
    numeric = [attributes.get("class") for attributes, _ in page.of("th") if attributes.get("scope") == "col"]
    assert numeric == [None, "number", "number", "number", None], "FID, which nobody measured, has no column"
    assert [text for attributes, text in page.of("p") if attributes.get("class") == "note"] == [
        f"note {EVIL.replace('`', '')}",
        "FID: weights missing",
        "–: no pictures",
    ]
    assert [text for _, text in page.of("li")] == [f"it: {EVIL.replace('`', '')}"]
    kinds = [tag for tag, attributes, _ in page.elements if tag == "table" or (tag == "img" and attributes["alt"])]
    assert kinds == ["img", "table", "img", "img"], "pictures and plots before tables"
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
        if attributes["class"] == "plot":
            assert head == "data:image/svg+xml"
            continue
        picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
        assert head == f"data:image/{str(picture.format).lower()}"
        assert (attributes["width"], attributes["height"]) == (str(picture.width), str(picture.height))
        decoded.append((picture.format, np.asarray(picture.convert("RGB"))))
    assert decoded[0][0] == "PNG"
    assert np.array_equal(decoded[0][1], pixels)
    assert decoded[1][0] == "JPEG", "300 x 1400 pixels of noise are too many for an exact copy"
    large = report.sections[1].pictures[0].image
    assert np.abs(decoded[1][1].astype(int) - large).mean() < 6


def drawing_of(plot: Plot) -> ElementTree.Element:
    return ElementTree.fromstring(plot_svg(plot)[0])


def texts(drawing: ElementTree.Element) -> list[str]:
    return [str(element.text) for element in drawing.iter(f"{SVG}text")]


def test_the_coordinates_of_a_plot() -> None:
    drawing = drawing_of(plot())
    line = next(e for e in drawing.iter(f"{SVG}g") if e.get("id") == "line0")
    path = str(next(line.iter(f"{SVG}path")).get("d"))
    x, y = (np.array([float(n) for n in re.findall(rf"[ML] {place}", path)]) for place in (r"([\d.]+) [\d.]+", r"[\d.]+ ([\d.]+)"))
    assert (x - x[0]) / (x[-1] - x[0]) == pytest.approx([0, 4 / 19, 9 / 19, 1], abs=1e-3)
    assert (y - y[0]) / (y[-1] - y[0]) == pytest.approx([0, 1 / 4, 2 / 4, 1], abs=1e-3)
    assert y[0] > y[-1], "more is further up"
    said = texts(drawing)
    assert said[:4] == ["1", "5", "10", "20"], "the sizes that were measured"
    assert {"steps", "seconds", "edit", "0"} <= set(said)


def test_names_gaps_and_nothing_in_a_plot() -> None:
    nan = float("nan")
    gaps = Plot("gaps", "x $ _", "y", (Series(EVIL, (0, 1, 2, 3), (1, nan, 2, 3)), Series("_flat $x$", (0, 3), (2, 2))))
    said = texts(drawing_of(gaps))
    assert {EVIL, "x $ _", "\u200b_flat $x$"} <= set(said)
    for series in ((), (Series("one", (5.0,), (7.0,)),), (Series("none", (0.0, 1.0), (nan, nan)),)):
        drawing_of(Plot("p", "x", "y", series))


def test_intervals_are_drawn_a_panel_an_estimate() -> None:
    table = Table(
        "t", ("", "a", "b", "is"), (("x", Estimate(1.0, 0.5, 2.0, 9), Estimate(None), "?"), ("y", Estimate(3.0), Estimate(4.0), "?"))
    )
    drawn = IntervalPlot(table, 0.0)
    assert [(name, [e.value for e in estimates]) for name, estimates in drawn.panels] == [("a", [1.0, 3.0]), ("b", [None, 4.0])]
    assert {"a", "b", "x", "y"} <= set(texts(ElementTree.fromstring(plot_svg(drawn)[0])))
    assert plot_svg(IntervalPlot(Table("t", ("",), ())))[0]


def test_the_same_plot_is_the_same_file_in_every_thread_and_no_setting_is_changed() -> None:
    import matplotlib

    before = matplotlib.rcParams.copy()
    with ThreadPoolExecutor(4) as pool:
        files = set(pool.map(lambda _: plot_svg(plot())[0], range(8)))
    assert len(files) == 1
    assert matplotlib.rcParams.copy() == before
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_report import plot, plot_svg; "
        "sys.stdout.buffer.write(plot_svg(plot())[0]); sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert files == {other}, "nor do a date or the process show in it"


def test_a_wide_table_goes_on_in_pieces() -> None:
    table = wide_table()
    laid = layout(table)
    assert len(laid.pieces) > 1
    assert sum(len(piece.columns) - 1 for piece in laid.pieces) == len(table.columns) - 1
    columns = {name: tuple(row[k] for row in table.rows) for k, name in enumerate(table.columns)}
    for piece in laid.pieces:
        assert piece.columns[0] == "method", "each piece names its rows"
        need = [column_width(n, columns[n], number, table.digits) for n, number in zip(piece.columns, numeric_columns(piece), strict=True)]
        assert sum(need) <= PAGE_WIDTH
    style = "".join(text for _, text in Page(to_html(Report("r", "", (Section("s", tables=(table,)),)))).of("style"))
    assert re.search(r"table \{[^}]*max-width: 100%", style)
    assert re.search(r"th, td \{[^}]*overflow-wrap: anywhere", style)
    assert "nowrap" not in style.replace(".number span { white-space: nowrap; }", ""), "only numbers stay whole"


def test_what_is_missing_is_said_once() -> None:
    lost = Estimate(None, missing="weights missing")
    laid = layout(Table("t", ("a", "b", "c", "d"), (("x", lost, 1.0, None), ("y", lost, Estimate(None, missing="no face"), None)), "note"))
    assert laid.pieces[0].columns == ("a", "c")
    assert laid.notes == ("note", "b: weights missing", "–: no face")
    assert layout(Table("t", ("a", "b"), ())).pieces[0].columns == ("a", "b")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, report: Report) -> None:
    monkeypatch.setattr(render.importlib.util, "find_spec", lambda name: None if name == "matplotlib" else name)
    with pytest.raises(UserError, match=r"needs matplotlib; install the extra: pip install 'discontrolface\[reports\]'"):
        to_html(report)
    code = "import sys, discontrolface.cli.app, discontrolface.reports; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, "only who writes a report loads it"


def test_markdown_and_its_pictures(report: Report, pixels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "Two.md"
    write_markdown(report, path)
    text = path.read_text()
    lines = text.splitlines()
    assert lines[0] == "# A report"
    assert "|---|---:|---:|---:|---|" in lines
    assert r"| warp | 0.12 [0.10, 0.20] | ∞ | 1,234 | a |" in [line.strip() for line in lines]
    rows = [line for line in lines if line.startswith("| ") and "20.50" in line]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 6, "a | from outside does not make a cell"
    assert not re.search(r"(?<!\\)<script", text)
    assert "\n\n\n" not in text
    names = re.findall(r"^!\[[^]]*\]\(([^)]+)\)$", text, re.MULTILINE)
    assert names == ["two-faces.png", "two-time.svg", "two-faces-2.jpg"]
    assert {p.name for p in tmp_path.iterdir()} == {*names, "Two.md"}
    assert np.array_equal(np.asarray(Image.open(tmp_path / names[0])), pixels)
    path.unlink()
    write_markdown(report, path)
    assert path.read_text() == text, "the same pictures may be there"
    (tmp_path / names[0]).write_bytes(b"mine")
    path.unlink()
    with pytest.raises(UserError, match="exists"):
        write_markdown(report, path)
    assert (tmp_path / names[0]).read_bytes() == b"mine"
    write_markdown(report, path, overwrite=True)
    assert (tmp_path / names[0]).read_bytes() != b"mine"


def test_markdown_with_a_folder_of_small_pictures(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    write_markdown(report, path, in_folder=True, limit=60_000, preamble="- *as it is*")
    text = path.read_text()
    assert "\n\n- *as it is*\n\n" in text
    assert re.findall(r"\]\(([^)]+)\)", text) == ["page/faces.jpg", "page/time.svg", "page/faces-2.jpg"]
    assert (tmp_path / "page" / "faces-2.jpg").stat().st_size <= 60_000


def test_markdown_keeps_ordinary_words() -> None:
    assert markdown_text("eye_blink at 0.3, `a_*b`: 5 %") == "eye_blink at 0.3, `a_*b`: 5 %"
    assert markdown_text("# not a heading\n- no item\n1. no item") == "\\# not a heading\n\\- no item\n1\\. no item"
    assert markdown_text("_x_ *y* [z](u) <i> a|b") == r"\_x\_ \*y\* \[z\](u) \<i\> a\|b"


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
        write_markdown(report, tmp_path / "missing" / "out.md")


def test_a_row_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="2 columns, but a row of 1"):
        Table("t", ("a", "b"), (("x",),))


def test_a_browser_has_nothing_to_say_and_nothing_to_scroll(report: Report, tmp_path: Path) -> None:
    """In headless Chromium: no console message, all within 1280 pixels, and a picture; a page that loads something or is wider fails."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    check_report = load_script("check_report")
    if check_report.find_browser() is None:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    page, sections = tmp_path / "page.html", (Section("Wide", tables=(wide_table(), wide_table(9), wide_table(1))), *report.sections)
    write_html(replace(report, sections=sections), page)

    def check() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(check_report.__file__), str(page), "--screenshot", str(tmp_path / "page.png"), "--size", "1280x600"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = check()
    assert done.returncode == 0, done.stderr
    shown = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
    assert shown.shape == (600, 1280), "the page is longer than the window"
    assert shown.std() > 20
    whole = page.read_text()
    page.write_text(whole.replace("<main>", '<main><div style="width: 1300px">wide</div>'))
    done = check()
    assert done.returncode == 1
    assert "sideways" in done.stderr
    page.write_text(whole.replace("<main>", '<main><img src="picture.png">'))
    done = check()
    assert done.returncode == 1
    assert "Content Security Policy" in done.stderr
