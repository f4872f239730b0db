"""The rule between frames of an edited clip: a change that flickers stands still, one that moves arrives; outside the mask is the clip."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from discontrolface.common.errors import UserError
from discontrolface.common.images import Photo
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.clip import MOVED, STILL, Change, edit_clip, steadied
from discontrolface.editing.kept import Frame, Kept

SIZE = 40
WHOLE = np.ones((SIZE, SIZE), bool)


def level(value: float) -> Change:
    return np.full((SIZE, SIZE, 3), value, np.int16)


def test_what_flickers_stays_and_what_moves_arrives() -> None:
    assert np.array_equal(steadied(None, level(20), WHOLE), level(20))
    assert np.array_equal(steadied(level(20), level(20 + STILL), WHOLE), level(20))
    assert np.array_equal(steadied(level(20), level(20 - MOVED), WHOLE), level(20 - MOVED))
    moved = level(20)
    moved[10:20, 10:20] = 90
    shown = steadied(level(20), moved, WHOLE)
    assert np.array_equal(shown[10:20, 10:20], moved[10:20, 10:20])
    assert np.array_equal(shown[30:], level(20)[30:])
    slow = level(0)
    for k in range(40):
        slow = steadied(slow, level(k), WHOLE)
        assert np.abs(slow - k).max() <= MOVED / 2


def test_outside_the_mask_nothing_is_shown() -> None:
    mask = WHOLE.copy()
    mask[:, 20:] = False
    shown = steadied(level(3), level(0) * mask[..., None], mask)
    assert not shown[:, 20:].any()
    assert (shown[:, :20] == 3).all(), "within it what was shown stays"


class Flickering:
    """An editor that makes the middle brighter, by another amount each time, and finds no face in a dark frame."""

    def __init__(self) -> None:
        self.read_frames: list[str] = []

    def read(self, photo: Photo, of_clip: bool) -> Any:
        assert of_clip, "landmarks of a clip's frames are to be steady"
        self.read_frames.append(photo.path.name)
        if photo.array.max() < 10:
            raise UserError("no face")
        return SimpleNamespace(parameters=photo.array)

    def edit(self, person: Any, target: Any, sampling: Sampling) -> Any:
        mask = np.zeros((SIZE, SIZE), bool)
        mask[8:32, 8:32] = True
        change = 30 + int(person.parameters[0, 0, 0]) % 3  # flickers with the frame's corner
        return SimpleNamespace(image=Image.fromarray(target + np.uint8(change) * mask[..., None].astype(np.uint8)), mask=mask)


def clip() -> Iterator[Frame]:
    for k in range(6):
        frame = np.random.default_rng(7).integers(60, 80, (SIZE, SIZE, 3)).astype(np.uint8)
        frame[0, 0] = k
        yield frame if k != 4 else np.zeros_like(frame)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_stopped_run_goes_on_to_the_same_frames(tmp_path: Path, workers: int) -> None:
    def run(kept: Kept | None, told: list[tuple[int, bool]] | None = None) -> Iterator[Frame]:
        progress = None if told is None else lambda done, seen: told.append((done, seen))
        return edit_clip(Flickering(), clip(), "clip", lambda face: face, Sampling(), kept, progress, workers)  # type: ignore[arg-type]

    told: list[tuple[int, bool]] = []
    whole, frames = list(run(None, told)), list(clip())
    assert told == [(k + 1, k != 4) for k in range(6)]
    assert np.array_equal(whole[4], frames[4]), "no face: as it was"
    for made, frame in zip(whole[:4], frames, strict=False):
        assert np.array_equal(made[8:32, 8:32], frame[8:32, 8:32] + 30), "the first frame's change, though each has another"
        assert np.array_equal(made[:8], frame[:8])
    kept = Kept(tmp_path / "kept")
    stopped = run(kept)
    for _ in range(3):
        next(stopped)
    stopped.close()
    again = list(run(kept))
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))
    told.clear()
    assert all(np.array_equal(a, b) for a, b in zip(whole, run(kept, told), strict=True))
    assert told == [(k + 1, k != 4) for k in range(6)], "the frame without a face is counted again, though it is kept"
    kept.path(1).write_bytes(b"damaged")
    assert all(np.array_equal(a, b) for a, b in zip(whole, run(kept), strict=True))
    assert kept.path(5).exists()


@pytest.mark.parametrize("workers", [1, 3])
def test_memory_does_not_grow_with_the_clip(tmp_path: Path, workers: int) -> None:
    """Of 300 frames, edited and kept, then taken from what is kept, only those that are worked on are held."""
    alive = most = 0

    def gone() -> None:
        nonlocal alive
        alive -= 1

    def long_clip() -> Iterator[Frame]:
        nonlocal alive, most
        for k in range(300):
            frame = np.full((SIZE, SIZE, 3), 60 + k % 20, np.uint8)
            weakref.finalize(frame, gone)
            alive, most = alive + 1, max(most, alive + 1)
            yield frame

    kept = Kept(tmp_path / "kept")
    for _ in ("made", "kept"):
        count, most = 0, 0
        for _ in edit_clip(Flickering(), long_clip(), "clip", lambda face: face, Sampling(), kept, None, workers):  # type: ignore[arg-type]
            count += 1
        assert count == 300
        assert most <= workers + 6
    gc.collect()
    assert alive <= 2
