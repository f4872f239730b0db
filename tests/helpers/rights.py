"""Run a few lines as somebody who may not write everywhere, also when the tests run as root."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def locked_folder() -> Iterator[Path]:
    """A folder that the process may enter but not write to while the block runs. What the block needs must be imported before."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # somebody else must get through
        locked = Path(name) / "locked"
        locked.mkdir(mode=0o555)
        was_root = os.geteuid() == 0
        if was_root:
            os.setresuid(NOBODY, NOBODY, 0)
        try:
            yield locked
        finally:
            if was_root:
                os.setresuid(0, 0, 0)
            locked.chmod(0o755)
