"""Frames of clips as pictures and back: upright, square pixels, sRGB when they are read; BT.709, marked as such, when they are written.

What players assume of a frame that does not say what its colours are is assumed here: BT.601 below 720 lines, BT.709 from there on. HDR (HLG, PQ) is
brought to sRGB by swscale, with 203 candelas a square metre, the white of text in HDR (ITU-R BT.2408), as white.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]  # (H, W, 3), sRGB

# numbers of ITU-T H.273, which FFmpeg uses
BT709: Final = 1
UNSAID: Final = 2
SRGB_CURVE: Final = 13
HDR_CURVES: Final = (16, 18)  # PQ, HLG
LIMITED: Final = 1  # FFmpeg's number for 16 to 235
HD_LINES: Final = 720
WIDEST: Final = 4.0  # a pixel, whatever a header says


class Pictures:
    """Decoded frames (PyAV) of one clip as arrays. It keeps swscale's tables, which take many seconds to make for HDR."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self.reformatter = VideoReformatter()

    def __call__(self, frame: Any, pixel: float = 1.0) -> Frame:
        """(H, W, 3). pixel: width of a pixel / its height, as the stream says; the picture is made so much wider."""
        given: dict[str, Any] = {}
        if frame.color_trc in HDR_CURVES:
            given = {"dst_color_trc": SRGB_CURVE, "dst_color_primaries": BT709}
        elif frame.colorspace == UNSAID and frame.height >= HD_LINES and not frame.format.is_rgb and not frame.format.has_palette:
            given = {"src_colorspace": BT709}
        if pixel != 1 and 1 / WIDEST <= pixel <= WIDEST:
            given["width"] = max(1, round(frame.width * pixel))
        picture = np.asarray(self.reformatter.reformat(frame, format="rgb24", **given).to_ndarray(), np.uint8)
        return upright(picture, _display_matrix(frame))


def upright(picture: Frame, matrix: tuple[float, float, float, float]) -> Frame:
    """A picture as a player shows it. matrix: a, b, c, d of its display matrix, by which (x, y) is shown at (a x + c y, b x + d y); it is taken for
    the nearest of the eight that turn by right angles and mirror."""
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        shown = picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    else:
        shown = picture.swapaxes(0, 1)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
    return np.ascontiguousarray(shown)


def _display_matrix(frame: Any) -> tuple[float, float, float, float]:
    """a, b, c, d as in FFmpeg's libavutil/display.h (nine numbers of 32 bits, 16.16); the identity where a frame does not say.

    Not by `frame.side_data`: the frame keeps what that makes, which keeps the frame, and a decoded picture then waits for the garbage collector.
    """
    from av.sidedata.sidedata import SideDataContainer

    said_by: Any = SideDataContainer  # PyAV's types know of no argument
    for data in said_by(frame):
        if data.type.name == "DISPLAYMATRIX" and len(bytes(data)) >= 36:
            a, b, _, c, d = (float(value) for value in np.frombuffer(bytes(data)[:20], np.int32))
            return a, b, c, d
    return 1.0, 0.0, 0.0, 1.0


class VideoFrames:
    """Pictures (H, W, 3), sides even, as frames to encode."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self.reformatter = VideoReformatter()

    def __call__(self, picture: Frame) -> Any:
        import av

        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        return self.reformatter.reformat(frame, format="yuv420p", dst_colorspace=BT709, dst_color_range=LIMITED)


def mark(codec: Any) -> None:
    """An encoder (PyAV) whose file is to say what `VideoFrames` makes."""
    codec.colorspace = codec.color_primaries = codec.color_trc = BT709
    codec.color_range = LIMITED
