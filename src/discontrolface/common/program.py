"""Which program this is, to the byte: what was kept by another one is not to be mixed with what this one makes."""

from __future__ import annotations

import functools
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Final

OURS: Final = (".py", ".npz", ".tflite")  # source, the head model, what reads faces; networks have ids of their own (`weights_id`)


@functools.cache
def program_id() -> str:
    """16 hex digits: of the package's source files and the models that come with it. A version's number would miss what a checkout changes."""
    return digest_of(Path(str(files("discontrolface"))))


def digest_of(package: Path) -> str:
    """16 hex digits: SHA-256 of the names and bytes of the files OURS below a folder."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in OURS:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]
