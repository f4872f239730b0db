"""Our DiffusionRig beside its official code, in one process, the same random weights, interleaved: seconds of processor time, agreement.

    python -m discontrolface.bench.vs_diffusionrig PATH_TO_CHECKOUT --rounds 7 --threads 1

PATH is a checkout of github.com/adobe-research/diffusion-rig; its `diffusion/` and `utils/` are imported (they need torchvision), and nothing of it
is in this repository. Processor time of one thread is what others on the machine disturb least.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from discontrolface.bench.vs_official import compare, fill
from discontrolface.reports import to_markdown
from discontrolface.reports.content import Cell, Report, Section, Table
from discontrolface.weights import import_diffusionrig


def official_network(checkout: Path) -> nn.Module:
    """The official 256 px network, from a checkout. Ends the program where there is none, or no torchvision."""
    if not (checkout / "utils" / "script_util.py").is_file():
        sys.exit(f"{checkout} is no checkout of adobe-research/diffusion-rig: it has no utils/script_util.py")
    sys.path.insert(0, str(checkout))
    try:
        script: Any = importlib.import_module("utils.script_util")
    except ImportError as error:
        sys.exit(f"the official code needs a module that is not installed: {error}")
    network: nn.Module = script.create_model_and_diffusion(**script.model_and_diffusion_defaults())[0]
    fill(network)
    return network.eval()


@torch.inference_mode()
def measure(checkout: Path, rounds: int, threads: int) -> Table:
    """Forwards of U-Net and encoder."""
    theirs: Any = official_network(checkout)
    ours: Any = import_diffusionrig(dict(theirs.state_dict()))
    ours = ours.to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(1)
    x_t, x_start = (torch.randn(1, 3, 256, 256, generator=generator) for _ in range(2))
    physical, t = torch.rand(1, 9, 256, 256, generator=generator) * 2 - 1, torch.tensor([500])
    code = ours.encode(x_start)
    cases: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "U-Net forward": (lambda: theirs.denoisingUNet(x_t, t, physical, code), lambda: ours(x_t, t, physical, code=code)),
        "encoder": (lambda: theirs.encoder(x_start), lambda: ours.encode(x_start)),
    }
    errors = {name: (a() - b()).abs().max().item() for name, (a, b) in cases.items()}
    rows: list[tuple[Cell, ...]] = []
    for name, (a, b) in compare(cases, rounds, time.process_time).items():
        rows.append((name, f"{a:.2f} s", f"{b:.2f} s", f"{b / a:.2f}", f"{errors[name]:.1e}"))
    how = f"256 px, batch 1, float32, {threads} threads, torch {torch.__version__}, median processor time of {rounds} interleaved runs"
    return Table(f"DiffusionRig: {how}", ("case", "official", "ours", "ours / official", "largest difference"), tuple(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="a checkout of github.com/adobe-research/diffusion-rig")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    table = measure(args.checkout, args.rounds, args.threads)
    print(to_markdown(Report("", "", (Section("Beside the official code", tables=(table,)),)), lambda image: None))


if __name__ == "__main__":
    main()
