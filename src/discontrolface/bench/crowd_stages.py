"""A photo of hundreds of faces: finding and editing all of them by the command line, with the memory that the process needs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from discontrolface.bench.other_stages import preset_options, run_command, warm_up
from discontrolface.bench.stage import SEED, Stage, Workload
from discontrolface.common.usage import process_peak

COLUMNS, ROWS, CELL = 20, 15, 200  # 300 faces, one a cell of so many pixels: 12 megapixels
SIZES = (26.0, 95.0)  # of faces, pixels
TILT = 25.0  # degrees, either way; every fifth face is upside down as well


def crowd_stages(w: Workload) -> Iterator[Stage]:
    """The measured photo's head, 300 times."""
    with tempfile.TemporaryDirectory() as folder:
        photo, out = Path(folder) / "crowd.png", Path(folder) / "edited.png"
        write_crowd(photo, w.photo.array, w.person.landmarks.box)
        preset = preset_options(w)
        commands = {
            "read --faces": ["read", str(photo), "--faces", *preset],
            "edit --face all": [
                "edit",
                str(photo),
                "-o",
                str(out),
                "--face",
                "all",
                "--no-personal",
                "--yaw",
                "10",
                "--overwrite",
                *preset,
            ],
        }
        warm = warm_up(w, Path(folder))
        for name, arguments in commands.items():
            yield Stage(f"{COLUMNS * ROWS} faces: {name}", warm, once=partial(run_command, arguments, process_peak))


def write_crowd(
    path: Path, picture: NDArray[np.uint8], box: tuple[float, float, float, float], columns: int = COLUMNS, rows: int = ROWS
) -> list[tuple[float, float, float]]:
    """A PNG of blotches with a picture's head (box: its face) in each cell. Returns x, y and size of each face, pixels."""
    rng = np.random.default_rng(SEED)
    coarse = rng.integers(60, 200, (3 * rows, 3 * columns, 3), dtype=np.uint8)
    canvas = Image.fromarray(coarse).resize((columns * CELL, rows * CELL), Image.Resampling.BICUBIC)
    left, top, right, bottom = box
    face, half = max(right - left, bottom - top), max(right - left, bottom - top)
    x, y = (left + right) / 2, (top + bottom) / 2
    head = Image.fromarray(picture).crop((round(x - half), round(y - half), round(x + half), round(y + half)))
    mask = Image.new("L", head.size)
    ImageDraw.Draw(mask).ellipse((head.width * 0.06, head.height * 0.04, head.width * 0.94, head.height * 0.96), fill=255)
    placed = []
    for number in range(columns * rows):
        size = float(rng.uniform(*SIZES))
        side = max(8, round(size / face * head.width))
        turn = rng.uniform(-TILT, TILT) + (180 if number % 5 == 4 else 0)
        small, hole = (part.resize((side, side), Image.Resampling.LANCZOS) for part in (head, mask.filter(ImageFilter.GaussianBlur(4))))
        small, hole = (part.rotate(turn, Image.Resampling.BICUBIC, expand=True) for part in (small, hole))
        centre = (number % columns + 0.5) * CELL, (number // columns + 0.5) * CELL
        canvas.paste(small, (round(centre[0] - small.width / 2), round(centre[1] - small.height / 2)), hole)
        placed.append((*centre, size))
    canvas.save(path)
    return placed
