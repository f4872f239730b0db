"""Pictures to files, a strip of rows at a time: JPEG of any size without a second copy of the picture, and PNG of 16 bits a channel.

Rows come from a function, so that a picture that is a photo with a small change need not exist as a whole.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Rows = Callable[[int, int], NDArray[Any]]  # (first, last) -> (last - first, W, C)

LONGEST_INTERVAL: Final = 65_535  # MCUs between restart markers
_PNG_ROWS: Final = 256
_COLOUR_TYPES: Final = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG: channels -> colour type


def write_jpeg(out: IO[bytes], rows: Rows, width: int, height: int, options: dict[str, Any]) -> None:
    """A baseline JPEG. rows: (n, W, 3 or 1) uint8. options: of Pillow's writer, without chroma subsampling.

    Every strip is encoded by itself: a decoder that finds a restart marker forgets what came before, as the strip's encoder did (ITU-T T.81,
    F.1.1.5).
    """
    across = -(-width // 8)
    step = 8 * max(1, LONGEST_INTERVAL // across)
    tables: list[bytes] = []
    for number, top in enumerate(range(0, height, step)):
        strip = np.ascontiguousarray(rows(top, min(top + step, height)))
        picture = Image.fromarray(strip[..., 0] if strip.shape[2] == 1 else strip)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", **(options if number == 0 else {k: v for k, v in options.items() if k in ("quality", "subsampling")}))
        segments, scan = _split(buffer.getvalue())
        if number == 0:
            tables = _tables(segments)
            out.write(b"\xff\xd8")
            for segment in segments[:-1]:
                out.write(_with_height(segment, height))
            if height > step:
                out.write(b"\xff\xdd" + struct.pack(">HH", 4, across * step // 8))
            out.write(segments[-1])
        else:
            if tables != _tables(segments):
                raise ValueError("the strips of a JPEG have different tables")
            out.write(bytes([0xFF, 0xD0 + (number - 1) % 8]))
        out.write(scan)
    out.write(b"\xff\xd9")


def _split(data: bytes) -> tuple[list[bytes], bytes]:
    """A JPEG's segments, the start of the scan last, and the scan's bytes."""
    segments, at = [], 2
    while True:
        length = 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        segments.append(data[at : at + length])
        at += length
        if segments[-1][1] == 0xDA:
            return segments, data[at:-2]


def _tables(segments: Sequence[bytes]) -> list[bytes]:
    """Quantization and Huffman tables."""
    return [segment for segment in segments if segment[1] in (0xDB, 0xC4)]


def _with_height(segment: bytes, height: int) -> bytes:
    """The frame's header (baseline) of the whole picture."""
    return segment[:5] + struct.pack(">H", height) + segment[7:] if segment[1] == 0xC0 else segment


def write_png(out: IO[bytes], rows: Rows, width: int, height: int, chunks: Sequence[tuple[bytes, bytes]]) -> None:
    """A PNG of 16 bits a channel. rows: (n, W, C) uint16. chunks: further ones, (name, content), before the pixels. Rows are filtered by "up"."""
    channels = rows(0, 1).shape[2]
    out.write(b"\x89PNG\r\n\x1a\n")
    _chunk(out, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0))
    for name, content in chunks:
        _chunk(out, name, content)
    squeeze = zlib.compressobj(6)
    for strip in _filtered(rows, width * channels * 2, height):
        _chunk(out, b"IDAT", squeeze.compress(strip))
    _chunk(out, b"IDAT", squeeze.flush())
    _chunk(out, b"IEND", b"")


def _filtered(rows: Rows, length: int, height: int) -> Iterator[bytes]:
    above = np.zeros((1, length), np.uint8)
    for top in range(0, height, _PNG_ROWS):
        values = rows(top, min(top + _PNG_ROWS, height)).astype(">u2")
        lines = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), length)
        difference = lines - np.concatenate([above, lines[:-1]])  # modulo 256
        above = lines[-1:].copy()
        yield np.concatenate([np.full((len(lines), 1), 2, np.uint8), difference], axis=1).tobytes()


def _chunk(out: IO[bytes], name: bytes, content: bytes) -> None:
    out.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(name))))
