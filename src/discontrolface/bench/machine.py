"""What a piece of work takes on this machine (memory: common/usage.py), and what the machine can do at best. CPU or accelerator."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from discontrolface.common.errors import UserError
from discontrolface.common.usage import Work, synchronize


def check_device(device: str) -> str:
    """The device as it was given. UserError if PyTorch does not know it or it is not there."""
    try:
        torch.ones(1, device=device).item()
        synchronize(device)
    except Exception as error:  # RuntimeError for unknown names; AssertionError, NotImplementedError, ... from builds without the device
        found = torch.accelerator.current_accelerator() if hasattr(torch, "accelerator") else None  # since PyTorch 2.6
        known = "cpu" if found is None else f"cpu and {found.type}"
        raise UserError(f"device {device!r} cannot be used here; this PyTorch finds {known}") from error
    return device


# ---- time


@dataclass(frozen=True)
class Effort:
    """How often a piece of work runs: for so many seconds, but so many times at least and at most."""

    seconds: float
    least: int
    most: int


def times_ms(work: Work, effort: Effort, device: str = "cpu") -> list[float]:
    """Milliseconds of each run. The caller has run the work once to compile and to warm the caches."""
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < effort.least or (len(times) < effort.most and time.perf_counter() - begin < effort.seconds):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    return times


# ---- operations


def count_operations(work: Work) -> int:
    """Floating-point operations of the matrix products, convolutions and attentions that PyTorch runs in the work; a multiply-add counts as two."""
    with operation_counter() as counter:
        work()
    return int(counter.get_total_flops())


def operation_counter() -> Any:
    """PyTorch's counter, taught the attention of CPUs, which it leaves out."""
    from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

    def forward(query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
        return int(sdpa_flop_count(query, key, value))

    def backward(grad: Any, query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
        return int(sdpa_backward_flop_count(grad, query, key, value))

    names = {"_scaled_dot_product_flash_attention_for_cpu": forward, "_scaled_dot_product_flash_attention_for_cpu_backward": backward}
    known = {getattr(torch.ops.aten, name): formula for name, formula in names.items() if hasattr(torch.ops.aten, name)}
    return FlopCounterMode(display=False, custom_mapping=known)


def peak_speed(device: str = "cpu", seconds: float = 1.0) -> dict[str, float]:
    """The most operations a second that this machine was seen to do, float32: {"matrix product": ..., "convolution": ...}.

    Square matrices, and 3x3 convolutions of 128 channels, from small to large until one takes a fifth of `seconds`.
    """

    def product(size: int) -> tuple[Work, int]:
        a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
        return lambda: a @ b, 2 * size**3

    def convolution(size: int) -> tuple[Work, int]:
        layer: Any = torch.nn.Conv2d(128, 128, 3, padding=1)
        layer = layer.to(device=device, memory_format=torch.channels_last).requires_grad_(False)
        x = torch.randn(1, 128, size, size, device=device).to(memory_format=torch.channels_last)
        return lambda: layer(x), 2 * 9 * 128**2 * size**2

    return {
        "matrix product": _best(product, (512, 1024, 2048, 4096, 8192), device, seconds),
        "convolution": _best(convolution, (32, 64, 128, 256, 512, 1024), device, seconds),
    }


@torch.no_grad()
def _best(make: Callable[[int], tuple[Work, int]], sizes: tuple[int, ...], device: str, seconds: float) -> float:
    best = 0.0
    for size in sizes:
        work, operations = make(size)
        work()
        fastest = min(times_ms(work, Effort(seconds / len(sizes), 3, 200), device)) / 1000
        best = max(best, operations / fastest)
        if fastest > seconds / 5:
            break
    return best


# ---- who it is


def describe(device: str = "cpu") -> dict[str, str | int | float]:
    """Processor, cores, accelerator, versions, and what else is running."""
    from importlib.metadata import PackageNotFoundError, version

    module: Any = torch.get_device_module(torch.device(device))
    named = torch.device(device).type != "cpu" and hasattr(module, "get_device_name")
    try:
        package = version("discontrolface")
    except PackageNotFoundError:
        package = "not installed"
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "device": f"{device} ({module.get_device_name(device)})" if named else device,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "discontrolface": package,
    }


def _processor() -> str:
    """The processor's name as the system tells it."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def load_average() -> float:
    """Programs that wanted a core over the last minute, this one included; 0 where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0
