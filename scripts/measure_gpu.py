"""What docs/scale.md lacks on your GPU, in one command of a few minutes: frames of `animate`, training steps, one-shot, and an edit; but for the
frames by default of the paper's networks.

python scripts/measure_gpu.py --output measured.json                                        # on the device that accelerate finds
python scripts/measure_gpu.py --config open_expfacenet_8 --batches 64,128 --compile
python scripts/measure_gpu.py --only frames,edit
python scripts/measure_gpu.py --network debug --device cpu --batches 2 --steps 3            # to try it

Random weights and random pictures, but for the frames: the time does not depend on them. Pictures lie on the device as bytes (training/pool.py).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from discontrolface.common.example import example_photo
from discontrolface.common.parallel import cores, single_thread
from discontrolface.common.pixels import to_float
from discontrolface.diffusion.condition import EditCondition
from discontrolface.diffusion.sampling import sample
from discontrolface.editing.animate import animate, processes_beside, sampling_of_frames
from discontrolface.editing.editor import Editor
from discontrolface.editing.personalize import PAPER_ONE_SHOT, Subject, fine_tune
from discontrolface.face.heads.registry import find_head
from discontrolface.face.parameters import FaceParameters
from discontrolface.nets.backbone import make_backbone
from discontrolface.nets.presets import CONFIGS
from discontrolface.training.config import TrainConfig, load_config
from discontrolface.training.dataset import CHANNELS, StepData
from discontrolface.training.objective import control_beside
from discontrolface.training.pool import Pool
from discontrolface.training.train import Run, make_accelerator

PAIRS = 64  # in the pool
EDIT_STEPS = 20  # the paper's
FRAMES = {"threads": 300, "processes": 640}  # in each way
KINDS = ("frames", "training", "one-shot", "edit")


def settle(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def gigabytes(device: torch.device) -> float | None:
    """The most memory that was in use since it was last asked."""
    if device.type == "cpu":
        return None
    most = torch.accelerator.max_memory_allocated(device)
    torch.accelerator.reset_peak_memory_stats(device)
    return round(most / 1e9, 2)


def new_objective(config: TrainConfig) -> Any:
    """The run's networks with random weights."""
    torch.manual_seed(0)
    return control_beside(config, make_backbone(CONFIGS[config.network]()))


def training(config: TrainConfig, steps: int, device: str | None) -> dict[str, Any]:
    """Steps as `train` takes them: pictures a second, the first step (compilation), memory."""
    accelerator = make_accelerator(config, device)
    objective = new_objective(config)
    pool = Pool(PAIRS, objective.model.image_size, config.head, accelerator.device)
    rng = np.random.default_rng(0)
    for _ in range(PAIRS // 8):
        pool.put(
            rng.integers(0, 256, (8, CHANNELS, pool.size, pool.size)).astype(np.uint8),
            [False] * 8,
            torch.tensor([0.5, 0.6, 0.7, 0.0]).expand(8, 2, 4),
        )
    times = []
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config, objective, accelerator, Path(folder) / "state.pt")
        data = StepData(pool, config, space=run.space)
        for step in range(steps + 1):
            begin = time.perf_counter()
            run.step(step, data[step])
            settle(accelerator.device)
            times.append(time.perf_counter() - begin)
    pace = statistics.median(times[1:])
    return {
        "batch": config.batch,
        "precision": config.precision,
        "compile": config.compile,
        "first step, s": round(times[0], 2),
        "other slow steps, s": [round(t, 2) for t in times[1:] if t > 3 * pace],
        "step, s": round(pace, 4),
        "pictures a second": round(config.batch / pace, 1),
        "GB": gigabytes(accelerator.device),
    }


def one_shot(config: TrainConfig, iterations: int, device: torch.device) -> dict[str, Any]:
    """The paper's one-shot fine-tuning, some iterations of it, by the code that personalizes."""
    objective = new_objective(config).to(device=device, memory_format=torch.channels_last)
    control = objective.control.requires_grad_(True)
    size = objective.model.image_size
    geometry = find_head(config.head).geometry()
    face = FaceParameters.default(geometry.head)
    subject = Subject(to_float(np.random.default_rng(0).integers(0, 256, (size, size, 3)).astype(np.uint8)), face, geometry)
    out: dict[str, Any] = {}
    for precision in ("no", "bf16"):
        ends: list[float] = []

        def end(done: int, total: int, loss: float, ends: list[float] = ends) -> None:
            settle(device)
            ends.append(time.perf_counter())

        settings = dataclasses.replace(PAPER_ONE_SHOT, iterations=iterations + 2, precision=precision, mask_patch=config.mask_patch)
        fine_tune(objective.model, control, subject, settings, "", torch.Generator().manual_seed(0), end)
        pace = (ends[-1] - ends[2]) / (len(ends) - 3)
        out["float32" if precision == "no" else precision] = {
            "iteration of 4, s": round(pace, 4),
            f"all {PAPER_ONE_SHOT.iterations}, s": round(pace * PAPER_ONE_SHOT.iterations, 1),
            "GB": gigabytes(device),
        }
    return out


def edit(config: TrainConfig, device: torch.device) -> dict[str, Any]:
    """The networks' part of an edit from noise in 20 steps, the masked photo encoded anew at every one, as `edit` does it."""
    objective = new_objective(config).to(device=device, memory_format=torch.channels_last).eval()
    size, space = objective.model.image_size, objective.space
    generator = torch.Generator().manual_seed(0)
    out: dict[str, Any] = {}
    for precision in ("float32", "bf16"):
        times = []
        for _ in range(3):
            source, snapshot = (
                torch.rand(1, n, size, size).mul(2).sub(1).to(device) for n in (3, objective.control.config.snapshot_channels)
            )
            noise = torch.randn(1, space.channels, space.size, space.size).to(device)
            begin = time.perf_counter()
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                condition = EditCondition(objective.model, objective.control, source, snapshot, EDIT_STEPS, "linear", generator)
                sample(objective.model, noise, steps=EDIT_STEPS, condition=condition)
            settle(device)
            times.append(time.perf_counter() - begin)
        out[precision] = {f"{EDIT_STEPS} steps, s": round(min(times), 3), "GB": gigabytes(device)}
    return out


def frames(device: torch.device) -> dict[str, Any]:
    """Frames a second of `animate` with the open preset, every core at a batch of its own: the example photo turns its head and smiles.

    By threads, and by processes beside the networks. Frames count from the first quarter to the last, between which as many are under way at the
    beginning as at the end; when the first one was there is said beside them.
    """
    single_thread()
    editor = Editor.load("open", device=str(device))
    photo = editor.read(example_photo())
    sampling = sampling_of_frames(editor.preset.sampling)
    out: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in (256, 512):  # a photo that is the face's crop, of so many pixels
            path = Path(folder) / f"{size}.png"
            Image.fromarray(photo.crop.resize(size).image).save(path)
            person = editor.read(path)
            for way, count in FRAMES.items():
                processes = 0 if way == "threads" else processes_beside(editor, count)
                if way == "processes" and not processes:
                    continue  # the networks are on the cores
                waves = np.sin(np.arange(count) / 8)
                targets = [person.parameters.edit(yaw=float(10 * w), expression={"smile": float(0.4 + 0.4 * w)}) for w in waves]
                begin = time.perf_counter()
                ends = [time.perf_counter() for _ in animate(editor, person, targets, sampling, workers=cores(), processes=processes)]
                out[f"{size} px, {way}"] = {
                    "first frame, s": round(ends[0] - begin, 1),
                    "frames a second": round((count // 2) / (ends[3 * count // 4] - ends[count // 4]), 1),
                    "frames": count,
                }
                print(f"{size} px, {way}: {json.dumps(out[f'{size} px, {way}'])}", flush=True)
    return {"cores": cores(), **out}


def measurements(config: TrainConfig, args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """(what, numbers), one after the other."""
    device = make_accelerator(config, args.device).device
    name = device.type if device.type == "cpu" else torch.get_device_module(device).get_device_name(device)
    yield "machine", {"device": name, "torch": torch.__version__, "network": config.network}
    if "frames" in args.only:
        yield "frames of animate", frames(device)
    for batch in (int(b) for b in args.batches.split(",")) if "training" in args.only else ():
        for compiled in (False, True) if args.compile else (False,):
            sized = dataclasses.replace(config, batch=batch, accumulate=1, compile=compiled)
            what = f"training, batch {batch}{', compiled' if compiled else ''}"
            try:
                yield what, training(sized, args.steps, args.device)
            except RuntimeError as error:  # out of memory: the others go on
                yield what, f"failed: {str(error).splitlines()[0]}"
            torch._dynamo.reset()
    if "one-shot" in args.only:
        yield "one-shot", one_shot(config, args.steps, device)
    if "edit" in args.only:
        yield "edit", edit(config, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, help="a training config [default: the paper's, with the open head's snapshots]")
    parser.add_argument("--network", choices=list(CONFIGS), help="another network than the config's")
    parser.add_argument("--device", help="cpu, or what accelerate finds")
    parser.add_argument("--batches", default="8,16,32")
    parser.add_argument("--steps", type=int, default=20, help="of each kind that are timed")
    parser.add_argument("--precision", default="bf16", choices=("no", "bf16"), help="of training")
    parser.add_argument("--compile", action="store_true", help="also compiled")
    parser.add_argument("--only", default=",".join(KINDS), help="some of them, with commas [default: all]")
    parser.add_argument("--output", type=Path, help="a .json")
    args = parser.parse_args()
    args.only = args.only.split(",")
    if unknown := [kind for kind in args.only if kind not in KINDS]:
        parser.error(f"--only {unknown[0]} is not known; choose from {', '.join(KINDS)}")
    config = TrainConfig(network="ffhq256", batch=32) if args.config is None else load_config(args.config)
    patch = {"mask_patch": 4, "crop": 0} if args.network == "debug" else {}
    config = dataclasses.replace(config, network=args.network or config.network, precision=args.precision, **patch)
    measured: dict[str, Any] = {}
    for what, numbers in measurements(config, args):
        measured[what] = numbers
        print(f"{what}: {json.dumps(numbers)}", flush=True)
        if args.output is not None:
            args.output.write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
