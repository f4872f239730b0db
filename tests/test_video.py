"""Clips in and out: the pictures, the rate and the sound that went in come out; what is no clip is refused in a sentence."""

import gc
import struct
from fractions import Fraction
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from discontrolface.common.deinterlacing import deinterlaced
from discontrolface.common.errors import UserError
from discontrolface.common.video import at_even_times, check_length, clip_frames, clip_info, is_clip, write_clip

av = pytest.importorskip("av", reason="extra `video` is not installed")
RATE = Fraction(25)


def picture(k: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A smooth ramp that moves."""
    x = (np.arange(width) + 3 * k) % width / width
    out = np.stack([np.broadcast_to(x, (height, width)), np.full((height, width), k / 12), np.broadcast_to(x[::-1], (height, width))], -1)
    return (out * 200 + 20).astype(np.uint8)


def with_sound(path: Path, seconds: float = 1.0, tone: float = 440.0) -> Path:
    """A clip whose sound is a tone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=48_000)
        audio.codec_context.layout = "mono"
        for k in range(round(25 * seconds)):
            for packet in video.encode(av.VideoFrame.from_ndarray(picture(k), format="rgb24")):
                container.mux(packet)
        wave = np.sin(2 * np.pi * tone * np.arange(round(48_000 * seconds)) / 48_000).astype(np.float32) * 0.5
        for first in range(0, len(wave) - 1023, 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, first : first + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, first, Fraction(1, 48_000)
            for packet in audio.encode(frame):
                container.mux(packet)
        for stream in (video, audio):
            for packet in stream.encode():
                container.mux(packet)
    return path


def strongest_tone(path: Path) -> float:
    """Hertz."""
    with av.open(str(path)) as container:
        parts = [frame.to_ndarray()[0] for frame in container.decode(container.streams.audio[0])]
    wave = np.concatenate(parts).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    return float(spectrum.argmax() * 48_000 / len(wave))


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".mkv"])
def test_frames_and_rate_come_back(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip{ending}"
    write_clip(path, (picture(k) for k in range(12)), RATE, {"comment": "edited"})
    info = clip_info(path)
    assert info.rate == RATE
    assert info.size == (64, 48)
    assert not info.sound
    frames = list(clip_frames(path))
    assert len(frames) == 12
    for k, frame in enumerate(frames):
        assert np.abs(frame.astype(float) - picture(k)).mean() < 6, "4:2:0 and a lossy codec"
    with av.open(str(path)) as container:
        assert {key.lower(): value for key, value in container.metadata.items()}["comment"] == "edited"


def test_an_odd_side_is_padded_by_a_pixel(tmp_path: Path) -> None:
    write_clip(tmp_path / "odd.mp4", (picture(k, 63, 47) for k in range(3)), RATE, {})
    assert clip_info(tmp_path / "odd.mp4").size == (64, 48)


def test_the_sound_of_another_clip_goes_in_and_ends_with_the_pictures(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "source.mp4", 2.0)
    for ending in (".mp4", ".webm"):
        path = tmp_path / f"out{ending}"
        write_clip(path, (picture(k) for k in range(25)), RATE, {}, source)
        assert clip_info(path).sound
        assert strongest_tone(path) == pytest.approx(440, abs=3)
        assert clip_info(path).seconds == pytest.approx(1, abs=0.15)


def test_a_gif_moves(tmp_path: Path) -> None:
    write_clip(tmp_path / "out.gif", (picture(k) for k in range(5)), RATE, {"comment": "edited"})
    with Image.open(tmp_path / "out.gif") as image:
        assert image.n_frames == 5
        assert image.info["duration"] == 40
        assert b"edited" in image.info["comment"]


@pytest.mark.parametrize(("rate", "frames", "lasting"), [(30, 6, [30, 40, 30, 30, 40, 30]), (60, 6, [20, 30, 20, 30]), (10, 3, [100] * 3)])
def test_a_gif_plays_at_the_clips_speed(rate: int, frames: int, lasting: list[int], tmp_path: Path) -> None:
    """A GIF's times are whole hundredths, and below two of them players slow it down: 60 a second lose frames, not time."""
    write_clip(tmp_path / "out.gif", (picture(k) for k in range(frames)), Fraction(rate), {})
    with Image.open(tmp_path / "out.gif") as image:
        shown = [image.info["duration"] for k in range(image.n_frames) if image.seek(k) is None]
    assert shown == lasting


def test_a_gif_that_moves_is_a_clip(tmp_path: Path) -> None:
    write_clip(tmp_path / "moves.gif", (picture(k) for k in range(5)), RATE, {})
    write_clip(tmp_path / "still.gif", [picture(0)], RATE, {})
    (tmp_path / "text.gif").write_text("no picture")
    assert is_clip(tmp_path / "moves.gif")
    assert not any(is_clip(tmp_path / name) for name in ("still.gif", "text.gif", "none.gif"))
    frames = list(clip_frames(tmp_path / "moves.gif"))
    assert len(frames) == 5
    assert clip_info(tmp_path / "moves.gif").rate == RATE
    assert np.abs(frames[3].astype(float) - picture(3)).mean() < 8


def test_sound_keeps_its_place_where_the_pictures_do_not_begin_at_zero(tmp_path: Path) -> None:
    """A recording from the middle of a broadcast: both streams begin at an hour; the sound begins 0.2 s after the pictures."""
    source, shifted = with_sound(tmp_path / "source.mp4", 1.0), tmp_path / "shifted.ts"
    with av.open(str(source)) as old, av.open(str(shifted), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                later = round((3600 + 0.2 * (packet.stream.type == "audio")) / packet.time_base)
                packet.pts, packet.dts = packet.pts + later, packet.dts + later
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    write_clip(tmp_path / "out.mp4", clip_frames(shifted), RATE, {}, shifted)

    def begins(path: Path, kind: str) -> float:
        with av.open(str(path)) as clip:
            return float(next(clip.decode(**{kind: 0})).time)

    before = begins(shifted, "audio") - begins(shifted, "video")
    assert begins(shifted, "video") > 3000
    assert before == pytest.approx(0.2, abs=0.03)
    assert begins(tmp_path / "out.mp4", "audio") - begins(tmp_path / "out.mp4", "video") == pytest.approx(before, abs=0.03)
    assert strongest_tone(tmp_path / "out.mp4") == pytest.approx(440, abs=3)
    assert clip_info(tmp_path / "out.mp4").seconds == pytest.approx(1, abs=0.1)


def test_a_browsers_recording_has_the_rate_of_its_frames(tmp_path: Path) -> None:
    """WebM as browsers write it: no length, 1000 frames a second by the header, uneven times."""
    path = tmp_path / "live.webm"
    with av.open(str(path), "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libvpx", rate=1000, options={"deadline": "realtime", "cpu-used": "8"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for k in range(30):
            frame = av.VideoFrame.from_ndarray(picture(k), format="rgb24")
            frame.pts, frame.time_base = 33 * k + (k * 7) % 5, Fraction(1, 1000)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    info = clip_info(path)
    assert float(info.rate) == pytest.approx(30.3, abs=0.3)
    assert info.seconds is info.frames is None
    assert 29 <= len(list(clip_frames(path))) <= 31


def test_what_is_no_clip_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no clip")
    whole = with_sound(tmp_path / "whole.mp4")
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[:900])
    for name in ("text.mp4", "cut.mp4", "none.mp4"):
        with pytest.raises(UserError, match=name.replace(".", r"\.")):
            list(clip_frames(tmp_path / name))
    with pytest.raises(UserError, match="does not end in one of"):
        write_clip(tmp_path / "x.txt", [picture(0)], RATE, {})
    with pytest.raises(UserError, match="no frame to write"):
        write_clip(tmp_path / "x.mp4", [], RATE, {})
    with pytest.raises(UserError, match=r"whole\.mp4"):
        write_clip(whole, [picture(0)], RATE, {})
    assert not (tmp_path / "x.mp4").exists()
    assert len(list(clip_frames(whole))) == 25, "not overwritten"
    assert is_clip(Path("a.MOV"))
    assert not is_clip(Path("a.jpg"))


def test_a_playlist_may_not_name_an_address(tmp_path: Path) -> None:
    playlist = tmp_path / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n")
    with pytest.raises(UserError, match=r"list\.mp4"):
        list(clip_frames(playlist))


def test_a_folder_of_frames_is_exact_and_marked_and_spares_other_files(tmp_path: Path) -> None:
    frames = [picture(k) for k in range(3)]
    write_clip(tmp_path / "frames", iter(frames), RATE, {"comment": "edited"})
    for k, frame in enumerate(frames):
        with Image.open(tmp_path / "frames" / f"{k:06d}.png") as image:
            assert np.array_equal(np.asarray(image), frame)
            assert image.info["comment"] == "edited"
    with pytest.raises(UserError, match="exists"):
        write_clip(tmp_path / "frames", iter(frames), RATE, {})
    write_clip(tmp_path / "frames", iter(frames[:2]), RATE, {}, overwrite=True)
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == ["000000.png", "000001.png"]
    (tmp_path / "frames" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="no folder of frames"):
        write_clip(tmp_path / "frames", iter(frames), RATE, {}, overwrite=True)
    assert (tmp_path / "frames" / "mine.txt").exists()
    with pytest.raises(UserError, match="no frame"):
        write_clip(tmp_path / "none", iter(()), RATE, {})
    assert not (tmp_path / "none").exists()


def test_a_gif_of_too_many_pixels_is_no_clip(tmp_path: Path) -> None:
    """Its header alone says 65,535 x 65,535; Pillow refuses that with an error of its own."""
    path = tmp_path / "huge.gif"
    path.write_bytes(b"GIF89a" + b"\xff\xff\xff\xff\x80\x00\x00" + bytes(6) + b"\x2c" + bytes(4) + b"\xff\xff\xff\xff\x00\x02\x00\x3b")
    assert not is_clip(path)


def test_a_long_gif_is_refused_before_the_work(tmp_path: Path) -> None:
    check_length(tmp_path / "a.mp4", 15_000, (640, 480))
    check_length(tmp_path / "a.gif", 100, (640, 480))
    check_length(tmp_path / "a.gif", None, (640, 480))
    with pytest.raises(UserError, match=r"a\.gif would have 15000 frames"):
        check_length(tmp_path / "a.gif", 15_000, (640, 480))
    with pytest.raises(UserError, match=r"a\.gif would have 300 frames of 4000x3000 pixels"):
        check_length(tmp_path / "a.gif", 300, (4000, 3000))


def test_ten_bits_and_a_single_frame(tmp_path: Path) -> None:
    path = tmp_path / "ten.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        for packet in (
            *stream.encode(av.VideoFrame.from_ndarray(picture(3), format="rgb24").reformat(format="yuv420p10le")),
            *stream.encode(),
        ):
            container.mux(packet)
    (frame,) = clip_frames(path)
    assert np.abs(frame.astype(float) - picture(3)).mean() < 6


def test_an_uneven_rate_keeps_its_times(tmp_path: Path) -> None:
    """Twelve frames at 25 a second, then six that last four times as long: what is shown at a time is what the clip shows then."""
    path = tmp_path / "uneven.mkv"
    times = [0.04 * k for k in range(12)] + [0.48 + 0.16 * k for k in range(6)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for k, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 + 12 * k, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    rate = float(clip_info(path).rate)
    shown = [round((frame.mean() - 20) / 12) for frame in clip_frames(path)]
    assert len(shown) / rate == pytest.approx(1.32, abs=0.1)
    for n, k in enumerate(shown):
        assert times[k] <= (n + 0.5) / rate + 1e-3
        assert k == 17 or times[k + 1] >= (n + 0.5) / rate - 1e-3


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ([0, 0.1, 0.2, 0.3], [1, 1, 1, 1]),
        ([5.02, 5.11, 5.2, 5.31], [1, 1, 1, 1]),  # rounded times, and a clip that does not begin at 0
        ([0, 0.1, 0.4, 0.5], [1, 3, 1, 1]),  # a pause
        ([0, 0.02, 0.04, 0.1], [0, 0, 1, 1]),  # a burst
        ([None, None, None], [1, 1, 1]),
        ([0, 0, 0], [1, 1, 1]),
        ([0, 0.1, 9e9, 0.3], [1, 1, 1, 1]),
    ],
)
def test_frames_at_even_times(times: list[float | None], shown: list[int]) -> None:
    frames = [SimpleNamespace(number=k, time=time) for k, time in enumerate(times)]
    made = {frame.number: count for frame, count in at_even_times(frames, Fraction(10))}
    assert [made.get(k, 0) for k in range(len(times))] == shown


def bar(moment: int, width: int = 128, height: int = 96) -> np.ndarray:
    """A bright bar that moves by six pixels from moment to moment."""
    columns = np.arange(width)
    row = np.where((columns >= 10 + 6 * moment) & (columns < 40 + 6 * moment), 200, 60).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


@pytest.mark.parametrize(("codec", "ending"), [("libx264", ".mp4"), ("mpeg2video", ".mpg")])
def test_interlaced_frames_are_no_combs(codec: str, ending: str, tmp_path: Path) -> None:
    """Each frame shows one moment, not two in rows by turns; a clip that is not interlaced passes through no filter."""
    path = tmp_path / f"interlaced{ending}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"flags": "+ildct+ilme", "x264-params": "bff=1", "crf": "10", "b": "4000000"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for k in range(6):
            both = bar(2 * k + 1)
            both[1::2] = bar(2 * k)[1::2]
            for packet in stream.encode(av.VideoFrame.from_ndarray(both, format="rgb24").reformat(format="yuv420p")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    frames = list(clip_frames(path))
    assert len(frames) == 6
    for k, frame in enumerate(frames):
        error = min(np.abs(frame.astype(float) - bar(2 * k + moment)).mean() for moment in (0, 1))
        assert error < 1.5
    untouched = [SimpleNamespace(interlaced_frame=False, width=8, height=8, format=SimpleNamespace(name="yuv420p"))] * 2
    assert all(a is b for a, b in zip(deinterlaced(untouched), untouched, strict=True))


EIGHT = [(a, 0, 0, d) for a, d in product((-1, 1), repeat=2)] + [(0, b, c, 0) for b, c in product((-1, 1), repeat=2)]


@pytest.mark.parametrize("matrix", EIGHT, ids=str)
def test_a_phones_display_matrix_turns_and_mirrors(matrix: tuple[int, int, int, int], tmp_path: Path) -> None:
    """Every corner of the picture is shown where the matrix of the MP4's track header (ISO 14496-12) puts it."""
    a, b, c, d = matrix
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[:24, :32], stored[:24, 32:], stored[24:, :32] = (220, 40, 40), (40, 220, 40), (40, 40, 220)
    path = tmp_path / "phone.mp4"
    write_clip(path, [stored] * 3, RATE, {})
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    data[place : place + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    shown = next(clip_frames(path))
    assert shown.shape[:2] == ((48, 64) if a else (64, 48))
    for x, y in ((10, 10), (54, 10), (10, 38), (54, 38)):
        column, row = a * (x - 32) + c * (y - 24), b * (x - 32) + d * (y - 24)  # about the middle
        there = shown[row + shown.shape[0] // 2, column + shown.shape[1] // 2]
        assert np.abs(there.astype(int) - stored[y, x]).max() < 40


def test_a_decoded_picture_is_given_back_at_once(tmp_path: Path) -> None:
    """Not when the garbage collector comes, which in the command is hardly ever: it does not see how large a frame is."""
    path = tmp_path / "clip.mp4"
    write_clip(path, [picture(k) for k in range(12)], RATE, {})
    gc.collect()
    before = decoded_frames()
    gc.disable()
    try:
        assert sum(1 for _ in clip_frames(path)) == 12
        assert decoded_frames() == before
    finally:
        gc.enable()


def decoded_frames() -> int:
    """Frames of PyAV that are in memory."""
    return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
