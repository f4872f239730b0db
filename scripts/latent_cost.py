"""What an edit's denoising costs on pixels and on latents at 512 pixels: operations, seconds of CPU, memory. `python scripts/latent_cost.py`.

The networks of the open preset with new weights (time and memory do not depend on them): on 512 pixels in 4x4 patches, as at 256; on latents.
Each case runs in a process of its own, so that the peak of its memory is its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from discontrolface.bench.machine import count_operations
from discontrolface.common.snapshot_spec import OPEN_MAPS
from discontrolface.diffusion.condition import EditCondition
from discontrolface.diffusion.sampling import sample
from discontrolface.diffusion.settings import Sampling
from discontrolface.editing.pipeline import predicted_then_refined, white_noise
from discontrolface.nets.backbone import make_backbone
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.nets.presets import latent_config, open_diffae_config

MAPS = (*OPEN_MAPS, "source", "source_normals")
SAMPLINGS = {
    "predicted (3 passes)": Sampling(start="predicted", steps=10, strength=0.1),
    "noise, 20 steps": Sampling(masking="linear"),
}
# glibc then gives freed memory back at once: the peak is of what is in use, and the same in every run.
BACK_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
SPACES: dict[str, dict[str, Any]] = {"pixels": open_diffae_config() | {"image_size": 512}, "latents": latent_config()}


def networks(space: str) -> tuple[Any, Any]:
    """Backbone and control network with new weights."""
    model: Any = make_backbone(SPACES[space])
    control: Any = ExpFaceNet.from_backbone(
        model,
        snapshot_maps=MAPS,
        preview_gate="visibility",
        preview_correction=True,
        source_gate=True,
        stem_shrink=2 if space == "latents" else 1,  # as `assets latent` makes it
        mix_decoded=space == "latents",
    )
    return tuple(net.to(memory_format=torch.channels_last).eval().requires_grad_(False) for net in (model, control))


@torch.no_grad()
def edited(model: Any, control: Any, sampling: Sampling, picture: torch.Tensor, snapshot: torch.Tensor) -> torch.Tensor:
    """What `editing/pipeline.py` does between its preparation and its compositing."""
    generators = [torch.Generator().manual_seed(0)]
    noise = white_noise(model, generators, "cpu")

    def steered_by(mirrored: bool = False) -> EditCondition:
        seen = picture.flip(-1) if mirrored else picture
        about: dict[str, Any] = {"finishes": not mirrored, "mirrored": mirrored}
        return EditCondition(model, control, seen, snapshot, sampling.predictions, sampling.masking, generators, 32, **about)

    condition = steered_by()
    if sampling.start == "predicted":
        x0 = predicted_then_refined(model, noise, condition, lambda: steered_by(mirrored=True), generators, sampling, None)
    else:
        x0 = sample(model, noise, condition=condition, steps=sampling.steps)
    return condition.finish(model.from_space(x0))


def resident() -> int:
    """Bytes of memory that this process holds now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure(space: str, name: str, rounds: int) -> dict[str, float]:
    """GFLOP, the least CPU seconds of so many rounds, and by how many MB the first raised the process's memory at its peak."""
    torch.set_num_threads(1)
    model, control = networks(space)
    maps = torch.rand(1, 3 + control.spec.channels, 512, 512, generator=torch.Generator().manual_seed(0)).mul_(2).sub_(1)

    def work() -> torch.Tensor:
        return edited(model, control, SAMPLINGS[name], maps[:, :3], maps[:, 3:])

    with torch.no_grad():
        model.encode(maps[:, :3])  # what PyTorch takes for its own the first time is no part of it
    before, seconds, raised = resident(), [], 0
    for _ in range(rounds):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
        raised = raised or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    operations = count_operations(work)
    return {"GFLOP": operations / 1e9, "CPU s": min(seconds), "MB": raised / 1e6}


def case(order: list[str], beside: Mapping[str, str] | None = None) -> dict[str, float]:
    """What one process measures, with these environment variables beside its own."""
    done = subprocess.run(order, check=True, capture_output=True, text=True, env={**os.environ, **(beside or {})})
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs=2, metavar=("SPACE", "SAMPLING"), help="one case, as JSON; the others are run this way")
    args = parser.parse_args()
    if args.only:
        print(json.dumps(measure(*args.only, args.rounds)))
        return
    print("| denoising | measure | pixels | latents | ratio |\n|---|---|---|---|---|")
    for name in SAMPLINGS:
        cases = {}
        for space in SPACES:
            order = [sys.executable, __file__, "--only", space, name, "--rounds"]
            cases[space] = case([*order, str(args.rounds)]) | {"MB": case([*order, "1"], BACK_AT_ONCE)["MB"]}
        for key in ("GFLOP", "CPU s", "MB"):
            pixels, latents = cases["pixels"][key], cases["latents"][key]
            print(f"| {name} | {key} | {pixels:.1f} | {latents:.1f} | {latents / pixels:.2f} |", flush=True)


if __name__ == "__main__":
    main()
