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
        turns = round(-frame.rotation / 90) % 4  # degrees that a player turns the picture by, anticlockwise
        return np.ascontiguousarray(np.rot90(picture, -turns)) if turns else picture


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
