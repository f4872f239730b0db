"""Stages beside an edit: heads, drawn portraits, and cold starts of the command line."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from discontrolface.bench.machine import Effort
from discontrolface.bench.stage import SEED, NotMeasured, Stage, Workload
from discontrolface.common.usage import process_peak
from discontrolface.synthetic.portraits import make_pair, make_scene, random_parameters, render_scene

HEADS = 64
COLD = Effort(seconds=0.0, least=3, most=3)


def head_stages(w: Workload) -> Iterator[Stage]:
    """Random heads from the head model: one, and many."""
    head, generator = w.person.geometry.head, torch.Generator().manual_seed(SEED)
    for batch in (1, HEADS):
        shape = torch.randn(batch, head.shape_count, generator=generator)
        expression = torch.rand(batch, head.expression_count, generator=generator)
        pose = 0.2 * torch.randn(batch, 5, 3, generator=generator)
        yield Stage("head model", torch.no_grad()(partial(head, shape, expression, pose)), "batch", batch)


def synthetic_stages(w: Workload) -> Iterator[Stage]:
    """Drawn portraits: each run draws another person."""
    seeds = itertools.count(1)

    def portrait(size: int) -> object:
        return render_scene(scene, random_parameters(scene, np.random.default_rng(next(seeds))), size)

    for size in (size for size in w.sizes if size <= 256):
        scene = make_scene(SEED, detail=size / 256)
        yield Stage("synthetic: scene", lambda size=size: make_scene(next(seeds), detail=size / 256), "pixels", size)  # type: ignore[misc]
        yield Stage("synthetic: portrait of it", partial(portrait, size), "pixels", size)
        yield Stage("synthetic: pair", lambda size=size: make_pair(next(seeds), size), "pixels", size)  # type: ignore[misc]


def cold_stages(w: Workload) -> Iterator[Stage]:
    """The commands as a user starts them, each in a process of its own, after a first run."""
    with tempfile.TemporaryDirectory() as folder:
        photo, out = Path(folder) / "photo.png", Path(folder) / "edited.png"
        Image.fromarray(w.photo.array).save(photo)
        preset = preset_options(w)
        commands = {
            "--help": ["--help"],
            "read PHOTO": ["read", str(photo), *preset],
            "edit PHOTO --no-personal": ["edit", str(photo), "-o", str(out), "--no-personal", "--yaw", "10", "--overwrite", *preset],
        }
        for name, arguments in commands.items():
            memory = partial(run_command, arguments, process_peak)
            yield Stage(f"cold start: {name}", partial(run_command, arguments), memory=memory, effort=COLD)


def preset_options(w: Workload) -> list[str]:
    """What a command is told to use the measured networks."""
    return ["--preset", str(w.preset), *(["--assets-dir", str(w.assets)] if w.assets else [])]


def warm_up(w: Workload, folder: Path) -> Callable[[], object]:
    """An edit of the measured photo by the command line: after it kernels are compiled and files are in the system's cache."""
    photo = folder / "warm.png"
    Image.fromarray(w.photo.array).save(photo)
    edit = ["edit", str(photo), "-o", str(folder / "warm-edited.png"), "--no-personal", "--yaw", "10", "--overwrite", *preset_options(w)]
    return partial(run_command, edit)


def run_command(arguments: Sequence[str], wait: Callable[[subprocess.Popen[bytes]], float | None] = subprocess.Popen.wait) -> float | None:
    """Run the command; what `wait` says of its process. NotMeasured if it fails."""
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen([sys.executable, "-m", "discontrolface", *arguments], stdout=log, stderr=log) as process,
    ):
        result = wait(process)
        if process.returncode:
            log.seek(0)
            said = re.sub("[─│╭╮╰╯]", " ", log.read().decode(errors="replace"))
            raise NotMeasured(f"`discontrolface {arguments[0]}` ended with {process.returncode}: {' '.join(said.split())[-300:]}")
    return result
