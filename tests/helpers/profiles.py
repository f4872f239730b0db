"""Colour profiles made by hand."""

import struct


def profile_of(gamma: float) -> bytes:
    """An RGB profile with wide primaries (Adobe RGB's), or another curve: made by hand, as ICC.1:2004 says."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    white, primaries = (0.9642, 1.0, 0.8249), ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
    tags = [(b"wtpt", b"XYZ \0\0\0\0" + b"".join(map(fixed, white)))]
    tags += [(name, b"XYZ \0\0\0\0" + b"".join(map(fixed, xyz))) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)]
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"Wide\0" + bytes(78) + b"\0"
    tags += [(b"desc", text), (b"cprt", b"text\0\0\0\0none\0\0\0\0")]
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags:
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = bytearray(128)
    head[4:16], head[16:24], head[36:40] = b"lcms\x02\x10\0\0mntr", b"RGB XYZ ", b"acsp"
    head[68:80] = b"".join(map(fixed, white))
    head[0:4] = struct.pack(">I", start + len(body))
    return bytes(head) + table + body
