"""What does not move stays still, what moves arrives, and a run that goes on gives the bits of one that was not stopped."""

from pathlib import Path

import numpy as np
import pytest
from helpers.networks import write_tiny_preset
from numpy.typing import NDArray

from discontrolface.common.example import example_photo
from discontrolface.common.tensors import from_network
from discontrolface.editing.animate import animate, kept_frames
from discontrolface.editing.editor import Editor
from discontrolface.editing.frame_maker import BATCH
from discontrolface.editing.kept import STATE
from discontrolface.editing.pipeline import denoise, finished, prepare
from discontrolface.editing.steady import MOVED, STILL, Steady, Steadying, newness

SIZE = 64
Frame = NDArray[np.float32]


def noise(seed: int, channels: int = 3) -> Frame:
    return np.random.default_rng(seed).uniform(-1, 1, (SIZE, SIZE, channels)).astype(np.float32)


def grey(level: float) -> Frame:
    return np.full((SIZE, SIZE, 4), level, np.float32)


def test_where_the_preview_stands_the_picture_stands_to_the_bit() -> None:
    first = noise(0)
    state = Steady().after(grey(0.5), first)
    for seed in range(1, 20):  # the networks flicker, and the preview by less than what counts
        state = state.after(grey(0.5 + (-1) ** seed * 0.9 * STILL), noise(seed))
        assert state.picture is not None
        assert np.array_equal(state.picture, first)


def test_what_changes_arrives_whole_and_where_it_is() -> None:
    first, second = noise(0), noise(1)
    preview = grey(0.5)
    preview[20:30, 20:30, 0] += MOVED + 0.05
    state = Steady().after(grey(0.5), first).after(preview, second)
    assert state.picture is not None
    assert np.array_equal(state.picture[20:30, 20:30], second[20:30, 20:30])
    far = np.ones((SIZE, SIZE), bool)
    far[12:38, 12:38] = False
    assert np.array_equal(state.picture[far], first[far])
    assert state.reference is not None
    assert np.array_equal(state.reference[20:30, 20:30], preview[20:30, 20:30])


def test_what_comes_into_sight_is_new_though_it_has_the_same_colour() -> None:
    shown = grey(0.5)
    shown[..., 3] = 1.0
    assert newness(shown, grey(0.5)).min() == 1


def test_a_slow_drift_arrives() -> None:
    """0.2 of a level a frame: never seen between two frames, it is followed all the same."""
    levels = 0.2 + np.arange(400) * 0.2 / 255
    state = Steady()
    for level in levels:
        picture = np.full((SIZE, SIZE, 3), level, np.float32)
        state = state.after(grey(float(level)), picture)
        assert state.picture is not None
        assert np.abs(state.picture - level).max() < MOVED
    assert state.picture is not None
    assert np.abs(state.picture - levels[-1]).max() < 2 * STILL


def test_a_state_is_kept_to_the_bit_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    state = Steady().after(noise(1, 4), noise(2))
    path = tmp_path / "state.npz"
    state.save(path)
    back = Steady.load(path)
    assert back.frames == 1
    for ours, kept in ((state.picture, back.picture), (state.reference, back.reference)):
        assert ours is not None
        assert kept is not None
        assert np.array_equal(ours, kept)
    whole = path.read_bytes()
    for damaged in (b"", b"nothing", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        assert Steady.load(path).frames == 0
    assert Steady.load(tmp_path / "none.npz").frames == 0
    with pytest.raises(ValueError, match="no frame"):
        Steady().save(path)


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Editor:
    return Editor.load(write_tiny_preset(tmp_path_factory.mktemp("preset")), cache=None)


def test_a_run_that_goes_on_gives_the_bits_of_one_that_was_not_stopped(editor: Editor, tmp_path: Path) -> None:
    person = editor.read(example_photo())
    targets = [person.parameters.edit(yaw=person.parameters.yaw + 0.4 * (k % 5)) for k in range(2 * BATCH + 1)]
    sampling = editor.preset.sampling
    whole = list(animate(editor, person, targets, sampling))
    kept = kept_frames(tmp_path / "out.mp4", editor, person, targets, sampling)
    frames = animate(editor, person, targets, sampling, kept)
    for _ in range(BATCH + 1):  # one frame of the second batch
        next(frames)
    frames.close()
    for k in range(len(targets)):  # killed between a batch's frames and its state: as if frames of the next batch were there already
        if not kept.path(k).exists():
            kept.write(k, np.zeros_like(whole[0]), person.photo.array)
            break
    again = list(animate(editor, person, targets, sampling, kept))
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))
    kept.path(BATCH + 1).write_bytes(b"damaged")
    assert all(np.array_equal(a, b) for a, b in zip(whole, animate(editor, person, targets, sampling, kept), strict=True))
    (kept.folder / STATE).unlink()
    assert all(np.array_equal(a, b) for a, b in zip(whole, animate(editor, person, targets, sampling, kept), strict=True))


def test_frames_that_do_not_move_differ_less(editor: Editor) -> None:
    """Two targets in turn that differ by a hair: the networks answer to it, the picture does not."""
    person = editor.read(example_photo())
    own = person.parameters
    targets = [own.edit(yaw=own.yaw + 6 + 0.001 * (k % 2)) for k in range(4)]
    edits = [prepare(person, target, editor.size, editor.networks.maps) for target in targets]
    pictures = denoise(editor.networks, edits, editor.preset.sampling)
    both = (pictures, Steadying()(edits, pictures))
    free, still = ([finished(edit, from_network(p[None]))[0] for edit, p in zip(edits, drawn, strict=True)] for drawn in both)
    assert np.abs(free[0] - free[1]).max() > 1e-6, "by themselves these frames differ"
    assert max(np.abs(still[0] - other).mean() for other in still[1:]) < np.abs(free[0] - free[1]).mean()


def test_several_batches_at_a_time_give_the_bits_of_one(editor: Editor) -> None:
    person = editor.read(example_photo())
    targets = [person.parameters.edit(yaw=person.parameters.yaw + k % 7) for k in range(3 * BATCH - 2)]
    told: list[int] = []
    one = list(animate(editor, person, targets, editor.preset.sampling))
    three = list(animate(editor, person, targets, editor.preset.sampling, progress=lambda done, total: told.append(done), workers=3))
    assert all(np.array_equal(a, b) for a, b in zip(one, three, strict=True))
    assert told == list(range(1, len(targets) + 1))
