"""Personal weights on disk: one file a photo and way of fine-tuning, shared by processes, the oldest removed beyond a limit."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

from discontrolface.common.errors import UserError
from discontrolface.editing.personal import PersonalWeights

MAX_BYTES: Final = 2_000_000_000  # of all files: 150 photos of the open preset
ENDING: Final = ".safetensors"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptWeights:
    """One file. used: seconds since the epoch, when it was last read or written."""

    path: Path
    bytes: int
    used: float


class PersonalCache:
    """A folder of personal weights. Several threads and processes may use it at a time."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.folder, self.max_bytes = folder, max_bytes

    def check_writable(self) -> None:
        """UserError, before minutes of fine-tuning, when nothing can be written there."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"the cache folder {self.folder} cannot be made ({error.strerror}); choose another --cache-dir") from error
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise UserError(f"the cache folder {self.folder} is not writable; choose another --cache-dir")

    @contextlib.contextmanager
    def locked(self, path: Path) -> Iterator[None]:
        """One worker at a time for a file: who comes second waits, and finds what the first has written. Where the file system has no locks, or the
        lock belongs to somebody else, two may do the same work, with equal weights."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(FileLock(path.with_suffix(".lock")))
            except (OSError, NotImplementedError) as error:
                _log.warning("the cache folder %s cannot be locked (%s); another process may do the same work", self.folder, error)
            yield

    def load(self, path: Path) -> PersonalWeights | None:
        """The weights of a file; None when there are none, or when the file is damaged: it then goes, and is made anew."""
        if not path.is_file():
            return None
        try:
            weights = PersonalWeights.load(path)
        except UserError as error:
            _log.warning("%s; it is made anew", str(error).split(";")[0])
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return weights

    def save(self, path: Path, weights: PersonalWeights) -> None:
        """Write, then remove the files that were not used for longest, beyond the limit. A full disk is a warning: the edit goes on."""
        try:
            weights.save(path)
        except UserError as error:
            _log.warning("%s; these weights are not kept", str(error).split(";")[0])
            return
        self.shrink(keep=path)

    def files(self) -> list[KeptWeights]:
        """All files, the one that was used last first."""
        kept = []
        for path in self.folder.glob(f"*{ENDING}"):
            with contextlib.suppress(OSError):  # removed by another process meanwhile
                status = path.stat()
                kept.append(KeptWeights(path, status.st_size, status.st_mtime))
        return sorted(kept, key=lambda file: -file.used)

    def shrink(self, keep: Path | None = None) -> None:
        """Remove the files that were not used for longest until the rest fit into the limit."""
        total = 0
        for file in self.files():
            total += file.bytes
            if total > self.max_bytes and file.path != keep:
                self.remove(file)

    def remove(self, file: KeptWeights) -> None:
        """A file, and its lock."""
        for path in (file.path, file.path.with_suffix(".lock")):
            with contextlib.suppress(OSError):
                path.unlink()

    def clear(self) -> list[KeptWeights]:
        """Remove all files. Returns what was there."""
        files = self.files()
        for file in files:
            self.remove(file)
        return files
