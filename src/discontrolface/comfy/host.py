"""What ComfyUI offers a running node: its progress bar, its cancel button. Without ComfyUI (tests): nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def progress(total: int) -> Callable[[int], None]:
    """Tell ComfyUI how much is done; it raises its own exception, which is let through, when the user cancelled."""
    try:
        from comfy.model_management import throw_exception_if_processing_interrupted
        from comfy.utils import ProgressBar
    except ImportError:
        return lambda done: None
    bar: Any = ProgressBar(total)

    def report(done: int) -> None:
        throw_exception_if_processing_interrupted()
        bar.update_absolute(done, total)

    return report
