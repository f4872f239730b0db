"""How long a preview takes: `python benchmarks/bench_preview.py [size ...]`. Milliseconds after warm-up, median and best of 20.

The photo is read once (`prepare_source`, its own line); then each edit is measured: on the clock, and in CPU time over all threads, which other
programs on the machine disturb less. From 384 pixels a preview uses two threads where it has two cores (`taskset -c 0`: one).
"""

from __future__ import annotations

import functools
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from timing import times_ms

from discontrolface.face.heads.base import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.geometry.cameras import project
from discontrolface.render.rig import PreviewRig
from discontrolface.render.source import prepare_source
from discontrolface.render.warp import View, preview_of

EDITS = {
    "smile": {"expression": {"smile": 0.8}},
    "jaw open": {"expression": {"jawOpen": 0.6}},
    "yaw 15": {"yaw": 15.0},
    "all": {"yaw": 15.0, "pitch": 5.0, "expression": {"smile": 0.5, "jawOpen": 0.4, "blink": 0.3}, "light": "left"},
}


def main(sizes: list[int]) -> None:
    """Print the reading of the photo and each edit, per size."""
    torch.set_num_threads(1)
    head = HeadModel.open()
    rig = PreviewRig.of(head)
    face = FaceParameters.default(head)

    def view(parameters: FaceParameters) -> View:
        t = parameters.tensors()
        with torch.no_grad():
            vertices = project(head(t["shape"], t["expression"], t["pose"]).vertices, t["camera"])[0]
        return View(vertices.numpy(), parameters.light, parameters.albedo)

    own = view(face)
    for size in sizes:
        photo = np.random.default_rng(0).random((size, size, 3), np.float32)
        report(size, "reading", functools.partial(prepare_source, photo, own, rig))
        source = prepare_source(photo, own, rig)
        for name, edit in EDITS.items():
            target = view(face.edit(**edit))  # type: ignore[arg-type]
            report(size, name, functools.partial(preview_of, source, target))


def report(size: int, name: str, work: Callable[[], object]) -> None:
    """Print a line."""
    wall, cpu = times_ms(work, 20), times_ms(work, 20, time.process_time)
    print(f"{size:5d} px  {name:10s} {statistics.median(wall):7.1f} ms  best {min(wall):6.1f} ms  cpu {statistics.median(cpu):6.1f} ms")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [256, 512])
