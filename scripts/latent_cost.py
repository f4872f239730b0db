"""What an edit's denoising costs on pixels and on latents at 512 pixels: operations, seconds of CPU, memory. `python scripts/latent_cost.py`.

The networks of the open preset with new weights (time and memory do not depend on them): on 512 pixels in 4x4 patches, as at 256; on latents.
Each case runs in a process of its own, so that the peak of its memory is its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
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
    "predicted (2 passes)": Sampling(start="predicted", steps=10, strength=0.1, masking="A"),
    "noise, 20 steps": Sampling(masking="linear"),
}
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
    )
    return tuple(net.to(memory_format=torch.channels_last).eval().requires_grad_(False) for net in (model, control))


@torch.no_grad()
def edited(model: Any, control: Any, sampling: Sampling, picture: torch.Tensor, snapshot: torch.Tensor) -> torch.Tensor:
    """What `editing/pipeline.py` does between its preparation and its compositing."""
    generators = [torch.Generator().manual_seed(0)]
    noise = white_noise(model, generators, "cpu")
    condition = EditCondition(model, control, picture, snapshot, sampling.predictions, sampling.masking, generators, 32)
    if sampling.start == "predicted":
        return model.from_space(predicted_then_refined(model, noise, condition, generators, sampling, None))
    return model.from_space(sample(model, noise, condition=condition, steps=sampling.steps))


def measure(space: str, name: str, rounds: int) -> dict[str, float]:
    """GFLOP, the least CPU seconds of so many rounds, and by how many MB the first raised the peak of the process's memory."""
    torch.set_num_threads(1)
    model, control = networks(space)
    maps = torch.rand(1, 3 + control.spec.channels, 512, 512, generator=torch.Generator().manual_seed(0)).mul_(2).sub_(1)

    def work() -> torch.Tensor:
        return edited(model, control, SAMPLINGS[name], maps[:, :3], maps[:, 3:])

    before, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    raised = 0
    for _ in range(rounds):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
        raised = raised or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    operations = count_operations(work)
    return {"GFLOP": operations / 1e9, "CPU s": min(seconds), "MB": raised / 1024}


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
            order = [sys.executable, __file__, "--only", space, name, "--rounds", str(args.rounds)]
            cases[space] = json.loads(subprocess.run(order, check=True, capture_output=True, text=True).stdout)
        for key in ("GFLOP", "CPU s", "MB"):
            pixels, latents = cases["pixels"][key], cases["latents"][key]
            print(f"| {name} | {key} | {pixels:.1f} | {latents:.1f} | {latents / pixels:.2f} |", flush=True)


if __name__ == "__main__":
    main()
