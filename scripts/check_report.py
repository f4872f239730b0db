"""Open a report in headless Chromium: fails on a console message and on anything that needs sideways scrolling, and takes its picture.

python scripts/check_report.py out/benchmark.html --screenshot docs/report.webp --size 1280x1600 --dark
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--v=0"),
)
# Added to a copy of the page, whose own policy allows no script: the widest place that the page, or anything in it, reaches.
PROBE = """<script>addEventListener("load", () => {
  const inner = [...document.querySelectorAll("body *")].map((e) => e.getBoundingClientRect().right);
  const width = Math.max(document.documentElement.scrollWidth, ...inner);
  document.body.innerHTML = `<output>widest ${Math.ceil(width)} of ${document.documentElement.clientWidth}</output>`;
})</script>"""


def find_browser() -> str | None:
    """The browser's program, if it is installed (Debian: apt install chromium)."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def run_browser(browser: str, page: Path, size: tuple[int, int], *flags: str) -> subprocess.CompletedProcess[str]:
    """Open a page in a window of that size, with a profile of its own."""
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *FLAGS, *flags, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", page.resolve().as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def console_messages(log: str) -> list[str]:
    """What the page said: lines like [..:INFO:CONSOLE(1)] "Refused to load ...". Chromium's own remarks do not count."""
    return [line for line in log.splitlines() if re.search(r"[:\]]CONSOLE[:(]", line)]


def open_page(browser: str, page: Path, screenshot: Path, size: tuple[int, int], dark: bool) -> list[str]:
    """Show the page once, write the screenshot, return its console messages."""
    scheme = ["--blink-settings=preferredColorScheme=0", "--force-dark-mode"] if dark else []
    done = run_browser(browser, page, size, "--hide-scrollbars", *scheme, f"--screenshot={screenshot.resolve()}")
    if done.returncode or not screenshot.is_file():
        sys.exit(f"{browser} made no picture of {page}:\n{done.stderr}")
    return console_messages(done.stderr)


def widest(browser: str, page: Path, size: tuple[int, int]) -> tuple[int, int]:
    """(the right end of what reaches furthest, the width that the window has for the page), pixels."""
    text = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "page.html"
        copy.write_text(re.sub(r"<meta http-equiv[^>]*>", "", text).replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
        done = run_browser(browser, copy, size, "--dump-dom")
    found = re.search(r"widest (\d+) of (\d+)", done.stdout)
    if found is None:
        sys.exit(f"{browser} did not measure {page}:\n{done.stderr}")
    return int(found[1]), int(found[2])


def save(picture: Path, path: Path, colours: int | None) -> None:
    """The screenshot, without empty space below the page."""
    image = Image.open(picture).convert("RGB")
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
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "page.png"
        messages = open_page(browser, args.page, picture, (width, height), args.dark)
        if args.screenshot is not None:
            save(picture, args.screenshot, args.colours)
    if messages:
        sys.exit("\n".join([f"{args.page} has console messages:", *messages]))
    reach, room = widest(browser, args.page, (width, height))
    if reach > room:
        sys.exit(f"{args.page} reaches to {reach} pixels, the window has {room}: it needs sideways scrolling")
    print(f"{args.page}: no console messages, {reach} of {room} pixels wide" + (f", {args.screenshot}" if args.screenshot else ""))


if __name__ == "__main__":
    main()
