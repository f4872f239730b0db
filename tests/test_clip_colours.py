"""Colours of clips against the standards' own formulas, computed here."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from discontrolface.common.video import clip_frames, clip_info, write_clip

av = pytest.importorskip("av", reason="extra `video` is not installed")
RATE = Fraction(25)
COLOUR = (200, 60, 40)
WEIGHTS = {"BT.601": (0.299, 0.114), "BT.709": (0.2126, 0.0722)}  # of red and blue in luma


def levels(colour: tuple[int, int, int], matrix: str) -> tuple[int, int, int]:
    """Y, Cb, Cr in 8 bits, limited range."""
    red, green, blue = (value / 255 for value in colour)
    kr, kb = WEIGHTS[matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    return round(16 + 219 * luma), round(128 + 224 * (blue - luma) / (2 * (1 - kb))), round(128 + 224 * (red - luma) / (2 * (1 - kr)))


def flat(path: Path, values: tuple[int, int, int], height: int, matrix: int = 2, shape: Fraction | None = None) -> None:
    """A clip of one colour, nearly without loss. matrix: what the file says, as FFmpeg numbers it; 2: nothing. shape: of a pixel."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv420p"
        stream.codec_context.colorspace = matrix
        if shape is not None:
            stream.codec_context.sample_aspect_ratio = shape
        planes = [np.full((height // 2 if k else height, 64 // 2 if k else 64), value, np.uint8) for k, value in enumerate(values)]
        frame = av.VideoFrame.from_ndarray(np.concatenate([plane.reshape(-1, 64) for plane in planes]), format="yuv420p")
        frame.colorspace = matrix
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)


@pytest.mark.parametrize(
    ("height", "said", "matrix"),
    [(48, 2, "BT.601"), (720, 2, "BT.709"), (48, 1, "BT.709"), (720, 6, "BT.601")],
)
def test_a_clips_colours_are_read_as_players_do(height: int, said: int, matrix: str, tmp_path: Path) -> None:
    flat(tmp_path / "flat.mkv", levels(COLOUR, matrix), height, said)
    (frame,) = clip_frames(tmp_path / "flat.mkv")
    assert np.abs(frame[height // 2, 32].astype(int) - COLOUR).max() <= 2


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
def test_what_is_written_says_what_its_colours_are(ending: str, tmp_path: Path) -> None:
    write_clip(tmp_path / f"out{ending}", [np.full((64, 96, 3), COLOUR, np.uint8)] * 3, RATE, {})
    with av.open(str(tmp_path / f"out{ending}")) as clip:
        frame = next(clip.decode(video=0))
    assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (1, 1, 1, 1)
    values = [int(np.frombuffer(plane, np.uint8)[plane.line_size * 10 + 10]) for plane in frame.planes]
    assert np.abs(np.array(values) - levels(COLOUR, "BT.709")).max() <= 2


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    flat(tmp_path / "wide.mkv", levels(COLOUR, "BT.601"), 48, shape=Fraction(16, 11))
    (frame,) = clip_frames(tmp_path / "wide.mkv")
    assert frame.shape == (48, 93, 3)
    assert clip_info(tmp_path / "wide.mkv").size == (64, 48)


def test_hdr_is_brought_to_the_brightness_of_a_photo(tmp_path: Path) -> None:
    """Greys as a phone records them (HLG in 10 bits): 203 cd/m2 of a screen of 1000 are white; formulas of ITU-R BT.2100."""
    greys = np.linspace(10, 245, 12).round()
    linear = np.where(greys / 255 <= 0.04045, greys / 255 / 12.92, ((greys / 255 + 0.055) / 1.055) ** 2.4)
    scene = (0.203 * linear) ** (1 / 1.2)
    signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073)
    luma = (64 + 876 * signal).round().astype(np.uint16).repeat(4)[:, None].repeat(64, 1)
    planes = np.concatenate([luma, np.full((24, 64), 512, np.uint16)])
    path = tmp_path / "hlg.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        codec = stream.codec_context
        codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range = 9, 9, 18, 1
        frame = av.VideoFrame(64, 48, "yuv420p10le")
        parts = planes[:48], planes[48:60].reshape(24, 32), planes[60:].reshape(24, 32)
        for plane, part in zip(frame.planes, parts, strict=True):
            rows = np.frombuffer(plane, np.uint16).reshape(plane.height, -1)
            rows[:, : part.shape[1]] = part
        frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range = 9, 9, 18, 1
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)
    (picture,) = clip_frames(path)
    assert np.abs(picture[1::4, 30].astype(float) - greys[:, None]).max() <= 3
