"""`discontrolface doctor`: what is installed here, what works with it, what is missing for what."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from discontrolface.cli.common import CacheOption, plain_errors, say
from discontrolface.cli.source import AssetsOption

PACKAGES: Final = ("discontrolface", "torch", "numpy", "scipy", "numba", "pillow", "safetensors", "ai-edge-litert")
# What an extra is for, and the modules that it brings; as in pyproject.toml (tests/test_doctor.py compares).
EXTRAS: Final = {
    "train": ("train, prepare", ("accelerate", "webdataset", "yaml", "tensorboard")),
    "ray": ("prepare --engine ray", ("ray",)),
    "reports": ("evaluate, --report", ("jinja2", "matplotlib")),
    "studio": ("studio", ("gradio", "fastapi", "uvicorn")),
    "video": ("animate", ("av",)),
    "heif": ("reading HEIC", ("pillow_heif",)),
    "c2pa": ("signed pictures", ("c2pa",)),
    "latent": ("autoencoders of diffusers", ("diffusers",)),
    "eval": ("evaluate with identity and FID", ("dlib", "face_recognition_models", "skimage")),
}


@dataclass(frozen=True)
class Finding:
    """One line. state: "ok", "missing" (something that not everybody needs) or "broken" (the open preset does not work)."""

    state: str
    what: str
    note: str


def doctor(
    cache_dir: CacheOption = None,
    assets_dir: AssetsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of lines.")] = False,
) -> None:
    """Look at this installation: versions, device, weights, folders; what is missing for which feature. Ends with 1 if the open preset is broken."""
    with plain_errors():
        findings = [*packages(), device(), *shipped_files(), cache(cache_dir), paper(assets_dir), *extras()]
        if as_json:
            say(json.dumps([vars(finding) for finding in findings], indent=1))
        else:
            for finding in findings:
                say(f"{finding.state:<8} {finding.what}: {finding.note}")
        if any(finding.state == "broken" for finding in findings):
            raise typer.Exit(1)


def packages() -> list[Finding]:
    """Python and what the package needs."""
    found = [Finding("ok", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores")]
    for name in PACKAGES:
        try:
            found.append(Finding("ok", name, version(name)))
        except PackageNotFoundError:
            found.append(Finding("broken", name, "not installed; run pip install discontrolface again"))
    return found


def device() -> Finding:
    """Where networks can run."""
    try:
        import torch
    except Exception as error:  # a broken build fails in many ways
        return Finding("broken", "device", f"PyTorch cannot be imported ({error}); install it again")
    if not torch.accelerator.is_available():
        return Finding("ok", "device", f"cpu, {torch.get_num_threads()} threads; no accelerator seen")
    kind = torch.accelerator.current_accelerator()
    return Finding("ok", "device", f"cpu, and {kind} x {torch.accelerator.device_count()} (--device {kind})")


def shipped_files() -> list[Finding]:
    """Every file of the open preset, read and compared."""
    from discontrolface.weights.shipped import list_shipped

    statuses = list_shipped()
    wrong = [s for s in statuses if s.state != "ok"]
    if not wrong:
        return [Finding("ok", "open preset", f"{len(statuses)} files whole")]
    return [Finding("broken", "open preset", f"{s.path}: {s.state} ({s.note}); install the package again") for s in wrong]


def cache(folder: Path | None) -> Finding:
    """Whether personal weights can be kept."""
    from discontrolface.editing.editor import default_cache

    folder = folder or default_cache()
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        return Finding("missing", "cache", f"{folder} cannot be written; give another with --cache-dir")
    return Finding("ok", "cache", str(folder))


def paper(folder: Path | None) -> Finding:
    """Whether the files of the paper preset were brought."""
    from discontrolface.common.folders import default_folder
    from discontrolface.weights.assets import paper_missing

    folder = folder or default_folder()
    lacking = paper_missing(folder)
    if not lacking:
        return Finding("ok", "paper preset", f"complete in {folder}")
    return Finding("missing", "paper preset", f"{len(lacking)} files that you bring, see `discontrolface assets`")


def extras(there: Callable[[str], Any] = find_spec) -> list[Finding]:
    """What else can be installed."""
    found = []
    for name, (use, modules) in EXTRAS.items():
        lacking = [module for module in modules if there(module) is None]
        state, note = ("missing", f"no {', '.join(lacking)}; pip install 'discontrolface[{name}]'") if lacking else ("ok", "installed")
        found.append(Finding(state, f"extra {name} ({use})", note))
    return found
