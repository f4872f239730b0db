"""What a photo's file holds that an edit cannot keep: HDR gain maps, and depths beyond 8 bits that decoders do not hand over."""

from __future__ import annotations

from typing import Final

HEAD: Final = 1_000_000  # bytes in which metadata of HEIC and AVIF stand
# Ultra HDR (Android), ISO 21496-1, Apple's auxiliary picture: each names itself in the file.
GAIN_MAPS: Final = (
    b"hdrgm:Version",
    b"urn:iso:std:iso:ts:21496",
    b"urn:com:apple:photo:2020:aux:hdrgainmap",
    b"HDRGainMap:HDRGainMapVersion",
)


def left_out(data: bytes) -> tuple[str, ...]:
    """Sentences without their subject, which is the photo's name."""
    remarks = []
    boxes = data[4:8] == b"ftyp"  # HEIC, AVIF
    if any(mark in data for mark in GAIN_MAPS) or (boxes and b"tmap" in data[:HEAD]):
        remarks.append("has an HDR gain map; it is left out, so the edited photo has the ordinary brightness")
    depth = _depth(data[:HEAD]) if boxes else 8
    if depth > 8:
        remarks.append(f"has {depth} bits a channel; they become 8")
    return tuple(remarks)


def _depth(head: bytes) -> int:
    """Bits a channel by the box `pixi` (ISO/IEC 23008-12, 6.5.6): version and flags, number of channels, bits of each. 8 where there is none."""
    at = head.find(b"pixi")
    return head[at + 9] if at >= 0 and at + 9 < len(head) and 8 <= head[at + 9] <= 16 else 8
