"""The latent preset's trained parts, for the next open weights: what training changed, added to what is made from these.

    discontrolface assets latent --untrained --preset OPEN_BEFORE -o before
    discontrolface assets latent --untrained -o now
    python scripts/latent_parts_moved.py PARTS.safetensors before now OUTPUT.safetensors

For weights that moved little since the parts were trained ("task arithmetic", Ilharco et al., ICLR 2023).
Measure the result, or train them again (docs/latent.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from discontrolface.common.errors import UserError
from discontrolface.common.weights_id import weights_id
from discontrolface.weights.latent_parts import NETWORKS, write_parts
from discontrolface.weights.manifest import preset_folder
from discontrolface.weights.preset import load_preset


def made(folder: Path) -> dict[str, Tensor]:
    """{NETWORK/NAME: tensor} of a preset."""
    preset: Any = load_preset(folder)
    networks = dict(zip(NETWORKS, (preset.model, preset.control), strict=True))
    return {f"{name}/{key}": value.float() for name, network in networks.items() for key, value in network.state_dict().items()}


def moved(parts: dict[str, Tensor], before: dict[str, Tensor], now: dict[str, Tensor]) -> dict[str, Tensor]:
    """now + (parts - before), as halves. UserError for parts that the presets do not have."""
    for name, value in parts.items():
        for of in (before, now):
            if name not in of or of[name].shape != value.shape:
                raise UserError(f"{name} of the trained parts is not in both presets in that shape; give those that `assets latent` makes")
    return {name: (now[name] + value.float() - before[name]).half().contiguous() for name, value in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", type=Path)
    parser.add_argument("before", type=Path, help="made, untrained, from the weights that the parts were trained beside")
    parser.add_argument("now", type=Path, help="made, untrained, from the weights that they are for")
    parser.add_argument("output", type=Path)
    parser.add_argument("--preset", default="open", help="the preset on pixels that they are for")
    args = parser.parse_args()
    pixels: Any = load_preset(preset_folder(args.preset))
    old = load_file(args.parts)
    parts = moved(old, made(args.before), made(args.now))
    write_parts(args.output, weights_id(pixels.model, pixels.control), parts)
    change = torch.cat([(parts[name].float() - value.float()).flatten() for name, value in old.items()]).norm()
    print(f"{args.output}: {len(parts)} tensors, moved by {float(change):.4g} in all")


if __name__ == "__main__":
    main()
