"""Figures of a running studio.

python scripts/studio_measure.py browser http://127.0.0.1:7860           # how fast the preview follows a slider, in Chromium
python scripts/studio_measure.py users http://127.0.0.1:7860 --pid PID   # twenty users for two minutes: errors, mixed-up states, memory
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shutil
import statistics
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance

from discontrolface.common.example import example_photo

PHOTO = example_photo()
KEYS = ("yaw", "expression.jawOpen", "expression.smile", "pitch", "expression.browsUp")


# ---- the browser


def measure_browser(address: str, moves: int) -> None:
    """Load the example photo three times, then drag sliders: one movement at a time, the next when its picture is on the screen."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("no Chromium found")
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1200, "height": 900})
        tab.set_default_timeout(120_000)
        begin = time.perf_counter()
        tab.goto(address)
        tab.wait_for_selector("body[data-studio=ready]")
        print(f"page ready after {time.perf_counter() - begin:.2f} s")
        for k in range(3):
            tab.set_input_files("#file", PHOTO)
            tab.wait_for_function("count => performance.getEntriesByName('photo').length > count", arg=k)
        photos = tab.evaluate("performance.getEntriesByName('photo').map(e => e.duration)")
        print("first picture after a photo:", ", ".join(f"{ms / 1000:.2f} s" for ms in photos))
        tab.wait_for_timeout(3000)  # the networks' picture of the photo itself
        script = """async ([keys, moves]) => {
          const out = [];
          for (let k = 0; k < moves; k++) {
            const slider = document.querySelector(`[data-key='${keys[Math.floor(k * keys.length / moves)]}']`);
            const share = (k * 7 % 20) / 20;
            slider.value = Number(slider.min) / 3 + share * (Number(slider.max) - Number(slider.min)) / 3;
            const seen = performance.getEntriesByName("preview").length;
            slider.dispatchEvent(new Event("input"));
            while (performance.getEntriesByName("preview").length === seen) await new Promise((r) => setTimeout(r, 2));
            out.push(performance.getEntriesByName("preview").at(-1).duration);
          }
          const server = performance.getEntriesByType("resource").filter((e) => e.name.endsWith("/preview") && e.serverTiming.length);
          return [out, server.slice(-moves).map((e) => e.serverTiming[0].duration)];
        }"""
        times, server = tab.evaluate(script, [KEYS, moves])
        browser.close()
    for name, values in (("slider to picture", times), ("of that the server", server)):
        if values:
            quantiles = statistics.quantiles(values, n=20)
            print(f"{name}: median {statistics.median(values):.0f} ms, p95 {quantiles[18]:.0f} ms, {len(values)} movements")


# ---- the users


class User(threading.Thread):
    """One scripted user. Every value that it sets is its own, so that a mixed-up state shows."""

    def __init__(self, address: str, number: int, end: float) -> None:
        super().__init__(daemon=True)
        self.address, self.number, self.end = address, number, end
        self.rng = random.Random(number)
        self.session = ""
        self.faults: list[str] = []
        self.counts = {"preview": 0, "edit": 0, "network": 0, "render": 0}
        self.previews: list[float] = []

    def call(self, method: str, path: str, body: Any = None) -> bytes:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        headers = {"X-Studio-Session": self.session, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/studio/api/{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return bytes(answer.read())

    def json(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(self.call(method, path, body))

    def run(self) -> None:
        try:
            self.work()
        except urllib.error.HTTPError as error:
            self.faults.append(f"user {self.number}: {error.code} {error.read()[:200]!r}")
        except Exception as error:
            self.faults.append(f"user {self.number}: {error!r}")

    def photo(self) -> bytes:
        """A photo of its own: the example, in its own brightness."""
        picture = ImageEnhance.Brightness(Image.open(PHOTO).convert("RGB")).enhance(0.8 + 0.02 * self.number)
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=92)
        return out.getvalue()

    def work(self) -> None:
        self.session = self.json("POST", "session", b"")["session"]
        self.json("POST", "photo", self.photo())
        while time.monotonic() < self.end:
            mine = round(-20 + 2 * self.number + self.rng.random(), 3)
            for step in range(5):
                begin = time.perf_counter()
                self.call("POST", "preview", {"controls": {"yaw": mine + step / 10}})
                self.previews.append(time.perf_counter() - begin)
                self.counts["preview"] += 1
                time.sleep(0.1)
            state = self.json("POST", "edit", {"controls": {"yaw": mine}})
            self.counts["edit"] += 1
            time.sleep(self.rng.random())
            again = self.json("GET", "state")
            for shown in (state, again):
                if abs(shown["values"]["yaw"] - mine) > 0.01:
                    self.faults.append(f"user {self.number} set yaw {mine} and sees {shown['values']['yaw']}")
            self.job("render" if self.rng.random() < 0.2 else "network", mine)

    def job(self, kind: str, mine: float) -> None:
        job = self.json("POST", "jobs", {"kind": kind})
        while job["state"] in ("waiting", "running"):
            job = self.json("GET", f"jobs/{job['job']}?wait=5")
        if job["state"] != "done":
            self.faults.append(f"user {self.number}: {kind} is {job['state']}, {job['error']}")
            return
        self.counts[kind] += 1
        if kind == "render":
            last = self.json("GET", "pictures")[-1]
            given = json.loads(self.call("GET", f"pictures/{last['id']}/parameters.json"))
            if abs(given["yaw"] - mine) > 0.01:
                self.faults.append(f"user {self.number} rendered yaw {mine} and got {given['yaw']}")


def resident(pid: int) -> float:
    """Megabytes of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


def measure_users(address: str, count: int, seconds: float, pid: int | None) -> None:
    """All at once; one more begins a fine-tuning and is gone."""
    end = time.monotonic() + seconds
    users = [User(address, k, end) for k in range(count)]
    gone = User(address, count, end)
    gone.session = gone.json("POST", "session", b"")["session"]
    gone.json("POST", "photo", gone.photo())
    gone.json("POST", "jobs", {"kind": "personalize", "iterations": 1000})
    for user in users:
        user.start()
    memory = []
    while any(user.is_alive() for user in users):
        time.sleep(1)
        if pid is not None:
            memory.append(resident(pid))
    faults = [fault for user in users for fault in user.faults]
    total = {name: sum(user.counts[name] for user in users) for name in users[0].counts}
    previews = sorted(value for user in users for value in user.previews)
    print(f"{count} users, {seconds:.0f} s:", ", ".join(f"{number} {name}" for name, number in total.items()))
    if previews:
        print(
            f"preview under this load: median {1000 * statistics.median(previews):.0f} ms, p95 {1000 * previews[int(0.95 * len(previews))]:.0f} ms"
        )
    print(f"{len(faults)} faults", *faults[:10], sep="\n  ")
    if memory:
        third = len(memory) // 3
        print(
            f"memory: {memory[0]:.0f} MB at the start, {statistics.mean(memory[third : 2 * third]):.0f} in the middle third, "
            f"{statistics.mean(memory[2 * third :]):.0f} in the last, {max(memory):.0f} at most"
        )
    sys.exit(bool(faults))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("browser", "users"))
    parser.add_argument("address", help="of a running studio")
    parser.add_argument("--moves", type=int, default=100, help="of sliders")
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--pid", type=int, help="of the server, to watch its memory")
    args = parser.parse_args()
    address = args.address.rstrip("/")
    if args.what == "browser":
        measure_browser(address, args.moves)
    else:
        measure_users(address, args.users, args.seconds, args.pid)


if __name__ == "__main__":
    main()
