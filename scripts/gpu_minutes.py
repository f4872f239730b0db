"""Minutes of a rented GPU, from an album to averaged weights and states that can go on (docs/scale.md): the backbone, then Exp-FaceNet, then that
once more by another config.

PYTHONPATH=src python scripts/gpu_minutes.py people.zip OUT --backbone-minutes 3 --minutes 12
PYTHONPATH=src python scripts/gpu_minutes.py people.zip OUT --config open_expfacenet_17 --then open_expfacenet_18 --then-minutes 5 --minutes 11

Nothing is fetched, nothing but OUT and --run is written. The package need not be installed: it is run from the working tree. Pairs are made on
the machine's cores from the first second to the last, for all of them, as the first config of Exp-FaceNet says.

  OUT/diffae, exp_facenet, then                   averaged weights as a preset holds them, float16
  OUT/diffae-state, exp_facenet-state, then-state the states in files of less than 15.5 MB (training/pieces.py)
  OUT/*.jsonl                             losses
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

import torch

from discontrolface.common.parallel import cores
from discontrolface.nets.diffae import DiffAE
from discontrolface.nets.exp_facenet import ExpFaceNet
from discontrolface.training.config import TrainConfig, load_config
from discontrolface.training.run import reporter
from discontrolface.training.stream import Stream
from discontrolface.training.train import make_accelerator, train

OPEN = Path(__file__).resolve().parents[1] / "src" / "discontrolface" / "assets" / "open"
BEGUN = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGUN:6.1f} s  {text}", flush=True)


def half(network: type[DiffAE] | type[ExpFaceNet], weights: Path, folder: Path) -> None:
    """Weights in a preset's form."""
    network.from_pretrained(weights).half().save_pretrained(folder)


def learn(
    config: TrainConfig, data: Stream, args: argparse.Namespace, name: str, start: Path, minutes: float, backbone: Path | None
) -> Path:
    """One network from the weights in `start`, to its averaged weights."""
    run, state = args.run / name, args.output / f"{name}-state"
    before = args.import_state / state.name if args.import_state else None
    if before is not None and name == "then" and not before.is_dir():
        before = None  # that time had no second config
    say(f"{name}: {minutes:.2f} minutes from now")
    try:
        weights = train(
            config,
            data,
            run,
            backbone,
            args.device,
            reporter(config, say),
            start_from=start,
            export_state=state,
            import_state=before,
            end_after=60 * minutes,
            say=say,
        )
    finally:
        if (run / "log.jsonl").is_file():
            shutil.copyfile(run / "log.jsonl", args.output / f"{name}.jsonl")
    half(DiffAE if name == "diffae" else ExpFaceNet, weights, args.output / name)
    say(f"{name}: {data.word()}")
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("album", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0, help="of it all, from now")
    parser.add_argument(
        "--backbone-minutes", type=float, default=0.0, help="of them for the backbone; 0: the one to start with stays as it is"
    )
    parser.add_argument("--backbone-config", type=Path, default=Path("open_diffae_2"))
    parser.add_argument("--config", type=Path, default=Path("open_expfacenet_12"))
    parser.add_argument("--then", type=Path, help="a config by which Exp-FaceNet goes on from the averaged weights of --config")
    parser.add_argument("--then-minutes", type=float, default=0.0, help="of --minutes for it")
    parser.add_argument("--start", type=Path, default=OPEN, help="a preset's folder: the weights to start with [default: the shipped ones]")
    parser.add_argument("--import-state", type=Path, help="the OUT of an earlier time, to go on from its states")
    parser.add_argument("--run", type=Path, default=Path("runs/gpu"), help="for checkpoints")
    parser.add_argument("--device", help="cpu, or what accelerate finds")
    parser.add_argument("--workers", type=int, default=0, help="processes that make pairs; 0: all cores but two")
    parser.add_argument("--until", type=Path, help="a file that may say, until Exp-FaceNet begins, how many minutes it all has instead")
    args = parser.parse_args()
    if (args.then is None) != (args.then_minutes <= 0):
        parser.error("--then and --then-minutes belong together; give both or neither")
    for folder in (args.output, args.run):
        folder.mkdir(parents=True, exist_ok=True)
    first, second = load_config(args.backbone_config), load_config(args.config)
    third = None if args.then is None else load_config(args.then)
    device = make_accelerator(second, args.device).device
    torch.set_num_threads(1)  # the cores make pairs; several threads of ours would wait for one another
    with Stream(args.album, second, 256, device, args.workers or max(1, cores() - 2)) as data:
        data.start(0)
        backbone = args.start / "diffae"
        if args.backbone_minutes:
            backbone = learn(first, data, args, "diffae", backbone, args.backbone_minutes, None)
        whole = float(args.until.read_text()) if args.until is not None and args.until.is_file() else args.minutes

        def left() -> float:
            return whole - (time.monotonic() - BEGUN) / 60

        weights = learn(second, data, args, "exp_facenet", args.start / "exp_facenet", left() - args.then_minutes, backbone)
        if third is not None:
            learn(third, data, args, "then", weights, left(), backbone)
    say("done")


if __name__ == "__main__":
    main()
