"""Run the example workflows in a real ComfyUI, headless, and compare what it writes with the command line's pictures:

    python scripts/check_comfyui.py COMFYUI [--python COMFYUI/venv/bin/python]

COMFYUI: a clone of https://github.com/comfyanonymous/ComfyUI. Both Pythons, ComfyUI's and the one that runs this, have this package (`pip install
'.[video]'`). Nothing is written into the clone: nodes, inputs and outputs lie in a folder for the moment. Ends with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from discontrolface.comfy import NODE_CLASS_MAPPINGS
from discontrolface.common.example import example_photo
from discontrolface.common.video import write_clip

ROOT = Path(__file__).parents[1]
FRAMES = 8
RATE = 25
PATIENCE = 600  # seconds that a workflow may take
# One thread each: with other numbers of threads sums are rounded otherwise, and pictures differ by a level here and there.
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comfyui", type=Path)
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="the Python that runs ComfyUI")
    args = parser.parse_args()
    python = args.python.absolute()  # not resolved: the link is what makes it the environment's
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        with running(args.comfyui.resolve(), python, folder) as server:
            wrong = [*compared(server, python, folder), *told(server), *cancelled(server)]
    for line in wrong:
        print(f"wrong: {line}")
    if wrong:
        sys.exit(1)
    print("ComfyUI: all well")


def write_inputs(folder: Path) -> None:
    """What the workflows read: a photo, another, a clip of it that rolls, and a picture without a face."""
    photo = Image.open(example_photo()).convert("RGB")
    (folder / "custom_nodes").mkdir()
    (folder / "custom_nodes" / "discontrolface").symlink_to(ROOT / "comfyui")
    inputs = folder / "input"
    inputs.mkdir()
    photo.save(inputs / "photo.png")
    photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(inputs / "other.png")
    Image.new("RGB", (256, 256), "white").save(inputs / "nobody.png")
    rolled = [photo.rotate(2 * index, Image.Resampling.BICUBIC) for index in range(FRAMES)]
    write_clip(inputs / "clip.mp4", (np.array(frame) for frame in rolled), Fraction(RATE), {})


class Server:
    """A ComfyUI that runs at `address`."""

    def __init__(self, address: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.address, self._process, self._log = address, process, log

    def ask(self, path: str, what: Any = None) -> Any:
        data = None if what is None else json.dumps(what).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def give_up(self, why: str) -> NoReturn:
        sys.exit(f"ComfyUI {why}:\n{self._log.read_text(errors='replace')[-3000:]}")

    def wait_for(self, what: Callable[[], Any]) -> Any:
        """What `what` returns once it is something. The process ends, with ComfyUI's log, if that does not come."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self._process.poll() is not None:
                self.give_up("ended")
            with suppress(OSError):  # it may not listen yet
                if found := what():
                    return found
            time.sleep(0.1)
        self.give_up("does not answer")

    def started(self, workflow: dict[str, Any]) -> str:
        """The number of a workflow that ComfyUI takes."""
        try:
            return str(self.ask("/prompt", {"prompt": workflow})["prompt_id"])
        except urllib.error.HTTPError as error:
            self.give_up(f"refuses the workflow ({error.read().decode()[:2000]})")

    def ended(self, number: str) -> dict[str, Any]:
        """What ComfyUI's history says of a workflow when it has ended."""
        return dict(self.wait_for(lambda: self.ask(f"/history/{number}").get(number)))

    def run(self, workflow: dict[str, Any]) -> dict[str, Any]:
        return self.ended(self.started(workflow))


@contextmanager
def running(comfyui: Path, python: Path, folder: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log.txt"
    command = [
        python,
        "main.py",
        "--cpu",
        "--port",
        port,
        "--base-directory",
        folder,
        "--disable-api-nodes",
        "--database-url",
        "sqlite:///:memory:",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen([str(word) for word in command], cwd=comfyui, env=ENVIRONMENT, stdout=output, stderr=subprocess.STDOUT)
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        nodes = server.wait_for(lambda: server.ask("/object_info"))
        missing = set(NODE_CLASS_MAPPINGS) - set(nodes)
        if missing:
            server.give_up(f"lacks {sorted(missing)}")
        version = server.ask("/system_stats")["system"]["comfyui_version"]
        print(f"ComfyUI {version}: {len(NODE_CLASS_MAPPINGS)} nodes of {len(nodes)} are ours")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def compared(server: Server, python: Path, folder: Path) -> Iterator[str]:
    """The example workflows' pictures beside the command line's."""
    workflows = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "comfyui" / "workflows").glob("*.json"))}
    workflows["animate"]["frames"] = {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "frame"}}
    photo, clip = folder / "input" / "photo.png", folder / "input" / "clip.mp4"
    asked = {
        "smile_and_turn": ("6", ["edit", photo, "--expression", "smile=0.8", "--yaw", 12]),
        "expression_of_another": ("10", ["edit", photo, "--expression-from", folder / "input" / "other.png"]),
        "animate": ("frames", ["animate", photo, "--drive", clip]),
    }
    for name, (node, command) in asked.items():
        history = server.run(workflows[name])
        if history["status"]["status_str"] != "success":
            yield f"{name}: {history['status']['messages'][-1]}"
            continue
        written = [folder / "output" / picture["filename"] for picture in history["outputs"][node]["images"]]
        result = folder / (f"{name}.png" if len(written) == 1 else name)
        target = str(result) + ("" if len(written) == 1 else os.sep)
        words = [str(word) for word in (python, "-m", "discontrolface", *command, "-o", target, "--quiet")]
        done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True)
        theirs = [result] if result.is_file() else sorted(result.glob("*.png"))
        if done.returncode or len(theirs) != len(written):
            yield f"{name}: {len(written)} pictures, of the command line {len(theirs)}; it ended with {done.returncode}: {done.stderr[-1000:]}"
            continue
        difference = max(apart(one, other) for one, other in zip(written, theirs, strict=True))
        print(f"{name}: {len(written)} pictures, at most {difference} of 255 from the command line's")
        if difference:
            yield f"{name} differs by {difference} of 255"
        again = server.run(workflows[name])
        cached = next(what["nodes"] for kind, what in again["status"]["messages"] if kind == "execution_cached")
        if set(cached) != set(workflows[name]):
            yield f"{name}: asked again, {sorted(set(workflows[name]) - set(cached))} ran a second time"


def apart(one: Path, other: Path) -> int:
    """The largest difference of two pictures, in levels; 255 if they are not of one size."""
    pictures = [np.asarray(Image.open(path).convert("RGB")).astype(int) for path in (one, other)]
    return int(np.abs(pictures[0] - pictures[1]).max()) if pictures[0].shape == pictures[1].shape else 255


def told(server: Server) -> Iterator[str]:
    """A picture without a face ends in one sentence."""
    workflow = json.loads((ROOT / "comfyui" / "workflows" / "smile_and_turn.json").read_text())
    workflow["2"]["inputs"]["image"] = "nobody.png"
    kind, what = server.run(workflow)["status"]["messages"][-1]
    print(f"without a face: {what.get('exception_message', kind).strip()}")
    if kind != "execution_error" or not what["exception_message"].startswith("no face found"):
        yield f"a picture without a face gave {kind}: {what}"


def cancelled(server: Server) -> Iterator[str]:
    """The cancel button ends a clip that runs, and what comes after it runs."""
    workflow = json.loads((ROOT / "comfyui" / "workflows" / "animate.json").read_text())
    workflow["6"]["inputs"]["seed"] = 1  # else it is cached
    number = server.started(workflow)
    server.wait_for(lambda: server.ask("/queue")["queue_running"])
    server.ask("/interrupt", {})
    kind, _ = server.ended(number)["status"]["messages"][-1]
    print(f"cancelled: {kind}")
    if kind != "execution_interrupted":
        yield f"a cancelled clip ended with {kind}"
    workflow["6"]["inputs"]["seed"] = 2
    status = server.run(workflow)["status"]["status_str"]
    if status != "success":
        yield f"after a cancelled clip: {status}"


if __name__ == "__main__":
    main()
