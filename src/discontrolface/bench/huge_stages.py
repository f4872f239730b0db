"""A photo of 200 megapixels, as phones take them: reading and editing it by the command line, with the memory that the process needs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.bench.other_stages import preset_options, run_command, warm_up
from discontrolface.bench.stage import SEED, Stage, Workload
from discontrolface.common.encoding import write_jpeg
from discontrolface.common.usage import process_peak

WIDTH, HEIGHT = 16_320, 12_240
SUBJECT = 9_000  # pixels a side of the photo in the middle
GRAIN = 509  # pixels of the tile of grain around it


def huge_stages(w: Workload) -> Iterator[Stage]:
    """The measured photo, enlarged, in the middle of a grainy wall."""
    with tempfile.TemporaryDirectory() as folder:
        photo, out = Path(folder) / "photo.jpg", Path(folder) / "edited.jpg"
        write_huge(photo, w.photo.array)
        preset = preset_options(w)
        commands = {
            "read": ["read", str(photo), *preset],
            "edit": ["edit", str(photo), "-o", str(out), "--no-personal", "--yaw", "10", "--overwrite", *preset],
        }
        warm = warm_up(w, Path(folder))
        for name, arguments in commands.items():
            yield Stage(f"200 megapixels: {name}", warm, "pixels", WIDTH, once=partial(run_command, arguments, process_peak))


def write_huge(path: Path, picture: NDArray[np.uint8], width: int = WIDTH, height: int = HEIGHT, subject: int = SUBJECT) -> None:
    """A JPEG with a picture (H, W, 3) in its middle, `subject` pixels high, and a wall of its mean colour around."""
    large = np.asarray(Image.fromarray(picture).resize((subject * picture.shape[1] // picture.shape[0], subject), Image.Resampling.BICUBIC))
    top, left = (height - large.shape[0]) // 2, (width - large.shape[1]) // 2
    grain = np.random.default_rng(SEED).normal(0, 3, (GRAIN, GRAIN, 3))
    wall = np.clip(np.rint(picture.reshape(-1, 3).mean(0) + grain), 0, 255).astype(np.uint8)
    across = np.arange(width) % GRAIN

    def rows(first: int, last: int) -> NDArray[np.uint8]:
        strip = wall[np.arange(first, last) % GRAIN][:, across]
        begin, end = max(first, top), min(last, top + large.shape[0])
        if begin < end:
            strip[begin - first : end - first, left : left + large.shape[1]] = large[begin - top : end - top]
        return strip

    with path.open("wb") as file:
        write_jpeg(file, rows, width, height, {"quality": 92, "subsampling": 0})
