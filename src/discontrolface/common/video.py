"""Clips in and out (PyAV, extra `video`). Frames come one at a time and go one at a time: memory does not grow with the length."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from discontrolface.common.clip_colours import Frame, Pictures, VideoFrames, mark
from discontrolface.common.deinterlacing import deinterlaced
from discontrolface.common.errors import UserError
from discontrolface.common.files import replace_folder, replacing

CLIP_ENDINGS: Final = (
    ".mp4",
    ".m4v",
    ".mov",
    ".mpg",
    ".mpeg",
    ".mkv",
    ".avi",
    ".webm",
    ".ogv",
    ".3gp",
    ".ts",
)  # what counts as a clip by its name; a .gif does where it moves
MAX_SECONDS: Final = 600.0
MAX_FRAMES: Final = 36_000  # whatever a header says of the rate
MAX_PIXELS: Final = 9_000_000  # of a frame: 4096 x 2160
CODECS: Final = {".mp4": ("libx264", "aac"), ".mov": ("libx264", "aac"), ".mkv": ("libx264", "aac"), ".webm": ("libvpx-vp9", "libopus")}
ENDINGS: Final = (*CODECS, ".gif")
MUXING: Final = {  # options of the containers; bitexact: no random number in the file
    ".mp4": {"movflags": "use_metadata_tags"},
    ".mov": {"movflags": "use_metadata_tags"},
    ".mkv": {"fflags": "+bitexact"},
    ".webm": {"fflags": "+bitexact"},
}
FRAME_NAME: Final = re.compile(r"\d{6}\.png")  # in a folder of frames
GIF_FRAMES, GIF_PIXELS = 1500, 10**9  # Pillow holds all frames of a GIF in memory, a byte a pixel
FASTEST: Final = 240  # frames a second, whatever a header says
USUAL: Final = 120  # frames a second up to which a header is believed: recorders in browsers say 1000
PROBED: Final = 200  # frames whose times say the rate where the header is not believed
QUALITY: Final = {  # cpu-independent: x264's AVX-512 code of the lookahead reads memory that nobody wrote: other bytes once in a while
    "libx264": {"crf": "16", "preset": "medium", "x264-params": "cpu-independent=1"},
    "libvpx-vp9": {"crf": "24", "b:v": "0", "row-mt": "1"},
}


@dataclass(frozen=True)
class ClipInfo:
    """What a clip's header says. rate: frames a second. size: (width, height) as stored. seconds: None where it does not say. sound: whether it has
    any."""

    path: Path
    rate: Fraction
    size: tuple[int, int]
    seconds: float | None
    sound: bool

    @property
    def frames(self) -> int | None:
        """About how many there are; None where the header does not say."""
        return None if self.seconds is None else max(1, round(self.rate * Fraction(self.seconds)))


def is_clip(path: Path) -> bool:
    """By its name; a GIF by whether it has more than one frame."""
    if path.suffix.lower() == ".gif":
        try:
            with Image.open(path) as image:
                return getattr(image, "n_frames", 1) > 1
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # no GIF, or one that reading it as a photo refuses
            return False
    return path.suffix.lower() in CLIP_ENDINGS


def library() -> Any:
    """PyAV. UserError where it is not installed."""
    try:
        import av
    except ImportError:
        raise UserError("clips need PyAV: pip install 'discontrolface[video]'") from None
    return av


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any, ClipInfo]]:
    """The container, its first stream of pictures, and what they say. UserError for what is no clip, or too large or long."""
    av = library()
    if not path.is_file():
        raise UserError(f"{path} does not exist or is not a file; give the path of a clip")
    try:
        container = av.open(str(path.resolve()), mode="r", options={"protocol_whitelist": "file"})  # a playlist may not name an address
    except (av.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{path} is no clip that can be read ({reason}): damaged, or something else by that name; export it again as MP4"
        ) from error
    with container:
        if not container.streams.video:
            raise UserError(f"{path} has no pictures, only {len(container.streams)} other streams; give a video clip")
        stream = container.streams.video[0]
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise UserError(
                f"{path} is {width}x{height}, more than the limit of {MAX_PIXELS / 1e6:g} megapixels a frame; make it smaller first"
            )
        seconds = None if container.duration is None else container.duration / av.time_base
        if seconds is not None and seconds > MAX_SECONDS:
            raise UserError(f"{path} is {seconds:.0f} s long, more than the limit of {MAX_SECONDS:.0f} s; cut it first")
        rate = stream.average_rate or stream.guessed_rate
        if rate is None or not 0 < rate <= USUAL:
            rate = _rate_by_times(path) or rate or 25
        rate = min(Fraction(rate), Fraction(FASTEST))
        yield container, stream, ClipInfo(path, rate, (width, height), seconds, bool(container.streams.audio))


def _rate_by_times(path: Path) -> Fraction | None:
    """Frames a second at a clip's beginning, by its frames' times."""
    av = library()
    with av.open(str(path.resolve()), mode="r", options={"protocol_whitelist": "file"}) as container:
        packets = islice(container.demux(container.streams.video[0]), PROBED)
        try:
            times = [float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None]
        except av.FFmpegError:
            return None
    if len(times) < 2 or max(times) <= min(times):
        return None
    return Fraction((len(times) - 1) / (max(times) - min(times))).limit_denominator(1001)


def clip_info(path: Path) -> ClipInfo:
    """Without decoding a frame."""
    with opened(path) as (_, _, info):
        return info


def clip_frames(path: Path) -> Iterator[Frame]:
    """Every frame in order, upright and mirrored as players show it, deinterlaced, with square pixels, in sRGB, at the constant rate of `clip_info`.
    UserError when the clip is damaged or has too many frames."""
    av = library()
    with opened(path) as (container, stream, info):
        count, picture_of, pixel = 0, Pictures(), float(stream.sample_aspect_ratio or 1)
        try:
            for frame, shown in at_even_times(deinterlaced(container.decode(stream)), info.rate):
                count += shown
                if count > MAX_FRAMES or frame.width * frame.height > MAX_PIXELS:
                    raise UserError(
                        f"{path} has more than {MAX_FRAMES} frames, or frames of more than {MAX_PIXELS / 1e6:g} megapixels; cut it first"
                    )
                picture = picture_of(frame, pixel) if shown else None
                yield from [] if picture is None else [picture] * shown
        except av.FFmpegError as error:
            raise UserError(f"{path} is damaged after frame {count} ({error.strerror}); try to export it again") from error
    if count == 0:
        raise UserError(f"{path} holds no frame")


def at_even_times(frames: Iterable[Any], rate: Fraction) -> Iterator[tuple[Any, int]]:
    """(frame, how often it is shown) at a constant rate, by the frames' own times: a pause repeats a frame, a burst leaves some out.

    A frame without a time, or one that does not grow, follows the one before.
    """
    held, place = None, 0
    start: float | None = None
    before: float | None = None
    for frame in frames:
        time, following = frame.time, place + 1
        if time is not None and start is None:
            start = time - place / float(rate)
        if time is not None and start is not None and before is not None and before < time < start + MAX_SECONDS:
            following = round((time - start) * float(rate))
        if held is not None and following > place:
            yield held, following - place
        held, place = frame, max(place, following) if held is not None else 0
        before = time
    if held is not None:
        yield held, 1


def check_ending(path: Path) -> None:
    """UserError for an ending that `write_clip` does not know, and for a folder with other files."""
    if path.suffix and path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path} does not end in one of {', '.join(ENDINGS)}; give it one of these, or none for a folder of frames")
    if not path.suffix and path.exists() and not (path.is_dir() and all(FRAME_NAME.fullmatch(file.name) for file in path.iterdir())):
        raise UserError(f"{path} exists and is no folder of frames; choose another name for the folder")


def check_length(path: Path, frames: int | None, size: tuple[int, int]) -> None:
    """UserError for a GIF of too many frames, or pixels. frames: None where that is not known. size: (width, height)."""
    if path.suffix.lower() != ".gif" or frames is None:
        return
    if frames > GIF_FRAMES:
        raise UserError(f"{path} would have {frames} frames, and a GIF may have {GIF_FRAMES}; write .mp4 or .webm, or cut the clip first")
    if frames * size[0] * size[1] > GIF_PIXELS:
        raise UserError(
            f"{path} would have {frames} frames of {size[0]}x{size[1]} pixels, and a GIF may have {GIF_PIXELS / 1e6:g} million pixels in all; "
            "write .mp4 or .webm, or make the picture smaller first"
        )


def write_clip(
    path: Path,
    frames: Iterable[Frame],  # all of one size
    rate: Fraction,
    about: Mapping[str, str],  # metadata of the container; GIF: its comment
    sound_of: Path | None = None,  # a clip whose sound goes in, cut where the pictures end
    overwrite: bool = False,
) -> None:
    """Write a clip, whole or not at all; without an ending: a folder of frames. An odd side is padded by one pixel (4:2:0). UserError for an
    unknown ending and a name that is taken."""
    check_ending(path)
    if not path.suffix:
        _write_frames(path, frames, about, overwrite)
        return
    if path.suffix.lower() == ".gif":
        _write_gif(path, frames, rate, about, overwrite)
        return
    with tempfile.TemporaryDirectory() as folder:  # PyAV seeks in what it writes
        made = Path(folder) / f"clip{path.suffix.lower()}"
        _encode(made, frames, rate, about, sound_of)
        with replacing(path, "the clip", overwrite) as file, made.open("rb") as ready:
            while chunk := ready.read(1 << 20):
                file.write(chunk)


def _encode(path: Path, frames: Iterable[Frame], rate: Fraction, about: Mapping[str, str], sound_of: Path | None) -> None:
    av = library()
    picture_codec, sound_codec = CODECS[path.suffix]
    with av.open(str(path), mode="w", options=MUXING[path.suffix]) as container:
        container.metadata.update(about)
        stream, count, frame_of = None, 0, VideoFrames()
        sound = None
        if sound_of is not None and clip_info(sound_of).sound:
            sound = container.add_stream(sound_codec, rate=48_000)
            sound.codec_context.layout = "stereo"
        for picture in frames:
            height, width = picture.shape[:2]
            if stream is None:
                stream = container.add_stream(picture_codec, rate=rate, options=QUALITY[picture_codec])
                stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
                mark(stream.codec_context)
            even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            for packet in stream.encode(frame_of(even)):
                container.mux(packet)
            count += 1
        if stream is None:
            raise UserError("there is no frame to write")
        for packet in stream.encode():
            container.mux(packet)
        if sound is not None and sound_of is not None:
            _copy_sound(container, sound, sound_of, float(count / rate))


def _copy_sound(container: Any, stream: Any, source: Path, seconds: float) -> None:
    """The sound of a clip, decoded and encoded again: from its first frame's time on, up to so many seconds."""
    av = library()
    codec = stream.codec_context
    resampler = av.AudioResampler(format=codec.format, layout="stereo", rate=48_000, frame_size=codec.frame_size or 960)
    with opened(source) as (other, pictures, _):
        start = next((frame.time for frame in other.decode(pictures)), None) or 0.0
    with opened(source) as (other, _, _):
        for frame in other.decode(other.streams.audio[0]):
            if frame.time is not None and frame.time - start > seconds:
                break
            if frame.time is not None and start:
                if frame.time < start:
                    continue
                frame.pts -= round(start / frame.time_base)
            for part in resampler.resample(frame):
                for packet in stream.encode(part):
                    container.mux(packet)
    for part in resampler.resample(None):
        for packet in stream.encode(part):
            container.mux(packet)
    for packet in stream.encode():
        container.mux(packet)


def _write_gif(path: Path, frames: Iterable[Frame], rate: Fraction, about: Mapping[str, str], overwrite: bool) -> None:
    """At the clip's own speed: times are whole hundredths of a second, so frames last shorter and longer by turns. What would last less than two
    hundredths is left out: players slow it down."""
    pictures: list[Image.Image] = []
    starts: list[int] = []  # hundredths of a second
    count = 0
    for count, frame in enumerate(frames, 1):
        start = round(100 * (count - 1) / rate)
        if starts and start - starts[-1] < 2:
            continue
        check_length(path, len(pictures) + 1, (frame.shape[1], frame.shape[0]))
        pictures.append(Image.fromarray(frame).quantize(256, dither=Image.Dither.FLOYDSTEINBERG))
        starts.append(start)
    if not pictures:
        raise UserError("there is no frame to write")
    end = max(round(100 * count / rate), starts[-1] + 2)
    lasting = [10 * (after - start) for start, after in zip(starts, [*starts[1:], end], strict=True)]  # milliseconds
    comment = "; ".join(f"{name}: {value}" for name, value in about.items()).encode("ascii", "replace")
    with replacing(path, "the picture", overwrite) as file:
        pictures[0].save(file, format="GIF", save_all=True, append_images=pictures[1:], duration=lasting, loop=0, comment=comment)


def _write_frames(path: Path, frames: Iterable[Frame], about: Mapping[str, str], overwrite: bool) -> None:
    """PNG files 000000.png, 000001.png, ... with what is said about them."""
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; choose another name or allow overwriting with --overwrite")
    said = PngInfo()
    for name, value in about.items():
        said.add_text(name, value)

    def write(folder: Path) -> None:
        count = 0
        for count, frame in enumerate(frames, 1):
            Image.fromarray(frame).save(folder / f"{count - 1:06d}.png", pnginfo=said, compress_level=3)
        if not count:
            raise UserError("there is no frame to write")

    replace_folder(write, path, "the frames")
