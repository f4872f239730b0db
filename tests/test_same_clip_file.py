"""Equal frames give equal files, whatever was in memory before: the promise of a run that was stopped and went on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("av", reason="extra `video` is not installed")

PANNING = """
import hashlib, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from PIL import Image
from discontrolface.common.example import example_photo
from discontrolface.common.video import write_clip

with Image.open(example_photo()) as photo:  # a pan: macroblocks of the right edge come from the left
    frames = [np.asarray(photo.convert("RGB").resize((104, 88), box=(40 - k, 30, 456 - 2 * k, 382 - k))) for k in range(20)]
path = Path(sys.argv[1])
write_clip(path, frames, Fraction(25), {"comment": "edited"})
print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
def test_the_file_does_not_depend_on_what_was_in_memory(ending: str, tmp_path: Path) -> None:
    """13 x 11 macroblocks, no multiple of the 8 that x264's AVX-512 code takes at once; glibc fills what is allocated with the byte it is told.

    Matroska's random number is caught by any two files.
    """
    digests = {}
    for byte in (0, 1, 64, 127):
        environment = {**os.environ, "MALLOC_PERTURB_": str(byte), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", PANNING, str(tmp_path / f"{byte}{ending}")]
        digests[byte] = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    assert len(set(digests.values())) == 1, digests
