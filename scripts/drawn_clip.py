"""How well a portrait follows a clip whose truth is known (evaluation/drawn_clip.py). Two to four minutes on a quiet core.

python scripts/drawn_clip.py                          # 60 frames with the open preset
python scripts/drawn_clip.py --frames 12 --sheet sheet.png --start noise --steps 1
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from discontrolface.common.parallel import cores, single_thread
from discontrolface.editing.animate import sampling_of_frames
from discontrolface.editing.editor import Editor
from discontrolface.evaluation.drawn_clip import draw_clip, measure_clip


def main() -> None:
    """Draw, drive, measure, say."""
    parser = argparse.ArgumentParser(description="How well a drawn portrait follows a drawn clip.")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--preset", default="open")
    parser.add_argument("--start", default=None, help="one prediction from noise unless given")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--sheet", type=Path, default=None, help="a picture: clip, result and truth below one another")
    given = parser.parse_args()
    single_thread()
    editor = Editor.load(given.preset, cache=None)
    clip = draw_clip(given.frames, given.size, workers=cores())

    def told(what: str, done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            print(f"{what}: {done} of {total}", file=sys.stderr)

    sampling = sampling_of_frames(editor.preset.sampling).with_choices({"start": given.start, "steps": given.steps})
    figures, made = measure_clip(editor, clip, sampling, told, cores())
    print(json.dumps(figures.as_dict(), indent=1))
    if given.sheet is not None:
        chosen = range(0, given.frames, max(1, given.frames // 8))
        rows = [np.concatenate([frames[k] for k in chosen], axis=1) for frames in (clip.acted, made, clip.truth)]
        Image.fromarray(np.concatenate(rows)).save(given.sheet)


if __name__ == "__main__":
    main()
