"""How long a preview takes: `python benchmarks/bench_preview.py [size ...]`. One thread; milliseconds after warm-up, median and best of 20."""

from __future__ import annotations

import functools
import statistics
import sys

import numpy as np
import torch
from timing import times_ms

from discontrolface.face.head import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.render.rig import PreviewRig
from discontrolface.render.shade import project
from discontrolface.render.warp import View, render_preview

EDITS = {
    "smile": {"expression": {"smile": 0.8}},
    "jaw open": {"expression": {"jawOpen": 0.6}},
    "yaw 15": {"yaw": 15.0},
    "all": {"yaw": 15.0, "pitch": 5.0, "expression": {"smile": 0.5, "jawOpen": 0.4, "blink": 0.3}, "light": "left"},
}


def main(sizes: list[int]) -> None:
    """Print a line per size and edit."""
    torch.set_num_threads(1)
    head = HeadModel.open()
    rig = PreviewRig.of(head)
    face = FaceParameters.default(head)

    def view(parameters: FaceParameters) -> View:
        t = parameters.tensors()
        with torch.no_grad():
            vertices = project(head(t["shape"], t["expression"], t["pose"]).vertices, t["camera"])[0]
        return View(vertices.numpy(), parameters.light, parameters.albedo)

    source = view(face)
    for size in sizes:
        photo = np.random.default_rng(0).random((size, size, 3), np.float32)
        for name, edit in EDITS.items():
            target = view(face.edit(**edit))  # type: ignore[arg-type]
            times = times_ms(functools.partial(render_preview, photo, source, target, rig), 20)
            print(f"{size:5d} px  {name:10s} {statistics.median(times):7.1f} ms  best {min(times):6.1f} ms")


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [256, 512])
