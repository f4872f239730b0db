"""How a photo follows clips: a contact sheet, and whether the result trembles more than the person in the clip.

python scripts/moving_sheet.py PHOTO CLIP [CLIP ...] -o sheet.webp --every 5     # every 5th frame, clip above, photo below
python scripts/moving_sheet.py PHOTO CLIP -o docs/animate.webp --frames 8,36,50,53 --size 200

Every clip is read, drives the photo with the defaults of `animate`, and the result is read again. Printed as JSON for each clip, over the frames in
which the person in it holds still (the smoothed curve moves by less than --still-yaw degrees, --still-jaw a frame): jitter, the mean absolute second
difference of yaw in degrees and of jawOpen, of what is read of the clip, of what is asked of the photo, and of what is read of the result; the same
over those of these frames in which the lids are still too, for the landmark model answers to a blink with a turn of the whole face; and frames a
second of the animation.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discontrolface.common.parallel import cores, single_thread
from discontrolface.common.video import Frame, clip_frames, clip_info
from discontrolface.editing.animate import animate, sampling_of_frames
from discontrolface.editing.editor import Editor
from discontrolface.editing.performance import Driving, Performance, driven, filled, read_performance

Curve = NDArray[np.float64]
LIDS = "blink"
SMOOTH = 2.0  # frames, standard deviation of the Gaussian that says whether somebody moves


def curves(performance: Performance) -> dict[str, Curve]:
    """What is read, a value a frame."""
    faces = filled(performance.frames)
    return {
        "yaw": np.array([face.yaw for face in faces]),
        "jawOpen": np.array([face.blendshape("jawOpen") for face in faces]),
        LIDS: np.array([(face.blendshape("eyeBlinkLeft") + face.blendshape("eyeBlinkRight")) / 2 for face in faces]),
    }


def still(curve: Curve, most: float) -> NDArray[np.bool_]:
    """(N - 2,): where a curve moves by less than this a frame, apart from what trembles; for second differences."""
    from scipy.ndimage import gaussian_filter1d

    pace = np.abs(np.diff(gaussian_filter1d(curve, SMOOTH)))
    return np.maximum(pace[1:], pace[:-1]) < most


def jitter(curve: Curve, where: NDArray[np.bool_]) -> float | None:
    """Mean absolute second difference; None where nobody is still."""
    return round(float(np.abs(np.diff(curve, 2))[where].mean()), 4) if where.any() else None


def cell(frame: Frame, size: int) -> NDArray[np.uint8]:
    """The middle square of a frame."""
    side = min(frame.shape[:2])
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    square = Image.fromarray(frame[top : top + side, left : left + side])
    return np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))


def main() -> None:
    """Read, drive, read again, say."""
    parser = argparse.ArgumentParser(description="How a photo follows clips.")
    parser.add_argument("photo", type=Path)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the contact sheet (.webp, .png)")
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--frames", default="", help="these frames in place of every so many: 8,24,40")
    parser.add_argument("--size", type=int, default=96, help="of a cell, pixels")
    parser.add_argument("--still-yaw", type=float, default=0.15)
    parser.add_argument("--still-jaw", type=float, default=0.01)
    parser.add_argument("--still-lids", type=float, default=0.01)
    parser.add_argument("--preset", default="open")
    given = parser.parse_args()
    single_thread()
    editor = Editor.load(given.preset, cache=None)
    person = editor.read(given.photo)
    most = {"yaw": given.still_yaw, "jawOpen": given.still_jaw}
    rows, report = [], {}
    for path in given.clips:
        rate, acted = clip_info(path).rate, list(clip_frames(path))
        read = read_performance(editor.reader, acted, rate, str(path), workers=cores())
        targets = list(driven(person.parameters, read, Driving()))
        begin = time.perf_counter()
        made = list(animate(editor, person, targets, sampling_of_frames(editor.preset.sampling), workers=cores()))
        pace = len(made) / (time.perf_counter() - begin)
        again = curves(read_performance(editor.reader, made, rate, "result", workers=cores()))
        report[path.name] = {"frames": len(made), "frames_a_second": round(pace, 2)}
        acting, asked = curves(read), curves(Performance(tuple(targets), rate))
        lids = still(acting[LIDS], given.still_lids)
        for name, limit in most.items():
            where = still(acting[name], limit)
            for key, frames in ((name, where), (f"{name}, lids still", where & lids)):
                of_all = {"clip": jitter(acting[name], frames), "asked": jitter(asked[name], frames), "result": jitter(again[name], frames)}
                report[path.name][key] = {"still": int(frames.sum()), "jitter": of_all}  # type: ignore[assignment]
        print(json.dumps({path.name: report[path.name]}), file=sys.stderr)
        chosen = [int(k) for k in given.frames.split(",")] if given.frames else range(0, len(made), given.every)
        rows += [np.concatenate([cell(frames[k], given.size) for k in chosen], axis=1) for frames in (acted, made)]
    width = min(row.shape[1] for row in rows)
    Image.fromarray(np.concatenate([row[:, :width] for row in rows])).save(given.output, quality=85)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
