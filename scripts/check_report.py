"""Open a report in headless Chromium: fails on a console message and on anything that needs sideways scrolling, and takes its picture.

python scripts/check_report.py out/benchmark.html --screenshot docs/report.webp --size 1280x1600 --dark
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageChops
from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run")
# The widest place that the page, or anything in it, reaches, and the width that the window has for it.
WIDEST = """() => {
  const inner = [...document.querySelectorAll("body *")].map((e) => e.getBoundingClientRect().right);
  return [Math.ceil(Math.max(document.documentElement.scrollWidth, ...inner)), document.documentElement.clientWidth];
}"""


class Shown(NamedTuple):
    """A page as the browser shows it: what it said, how far it reaches and what room it has (pixels), its picture."""

    messages: tuple[str, ...]
    reach: int
    room: int
    picture: Image.Image


def find_browser() -> str | None:
    """The browser's program, if it is installed (Debian: apt install chromium)."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def show(browser: str, page: Path, size: tuple[int, int], dark: bool) -> Shown:
    """Open a page in a viewport of exactly that size (width, height)."""
    with sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=browser, args=list(FLAGS))
        tab = chromium.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light")
        messages: list[str] = []
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.goto(page.resolve().as_uri())
        picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
        reach, room = tab.evaluate(WIDEST)
        chromium.close()
    return Shown(tuple(messages), reach, room, picture)


def save(image: Image.Image, path: Path, colours: int | None) -> None:
    """The screenshot, without empty space below the page."""
    filled = ImageChops.difference(image, Image.new("RGB", image.size, image.getpixel((0, image.height - 1)))).getbbox()
    if filled is not None:
        image = image.crop((0, 0, image.width, min(image.height, filled[3] + 48)))
    if colours is not None:
        image = image.quantize(colours, dither=Image.Dither.NONE)
    if path.suffix == ".webp":
        image.convert("RGB").save(path, lossless=True, method=6)
    else:
        image.save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, help="the .html file")
    parser.add_argument("--screenshot", type=Path, help="write the picture there (.png, or .webp without loss) [default: nowhere]")
    parser.add_argument("--size", default="1280x1600", help="of the window, WIDTHxHEIGHT")
    parser.add_argument("--colours", type=int, help="fewer colours for a smaller file, 2 to 256")
    parser.add_argument("--dark", action="store_true", help="as on a screen that is set to dark")
    args = parser.parse_args()
    browser = find_browser()
    if browser is None:
        sys.exit(f"no browser found: install one of {', '.join(NAMES)}")
    if not args.page.is_file():
        sys.exit(f"{args.page} does not exist")
    width, height = map(int, args.size.split("x"))
    shown = show(browser, args.page, (width, height), args.dark)
    if args.screenshot is not None:
        save(shown.picture, args.screenshot, args.colours)
    if shown.messages:
        sys.exit("\n".join([f"{args.page} has console messages:", *shown.messages]))
    if shown.reach > shown.room:
        sys.exit(f"{args.page} reaches to {shown.reach} pixels, the window has {shown.room}: it needs sideways scrolling")
    print(
        f"{args.page}: no console messages, {shown.reach} of {shown.room} pixels wide" + (f", {args.screenshot}" if args.screenshot else "")
    )


if __name__ == "__main__":
    main()
