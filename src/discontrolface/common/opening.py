"""Which format a file is: Pillow's own decoders, without `Image.open`."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import IO, Final

from PIL import Image

# Formats that Pillow decodes itself. Others (EPS, PSD, ...) start programs or hold no photos.
READABLE: Final = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")


def opened(file: IO[bytes], formats: Sequence[str] = READABLE) -> Image.Image | None:
    """The picture as the first of these formats that knows it (the common ones first: all take 20 ms to load), None if none does.

    This is `Image.open` without its guard against large pictures: that warns through, and is set for, the whole process. Whoever decodes pixels
    has a limit of their own. Decoders may raise what they like for damaged headers.
    """
    start = file.read(16)
    for load in (Image.preinit, Image.init):
        load()
        for name in formats:
            factory, accept = Image.OPEN.get(name, (None, None))
            file.seek(0)
            try:
                known = factory is not None and (accept is None or accept(start))
                if factory is not None and known and not isinstance(known, str):  # a string says which decoder is not installed
                    return factory(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error):  # another format, as `Image.open` understands it
                continue
    return None
