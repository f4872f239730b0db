"""Pictures of every state of the studio's page, for docs/studio/: start `discontrolface studio`, then

python scripts/studio_pictures.py http://127.0.0.1:7860 docs/studio
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from discontrolface.common.example import example_photo

PHOTO = example_photo()
NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDTH = 900  # pixels of a written picture
READY = "() => !studio.sending && !studio.stage.drawing"


def shoot(tab: Page, path: Path) -> None:
    """The window as it is, as a small WebP."""
    image = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    image.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
    image.save(path, quality=62, method=6)
    print(path, f"{path.stat().st_size / 1000:.0f} kB")


def slide(tab: Page, key: str, value: float) -> None:
    """Move a slider as a mouse would: its events, in order."""
    tab.evaluate(
        """([key, value]) => { const s = document.querySelector(`[data-key='${key}']`); s.closest("details").open = true;
        s.value = value; s.dispatchEvent(new Event("input")); s.dispatchEvent(new Event("change")); }""",
        [key, value],
    )
    tab.wait_for_timeout(100)
    tab.wait_for_function(READY)


def two_faces(folder: Path) -> Path:
    """The example photo and its mirror image."""
    photo = Image.open(PHOTO).convert("RGB").crop((60, 0, 420, 300))
    both = Image.new("RGB", (640, 320), (120, 120, 120))
    both.paste(photo, (0, 10))
    both.paste(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((264, 220)), (370, 50))
    both.save(folder / "two.png")
    return folder / "two.png"


def tour(browser: Any, address: str, out: Path, scratch: Path) -> None:
    """All states in a window of a desktop, then the phone."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    tab.set_default_timeout(180_000)
    tab.goto(address)
    tab.wait_for_selector("body[data-studio=ready]")
    shoot(tab, out / "1-start.webp")
    (scratch / "letter.txt").write_text("Dear studio")
    tab.set_input_files("#file", scratch / "letter.txt")
    tab.wait_for_function("document.getElementById('message').textContent.includes('not a picture')")
    shoot(tab, out / "2-wrong-file.webp")
    tab.set_input_files("#file", PHOTO)
    tab.wait_for_function("performance.getEntriesByName('photo').length > 0")
    shoot(tab, out / "3-read.webp")
    slide(tab, "yaw", 12)
    slide(tab, "expression.jawOpen", 0.5)
    shoot(tab, out / "4-preview.webp")
    tab.wait_for_function("document.getElementById('kind').value.startsWith('networks')")
    shoot(tab, out / "5-networks.webp")
    tab.evaluate("() => { const w = document.getElementById('wipe'); w.value = 50; w.dispatchEvent(new Event('input')); }")
    shoot(tab, out / "6-before-after.webp")
    tab.evaluate("() => { const w = document.getElementById('wipe'); w.value = 0; w.dispatchEvent(new Event('input')); }")
    for layer in ("mesh", "normals"):
        tab.locator(f"[name=layer][value={layer}]").check()
        tab.wait_for_timeout(300)
        tab.wait_for_function(READY)
        shoot(tab, out / f"7-{layer}.webp")
    tab.locator("[name=layer][value=picture]").check()
    measures_and_light(tab, out)
    tab.get_by_role("button", name="Render", exact=True).click()
    tab.wait_for_selector("#history figure")
    tab.wait_for_function("document.getElementById('kind').value === 'full render'")
    tab.locator("#history").scroll_into_view_if_needed()
    shoot(tab, out / "8-history.webp")
    tab.get_by_role("button", name="Personalize", exact=True).click()
    tab.wait_for_function("/[1-9][0-9]* of .* s left/.test(document.getElementById('work-text').textContent)")
    tab.locator("#stage").scroll_into_view_if_needed()
    tab.locator("#work").scroll_into_view_if_needed()
    shoot(tab, out / "9-personalize.webp")
    tab.get_by_role("button", name="Cancel").click()
    tab.wait_for_selector("#work", state="hidden")
    tab.set_input_files("#file", two_faces(scratch))
    tab.wait_for_selector("#faces button")
    tab.wait_for_function("document.getElementById('message').textContent !== 'reading the photo ...'")
    tab.get_by_role("button", name="Face 2").first.click()
    tab.wait_for_timeout(1500)
    tab.wait_for_function(READY)
    tab.evaluate("() => scrollTo(0, 0)")
    shoot(tab, out / "10-faces.webp")
    tab.get_by_text("Copy from another photo").click()
    tab.set_input_files("#other-file", PHOTO)
    tab.wait_for_selector("#other-faces button")
    tab.locator("#parts").scroll_into_view_if_needed()
    shoot(tab, out / "11-copy.webp")
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from helpers.not_live import cartoon

    cartoon(0).save(scratch / "cartoon.png")
    tab.set_input_files("#file", scratch / "cartoon.png")
    tab.wait_for_function("document.getElementById('message').textContent.includes('not to be trusted')")
    tab.wait_for_timeout(1500)
    tab.wait_for_function(READY)
    tab.evaluate("() => scrollTo(0, 0)")
    shoot(tab, out / "16-not-trusted.webp")
    tab.close()
    phone = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    phone.set_default_timeout(180_000)
    phone.goto(address + "?__theme=dark")
    phone.wait_for_selector("body[data-studio=ready]")
    phone.set_input_files("#file", PHOTO)
    phone.wait_for_function("performance.getEntriesByName('photo').length > 0")
    shoot(phone, out / "12-phone.webp")
    phone.close()


def measures_and_light(tab: Page, out: Path) -> None:
    """The sliders of the shape by name, and the lamp where a user drags it; then back to the edit before."""
    tab.evaluate("() => document.querySelectorAll('#panel details').forEach((box) => { box.open = false; })")
    for key, value in (("shape.jawWidth", 2), ("shape.noseLength", -1.5), ("shape.eyeHeight", 1.5)):
        slide(tab, key, value)
    tab.locator("[data-key='shape.jawWidth']").scroll_into_view_if_needed()
    shoot(tab, out / "13-shape.webp")
    pad = tab.locator("#lamp").bounding_box()
    assert pad is not None
    tab.mouse.move(pad["x"] + pad["width"] / 2, pad["y"] + pad["height"] / 2)
    tab.mouse.down()
    tab.mouse.move(pad["x"] + pad["width"] * 0.1, pad["y"] + pad["height"] * 0.4)
    tab.mouse.up()
    tab.wait_for_timeout(500)
    tab.wait_for_function(READY)
    shoot(tab, out / "14-light.webp")
    for _ in range(4):
        tab.get_by_role("button", name="Undo").click()
        tab.wait_for_timeout(300)
        tab.wait_for_function(READY)


def camera_film(folder: Path) -> Path:
    """The example photo as a film, which Chromium takes for a camera."""
    picture = Image.open(PHOTO).convert("RGB")
    picture.thumbnail((480, 480))
    frame = Image.new("RGB", (640, 480), (120, 120, 120))
    frame.paste(picture, ((640 - picture.width) // 2, 0))
    y, cb, cr = frame.convert("YCbCr").split()
    planes = b"".join(plane.tobytes() for plane in (y, cb.reduce(2), cr.reduce(2)))
    (folder / "camera.y4m").write_bytes(b"YUV4MPEG2 W640 H480 F25:1 Ip A1:1 C420jpeg\n" + (b"FRAME\n" + planes) * 4)
    return folder / "camera.y4m"


def webcam(browser: Any, address: str, out: Path) -> None:
    """The camera's dialog."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    tab.goto(address)
    tab.wait_for_selector("body[data-studio=ready]")
    tab.get_by_role("button", name="Webcam").click()
    tab.wait_for_function("document.querySelector('dialog.webcam video')?.readyState >= 2")
    shoot(tab, out / "15-webcam.webp")
    tab.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="of a running studio")
    parser.add_argument("out", type=Path, help="folder of the pictures")
    args = parser.parse_args()
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        sys.exit(f"no browser found: install one of {', '.join(NAMES)}")
    args.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as p, tempfile.TemporaryDirectory() as scratch:
        browser = p.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        tour(browser, args.address, args.out, Path(scratch))
        browser.close()
        film = camera_film(Path(scratch))
        camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
        browser = p.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu", *camera])
        webcam(browser, args.address, args.out)
        browser.close()


if __name__ == "__main__":
    main()
