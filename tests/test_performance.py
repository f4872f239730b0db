"""What a clip's face makes another face do: closed forms on known curves; a stopped animation goes on where it was."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.networks import write_tiny_preset
from typer.testing import CliRunner

from discontrolface.cli.app import app
from discontrolface.common.errors import UserError
from discontrolface.common.example import example_photo
from discontrolface.editing import animate as moving
from discontrolface.editing.animate import animate, kept_frames
from discontrolface.editing.editor import Editor
from discontrolface.editing.performance import Driving, Performance, driven, load_performance, save_performance
from discontrolface.face.heads.registry import find_head
from discontrolface.face.parameters import FaceParameters

RATE = Fraction(25)
RAW = {"smoothing": 0.0}


@pytest.fixture(scope="module")
def face() -> FaceParameters:
    return FaceParameters.default(find_head("open").geometry().head)


@pytest.fixture(scope="module")
def performer(face: FaceParameters) -> Performance:
    """A turn from 5 to 29 degrees with a mouth that opens, the eyes following."""
    frames = [face.edit(yaw=5 + k, pitch=0.2 * k, expression={"jawOpen": 0.02 * k}, gaze=(0.5 * k, 0)) for k in range(25)]
    return Performance(tuple(frames), RATE)


def test_changes_are_added_to_the_face_that_is_there(face: FaceParameters, performer: Performance) -> None:
    own = face.edit(yaw=-10, expression={"smile": 0.3})
    out = list(driven(own, performer, Driving(**RAW)))
    start = min(range(25), key=lambda k: abs(out[k].yaw + 10))  # the performer's neutral frame
    for k in (0, 12, 24):
        assert out[k].yaw == pytest.approx(-10 + (k - start), abs=0.3)
        assert out[k].blendshape("mouthSmileLeft") == pytest.approx(0.3, abs=1e-6)
        assert out[k].blendshape("jawOpen") == pytest.approx(max(0, 0.02 * (k - 2.4)), abs=1e-5)  # a tenth of 24 frames on the way
        assert out[k].gaze[0] == pytest.approx(0.5 * (k - start), abs=0.1)
        assert np.array_equal(out[k].shape, own.shape)
        assert np.array_equal(out[k].camera, own.camera)
    half = list(driven(own, performer, Driving(multiplier=0.5, **RAW)))
    assert half[24].yaw - half[0].yaw == pytest.approx(12, abs=0.3)


def test_a_talker_whose_calmest_frame_has_an_open_mouth(face: FaceParameters) -> None:
    """Lips pressed between words weigh more than the mouth that is open in them: the mouth still opens by all that it opened."""
    words, pauses = {"jawOpen": 0.35}, {"mouthPressLeft": 0.3, "mouthPressRight": 0.3}
    frames = [face.edit(expression=words if k % 10 < 6 else pauses) for k in range(40)]
    out = list(driven(face, Performance(tuple(frames), RATE), Driving(**RAW)))
    for k, frame in enumerate(out):
        assert frame.blendshape("jawOpen") == pytest.approx(0.35 if k % 10 < 6 else 0, abs=1e-5)
        assert frame.blendshape("mouthPressLeft") == pytest.approx(0 if k % 10 < 6 else 0.3, abs=1e-5)


def test_absolute_takes_the_performers_values(face: FaceParameters, performer: Performance) -> None:
    out = list(driven(face.edit(yaw=-10, expression={"smile": 0.3}), performer, Driving(relative=False, **RAW)))
    for k, frame in enumerate(performer.frames):
        assert frame is not None
        assert out[k].yaw == pytest.approx(frame.yaw, abs=1e-3)
        assert np.allclose(out[k].expression, frame.expression, atol=1e-6)


def test_only_the_chosen_parts_move(face: FaceParameters, performer: Performance) -> None:
    for part in ("expression", "pose", "gaze"):
        out = list(driven(face, performer, Driving(parts=(part,), **RAW)))
        moved = {
            "expression": out[24].blendshape("jawOpen") > 0.1,
            "pose": abs(out[24].yaw - out[0].yaw) > 5,
            "gaze": abs(out[24].gaze[0] - out[0].gaze[0]) > 3,
        }
        assert moved == {name: name == part for name in moved}


def test_no_multiplier_is_the_face_itself(face: FaceParameters, performer: Performance) -> None:
    own = face.edit(yaw=7, expression={"smile": 0.4})
    for out in driven(own, performer, Driving(multiplier=0.0)):
        assert out.yaw == pytest.approx(7, abs=1e-4)
        assert np.allclose(out.expression, own.expression, atol=1e-6)


def test_smoothing_shifts_nothing_and_stills_a_tremor(face: FaceParameters) -> None:
    rng = np.random.default_rng(0)
    tremor = rng.normal(0, 1.5, 50)
    shaky = Performance(tuple(face.edit(yaw=0.5 * k + tremor[k]) for k in range(50)), RATE)
    raw, smooth = ([p.yaw for p in driven(face, shaky, Driving(relative=False, smoothing=s))] for s in (0.0, 0.12))
    middle = slice(12, 38)
    line = 0.5 * np.arange(50)
    assert np.std(np.array(smooth)[middle] - line[middle]) < 0.5 * np.std(np.array(raw)[middle] - line[middle])
    assert np.mean(np.array(smooth)[middle] - line[middle]) == pytest.approx(np.mean(tremor[middle]), abs=0.3)


def test_frames_without_a_face_lie_between_their_neighbours(face: FaceParameters) -> None:
    ends = face.edit(yaw=3), face.edit(yaw=9, expression={"jawOpen": 0.6}, gaze=(12, 0))
    out = list(driven(face, Performance((None, ends[0], None, None, ends[1], None), RATE), Driving(relative=False, **RAW)))
    assert [round(p.yaw, 1) for p in out] == [3, 3, 5, 7, 9, 9], "no jump in the middle of the gap"
    assert [round(p.blendshape("jawOpen"), 3) for p in out] == [0, 0, 0.2, 0.4, 0.6, 0.6]
    assert [round(p.gaze[0]) for p in out] == [0, 0, 4, 8, 12, 12]
    with pytest.raises(UserError, match="no face was found"):
        Performance((None, None), RATE)


def test_angles_stay_within_what_an_edit_may(face: FaceParameters, performer: Performance) -> None:
    out = list(driven(face.edit(yaw=50), performer, Driving(multiplier=2.0, **RAW)))
    assert max(p.yaw for p in out) <= 60.01


def test_a_file_holds_a_performance_exactly(performer: Performance, tmp_path: Path) -> None:
    gaps = Performance((None, *performer.frames), Fraction(30000, 1001))
    save_performance(gaps, tmp_path / "p.jsonl")
    back = load_performance(tmp_path / "p.jsonl")
    assert back.rate == gaps.rate
    assert back.frames == gaps.frames
    (tmp_path / "bad.jsonl").write_text('{"parameters": null}\nnothing\n')
    with pytest.raises(UserError, match=r"bad\.jsonl, line 2"):
        load_performance(tmp_path / "bad.jsonl")


@pytest.mark.parametrize("wrong", [{"parts": ("hair",)}, {"parts": ()}, {"multiplier": 3.0}, {"smoothing": -1.0}])
def test_wrong_choices_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError):
        Driving(**wrong)  # type: ignore[arg-type]


PHOTO = example_photo()


def test_a_stopped_animation_goes_on_where_it_was(performer: Performance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_preset(tmp_path / "preset")
    editor = Editor.load(tmp_path / "preset", cache=None)
    person = editor.read(PHOTO)
    targets = list(driven(person.parameters, performer, Driving()))[:10]
    asked: list[int] = []
    usual = moving.denoise

    def counted(networks, edits, sampling):  # type: ignore[no-untyped-def]
        asked.append(len(edits))
        return usual(networks, edits, sampling)

    monkeypatch.setattr(moving, "denoise", counted)
    sampling = editor.preset.sampling
    kept = kept_frames(tmp_path / "out.mp4", editor, person, targets, sampling)
    frames = animate(editor, person, targets, sampling, kept)
    first = [next(frames) for _ in range(3)]
    frames.close()
    kept.path(2).write_bytes(b"cut off")
    asked.clear()
    whole = list(animate(editor, person, targets, sampling, kept))
    assert asked == [8, 2], "the frames before a damaged one are made again: the state between frames follows from them"
    assert all(np.array_equal(a, b) for a, b in zip(first, whole, strict=False))
    asked.clear()
    assert all(np.array_equal(a, b) for a, b in zip(whole, animate(editor, person, targets, sampling, kept), strict=True))
    assert not asked, "all are kept"
    outside = ~editor.edit(person, targets[0], sampling=sampling).mask
    assert np.array_equal(whole[0][outside], person.photo.array[outside])
    other = kept_frames(tmp_path / "out.mp4", editor, person, targets[:5], sampling)
    assert other.folder != kept.folder, "another plan has another folder"
    kept.remove()
    assert not kept.folder.exists()


def test_the_command(performer: Performance, tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="extra `video` is not installed")
    write_tiny_preset(tmp_path / "preset")
    save_performance(Performance(performer.frames[::8], RATE), tmp_path / "p.jsonl")
    common = ["animate", str(PHOTO), "--preset", str(tmp_path / "preset"), "--drive", str(tmp_path / "p.jsonl"), "-q"]
    done = CliRunner().invoke(app, [*common, "-o", str(tmp_path / "out.mp4")])
    assert done.exit_code == 0, done.output
    with av.open(str(tmp_path / "out.mp4")) as clip:
        assert sum(1 for _ in clip.decode(video=0)) == 4
        assert "edited" in clip.metadata["comment"]
    assert not list(tmp_path.glob(".*frames"))
    for wrong, said in (
        (["-o", str(tmp_path / "out.mp4")], "exists"),
        (["-o", str(tmp_path / "out.txt")], "does not end in"),
        (["-o", str(tmp_path / "x.mp4"), "--parts", "hair"], "hair"),
    ):
        done = CliRunner().invoke(app, [*common, *wrong])
        assert done.exit_code == 2
        assert said in done.output


def test_a_clip_is_edited_and_read(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="extra `video` is not installed")
    from PIL import Image

    from discontrolface.common.video import clip_frames, clip_info, write_clip

    write_tiny_preset(tmp_path / "preset")
    with Image.open(PHOTO) as photo:
        face = np.asarray(photo.convert("RGB").crop((90, 0, 370, 280)))
    empty = np.full_like(face, 90)
    write_clip(tmp_path / "clip.mp4", [face, face, empty], RATE, {})
    common = [str(tmp_path / "clip.mp4"), "--preset", str(tmp_path / "preset")]
    done = CliRunner().invoke(app, ["read", *common, "-o", str(tmp_path / "p.jsonl")])
    assert done.exit_code == 0, done.output
    assert "2 of 3 frames" in done.output
    assert [face is None for face in load_performance(tmp_path / "p.jsonl").frames] == [False, False, True]
    edited = ["edit", *common, "-q", "--yaw", "14"]
    done = CliRunner().invoke(app, [*edited, "-o", str(tmp_path / "out.mp4")])
    assert done.exit_code == 0, done.output
    assert "no face found in 1 frame" in done.output
    before, after = list(clip_frames(tmp_path / "clip.mp4")), list(clip_frames(tmp_path / "out.mp4"))
    assert clip_info(tmp_path / "out.mp4").rate == RATE
    change = [np.abs(a.astype(float) - b).mean() for a, b in zip(before, after, strict=True)]
    assert min(change[:2]) > 3 * max(change[2], 0.3), "two frames are turned, the empty one is only encoded again"
    assert not list(tmp_path.glob(".*frames"))
    for wrong, said in (
        (["--sheet", "s.png"], "--sheet"),
        (["--face", "1"], "--face"),
        (["--expression-from", str(PHOTO)], "--expression-from"),
    ):
        done = CliRunner().invoke(app, [*edited, "-o", str(tmp_path / "x.mp4"), *wrong])
        assert done.exit_code == 2, wrong
        assert said in done.output
