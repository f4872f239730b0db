"""The page in a real browser, with tiny networks: what a user does with mouse, keyboard and phone, and a console that stays free of errors."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.networks import write_tiny_preset
from helpers.studio import PHOTO, running, two_faces
from PIL import Image

from discontrolface.common.provenance import read_provenance
from discontrolface.editing.editor import Editor

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytest.importorskip("gradio", reason="the studio's extra is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed (Debian: apt install chromium)", allow_module_level=True)

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
WAIT = 240_000  # ms: a busy machine that compiles the kernels first is no error
REFUSED = "Failed to load resource: the server responded with a status of 400"  # how Chromium says that the server refused an upload


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("preset")
    editor = Editor.load(write_tiny_preset(folder), cache=folder / "cache")
    with running(lambda: editor) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """What starts browsers: `chromium(flag, ...)`."""
    with playwright.sync_playwright() as p:
        yield lambda *flags: p.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])


@pytest.fixture(scope="module")
def browser(chromium: Any) -> Iterator[Any]:
    browser = chromium()
    yield browser
    browser.close()


class Page:
    """A tab with the studio, as a user sees it."""

    def __init__(self, browser: Any, address: str, width: int = 1200, height: int = 900) -> None:
        self.faults: list[str] = []
        self.outside: list[str] = []
        self.tab = browser.new_page(viewport={"width": width, "height": height}, accept_downloads=True)
        self.tab.set_default_timeout(WAIT)
        self.tab.on("console", lambda m: self.faults.append(m.text) if m.type in ("error", "warning") else None)
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.choosers: list[Any] = []  # heard from the beginning: waiting for one later may miss it
        self.tab.on("filechooser", lambda chooser: self.choosers.append(chooser))  # Playwright takes no bound method
        self.tab.on("request", lambda r: self.outside.append(r.url) if not r.url.startswith((address, "blob:", "data:")) else None)
        self.tab.goto(address)
        self.tab.wait_for_selector("body[data-studio=ready]")

    def open(self, photo: Path, field: str = "#file") -> None:
        self.tab.set_input_files(field, photo)
        if field == "#file":
            self.tab.wait_for_function("performance.getEntriesByName('photo').length > 0")

    def act(self, do: Any) -> np.ndarray:
        """Do something that edits; the preview that follows, as pixels."""
        turn = self.tab.evaluate("studio.turn")
        do()
        self.tab.wait_for_function("turn => studio.turn > turn && !studio.sending && !studio.stage.drawing", arg=turn)
        return self.pixels()

    def pixels(self) -> np.ndarray:
        """What the stage shows of the edit, small."""
        return np.array(
            self.tab.evaluate(
                """() => { const c = document.createElement("canvas"); c.width = c.height = 64; const d = c.getContext("2d");
                d.drawImage(document.getElementById("after"), 0, 0, 64, 64); return [...d.getImageData(0, 0, 64, 64).data]; }"""
            ),
            float,
        )

    def slide(self, key: str, press: str = "End") -> np.ndarray:
        """Move a slider with the keyboard; its group is opened if it is closed."""
        slider = self.tab.locator(f"[data-key='{key}']")
        slider.evaluate("element => { element.closest('details').open = true; }")
        slider.focus()
        return self.act(lambda: self.tab.keyboard.press(press))

    def click(self, name: str) -> np.ndarray:
        return self.act(lambda: self.tab.get_by_role("button", name=name, exact=True).click())

    def tab_to(self, there: str) -> None:
        """Press Tab until the focus is there."""
        passed = []
        for _ in range(80):
            if self.tab.evaluate(there):
                return
            self.tab.keyboard.press("Tab")
            passed.append(self.tab.evaluate("document.activeElement.id || document.activeElement.tagName"))
        raise AssertionError(f"Tab does not lead there: {passed}")

    def message(self, text: str) -> None:
        playwright.expect(self.tab.locator("#message")).to_contain_text(re.compile(text), timeout=WAIT)

    def close(self, *known: str) -> None:
        self.tab.close()
        assert [fault for fault in self.faults if not fault.startswith(known or ("-",))] == []
        assert self.outside == []  # nothing is asked of anybody else


def test_edit_render_download(browser: Any, address: str, tmp_path: Path) -> None:
    page = Page(browser, address)
    page.open(PHOTO)
    looks = [page.pixels()]
    for key in ("yaw", "expression.jawOpen", "expression.eyeBlinkLeft", "expression.browsDown", "light_rotation"):
        looks.append(page.slide(key))
        assert np.abs(looks[-1] - looks[-2]).max() > 20, key  # a wink is small
    assert np.array_equal(page.click("Undo"), looks[-2])
    assert np.array_equal(page.act(lambda: page.tab.keyboard.press("Control+z")), looks[-3])
    assert np.array_equal(page.click("Redo"), looks[-2])
    page.tab.wait_for_function("document.getElementById('kind').value.startsWith('networks')")
    page.tab.get_by_role("button", name="Render", exact=True).click()
    page.tab.wait_for_selector("#history figure")
    page.tab.wait_for_function("document.getElementById('kind').value === 'full render'")
    for name in ("photo.png", "head.glb", "parameters.json"):
        with page.tab.expect_download() as download:
            page.tab.get_by_role("button", name=name).click()
        download.value.save_as(tmp_path / name)
    record = read_provenance(tmp_path / "photo.png")
    assert record is not None
    assert "was edited" in record["statement"]
    assert set(record["edited"]) >= {"yaw", "expression.jawOpen", "expression.eyeBlinkLeft", "expression.browDownLeft"}
    edited = page.pixels()
    page.click("Reset")
    page.act(lambda: page.tab.set_input_files("#parameters-file", tmp_path / "parameters.json"))
    assert np.array_equal(page.click("go back to it"), looks[-2])  # the same parameters: nothing moves
    assert not np.array_equal(edited, looks[-2])
    page.tab.locator("#search").fill("wink")
    assert page.tab.locator(".control:visible").count() == 2
    page.close()


def test_faces_copy_personalize(browser: Any, address: str, tmp_path: Path) -> None:
    (tmp_path / "two.png").write_bytes(two_faces())
    page = Page(browser, address)
    page.open(tmp_path / "two.png")
    left = page.pixels()
    right = page.act(lambda: page.tab.get_by_role("button", name="Face 2").first.click())
    assert np.abs(left - right).mean() > 5
    page.tab.get_by_text("Copy from another photo").click()
    page.tab.set_input_files("#other-file", PHOTO)
    page.tab.wait_for_selector("#other-faces button")
    assert np.abs(page.click("Copy pose") - right).mean() > 0.5
    page.click("surprise")

    page.tab.get_by_text("More: seed").click()
    page.tab.get_by_label("Iterations of personalizing").fill("1000")
    page.tab.keyboard.press("Tab")
    page.tab.get_by_role("button", name="Personalize", exact=True).click()
    page.tab.wait_for_function("/[1-9][0-9]* of 1000, .* s left/.test(document.getElementById('work-text').textContent)")
    page.tab.get_by_role("button", name="Cancel").click()
    page.message("cancelled")
    page.tab.get_by_label("Iterations of personalizing").fill("3")
    page.tab.keyboard.press("Tab")
    page.tab.get_by_role("button", name="Personalize", exact=True).click()
    page.message("adapted to this face")
    page.close()


def test_the_light_that_was_read_stands_on_its_pad(browser: Any, address: str) -> None:
    page = Page(browser, address)
    page.open(PHOTO)
    where = (
        "(() => { const s = document.querySelector('#lamp i').style; return [parseFloat(s.left) / 50 - 1, 1 - parseFloat(s.top) / 50]; })()"
    )
    sides = """(() => { const c = document.createElement("canvas"); c.width = c.height = 110; const g = c.getContext("2d");
        g.drawImage(document.querySelector("#lamp canvas"), 0, 0); const d = g.getImageData(0, 0, 110, 110).data;
        const at = (x, y) => d[4 * (Math.round(y * c.height) * c.width + Math.round(x * c.width))]; return [at(0.2, 0.5), at(0.8, 0.5)]; })()"""
    read = page.tab.evaluate("studio.state.light")
    assert page.tab.evaluate(where) == pytest.approx(read["direction"][:2], abs=0.02)
    words = page.tab.locator("#lamp-text").inner_text()
    assert words.endswith(f"{round(100 * read['strength'])} %")
    assert page.tab.get_by_role("application", name="Light").get_attribute("aria-valuetext") == words

    def drag(x: float) -> None:
        box = page.tab.locator("#lamp").bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.tab.mouse.move(*middle)
        page.tab.mouse.down()
        page.tab.mouse.move(middle[0] + x * box["width"] / 2, middle[1])
        page.tab.mouse.up()

    page.tab.locator("#lamp").scroll_into_view_if_needed()
    left = page.act(lambda: drag(-0.8))
    dark, bright = reversed(page.tab.evaluate(sides))
    assert bright > dark + 40
    assert page.tab.locator("#lamp-text").inner_text() == "left, 40 %"
    assert page.tab.evaluate(where) == pytest.approx([-0.8, 0], abs=0.03)
    assert np.abs(page.act(lambda: drag(0.8)) - left).max() > 20
    dark, bright = page.tab.evaluate(sides)
    assert bright > dark + 40
    page.click("Reset")
    assert page.tab.evaluate(where) == pytest.approx(read["direction"][:2], abs=0.02)
    assert page.tab.locator("#lamp-text").inner_text() == words
    page.close()


def test_the_shape_has_sliders_by_name(browser: Any, address: str) -> None:
    page = Page(browser, address)
    page.open(PHOTO)
    before = page.pixels()
    read = page.tab.evaluate("studio.state.values['shape.noseWidth']")
    jaw = page.tab.evaluate("studio.state.values['shape.jawWidth']")
    shown = page.tab.locator("[data-key='shape.noseWidth']").evaluate("element => Number(element.value)")
    assert shown == pytest.approx(read, abs=0.05)
    assert np.abs(page.slide("shape.noseWidth") - before).max() > 10
    assert page.tab.evaluate("studio.state.values['shape.noseWidth']") == pytest.approx(4, abs=1e-3)
    assert page.tab.evaluate("studio.state.values['shape.jawWidth']") == pytest.approx(jaw, abs=1e-3)  # it moved alone
    page.tab.locator("#search").fill("nose")
    labels = page.tab.locator("[data-group=shape] .control:visible span").all_inner_texts()
    assert {"Nose length", "Nose width", "Nose depth", "Nose bridge"} <= set(labels)
    page.close()


def filmed(path: Path, frames: int = 4) -> Path:
    """The example photo as a film of 640x480 without sound, what Chromium's pretended camera takes."""
    picture = Image.open(PHOTO).convert("RGB")
    picture.thumbnail((480, 480))
    frame = Image.new("RGB", (640, 480), (120, 120, 120))
    frame.paste(picture, ((640 - picture.width) // 2, (480 - picture.height) // 2))
    y, cb, cr = frame.convert("YCbCr").split()
    planes = b"".join(plane.tobytes() for plane in (y, cb.reduce(2), cr.reduce(2)))
    path.write_bytes(b"YUV4MPEG2 W640 H480 F25:1 Ip A1:1 C420jpeg\n" + (b"FRAME\n" + planes) * frames)
    return path


def test_a_photo_by_webcam(chromium: Any, address: str, tmp_path: Path) -> None:
    film = filmed(tmp_path / "camera.y4m")
    camera = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", f"--use-file-for-fake-video-capture={film}")
    with contextlib.closing(chromium(*camera)) as browser:
        page = Page(browser, address)
        page.tab.get_by_role("button", name="Webcam").click()
        page.tab.wait_for_function("document.querySelector('dialog.webcam video')?.videoWidth === 640")
        page.tab.get_by_role("button", name="Close", exact=True).click()  # nothing was taken
        assert page.tab.locator("dialog.webcam").count() == 0
        page.tab.get_by_role("button", name="Webcam").click()
        page.tab.wait_for_function("document.querySelector('dialog.webcam video')?.readyState >= 2")
        page.tab.get_by_role("button", name="Take the photo").click()
        page.tab.wait_for_function("performance.getEntriesByName('photo').length > 0")
        assert page.tab.evaluate("studio.state.photo.width") == 640
        assert page.tab.locator("dialog.webcam").count() == 0  # closed, and the camera with it
        shown = page.pixels().reshape(64, 64, 4)[..., :3]
        assert shown[20:50, 20:44].std() > 20  # a face, not the camera's grey
        assert np.abs(page.slide("yaw").reshape(64, 64, 4)[..., :3] - shown).max() > 20
        page.close()


def test_a_browser_without_a_camera_says_so(browser: Any, address: str) -> None:
    page = Page(browser, address)
    page.tab.get_by_role("button", name="Webcam").click()
    page.message("the browser gives no webcam")
    page.close()


def test_a_wrong_file_is_one_sentence(browser: Any, address: str, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear studio, <img src=x onerror=alert(1)>")
    page = Page(browser, address)
    page.tab.set_input_files("#file", tmp_path / "letter.txt")
    page.message("^the photo is not a picture that can be read .*convert it to JPEG or PNG$")
    page.tab.get_by_role("button", name="Undo").click()
    page.message("^load a photo first$")
    page.close(REFUSED)


def test_keyboard_alone_on_a_phone(browser: Any, address: str) -> None:
    page = Page(browser, address, 390, 800)
    widest = "Math.max(...[...document.querySelectorAll('body *')].map(e => e.getBoundingClientRect().right))"
    assert page.tab.evaluate(widest) <= 391  # no sideways scrolling
    page.tab_to("document.activeElement.id === 'drop'")
    page.tab.keyboard.press("Enter")
    while not page.choosers:
        page.tab.wait_for_timeout(50)
    page.choosers[0].set_files(PHOTO)
    page.tab.wait_for_function("performance.getEntriesByName('photo').length > 0")
    still = page.pixels()
    page.tab.locator("#gaze").focus()
    assert np.abs(page.act(lambda: page.tab.keyboard.press("ArrowLeft")) - still).max() > 5
    page.tab_to("document.activeElement.dataset.key === 'yaw'")
    before = page.pixels()
    assert np.abs(page.act(lambda: page.tab.keyboard.press("End")) - before).mean() > 1
    assert page.tab.evaluate(widest) <= 391
    page.close()
