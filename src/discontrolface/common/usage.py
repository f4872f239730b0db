"""What memory a piece of work takes on this machine. CPU or accelerator."""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Work = Callable[[], object]


def synchronize(device: str) -> None:
    """Wait until the device has done all that it was asked for."""
    at = torch.device(device)
    module: Any = torch.get_device_module(at)
    module.synchronize(at) if at.index else module.synchronize()  # not every kind of device takes an argument


def peak_growth(work: Work, device: str = "cpu") -> float | None:
    """MB (2^20 bytes) by which the memory in use grows at most during the work; None where that cannot be measured.

    CPU: the process's resident size, by Linux's high-water mark. Accelerator: what PyTorch's allocator has handed out.
    """
    if torch.device(device).type != "cpu":
        return _device_growth(work, device)
    try:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was freed before does not hide what is needed now
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
        before = _resident("VmRSS:")
    except (OSError, StopIteration):
        work()
        return None
    work()
    return max(0, _resident("VmHWM:") - before) / 1024


def _resident(name: str, process: int | str = "self") -> int:
    """A line of a process's status, kB. OSError or StopIteration where the system tells none, or the process has ended."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def process_peak(process: subprocess.Popen[bytes]) -> float | None:
    """Wait for a process; MB (2^20 bytes) that it had in memory at most, to the last hundredth of a second. None where that cannot be measured."""
    highest = None
    while process.poll() is None:
        with contextlib.suppress(OSError, StopIteration):
            highest = _resident("VmHWM:", process.pid) / 1024
        time.sleep(0.01)
    return highest


def _device_growth(work: Work, device: str) -> float | None:
    module: Any = torch.get_device_module(torch.device(device))
    if not hasattr(module, "max_memory_allocated"):
        work()
        return None
    synchronize(device)
    module.reset_peak_memory_stats(device)
    before = module.memory_allocated(device)
    work()
    synchronize(device)
    return (module.max_memory_allocated(device) - before) / 2**20
