"""Median times of finding, cropping and pasting a face of the example photo, on one core: python benchmarks/bench_landmarks.py"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from timing import median_ms

from discontrolface.editing.composite import paste_back
from discontrolface.editing.detail import down, fuse_detail
from discontrolface.face.crop import make_crop
from discontrolface.face.landmarks import FaceLandmarker

PHOTO = Path(__file__).parent.parent / "examples" / "astronaut.png"


def main() -> None:
    """Print one line per stage."""
    picture = Image.open(PHOTO).convert("RGB")
    photo = np.asarray(picture)
    large = np.asarray(picture.resize((3072, 3072), Image.Resampling.BICUBIC))
    landmarker = FaceLandmarker(num_threads=1)
    face = landmarker.detect(photo)[0]
    landmarks, landmarks_large = landmarker.landmarks(photo, face), landmarker.find_face(large)
    crop, crop_large = make_crop(photo, landmarks, 256), make_crop(large, landmarks_large, 256)
    native = crop_large.resize(crop_large.native_size)
    preview = native.image.astype(np.float32) / 255
    rows: list[tuple[str, Callable[[], object]]] = [
        ("load three models", lambda: FaceLandmarker(num_threads=1)),
        ("detect, 512 x 512", lambda: landmarker.detect(photo)),
        ("detect, 3072 x 3072", lambda: landmarker.detect(large)),
        ("landmarks, one pass, no iris", lambda: landmarker.landmarks(photo, face, passes=1, iris=False)),
        ("landmarks, two passes and both eyes", lambda: landmarker.landmarks(photo, face)),
        ("crop 256 of 512 x 512", lambda: make_crop(photo, landmarks, 256)),
        ("crop 256 of 3072 x 3072", lambda: make_crop(large, landmarks_large, 256)),
        ("paste 256 into 512 x 512", lambda: paste_back(photo, crop.image / 255, crop, np.ones((256, 256)))),
        (f"fuse detail 256 -> {native.size}", lambda: fuse_detail(down(preview, 256), preview, np.ones(preview.shape[:2]))),
        (f"paste {native.size} into 3072 x 3072", lambda: paste_back(large, preview, native, np.ones(preview.shape[:2]))),
    ]
    for name, call in rows:
        print(f"{name:40s}{median_ms(call, 10):9.1f} ms")


if __name__ == "__main__":
    main()
