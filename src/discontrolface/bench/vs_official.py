"""Ours beside the official Diff-AE code, in one process, the same weights, interleaved: time, memory, agreement.

    python -m discontrolface.bench.vs_official PATH_TO_DIFFAE_CHECKOUT --network ffhq256 --rounds 5 --threads 2 --output table.md
    python -m discontrolface.bench.vs_official PATH_TO_DIFFAE_CHECKOUT --network tiny          # a minute, to see that it works

PATH is a checkout of github.com/phizaz/diffae (its `model/` and `diffusion/` are imported; nothing of it is in this repository).
Weights are random, the same for both. One forward: every round runs each official case and then ours, or the other way round in every second round;
medians are reported. Whole decodes: the official sampler, ours and an edit advance in turn, step by step, so that a machine whose speed drifts is
fair to all three; the median step times the number of steps is reported, with the ratio's range from step to step. Memory is the growth of the peak
resident size during one call (Linux). `--open` adds the open preset's quality table.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from discontrolface.common.files import write_atomically
from discontrolface.common.usage import peak_growth
from discontrolface.diffusion import EditCondition, sample
from discontrolface.diffusion.sampling import denoise
from discontrolface.diffusion.schedule import denoising_timesteps
from discontrolface.nets import DiffAE, ExpFaceNet
from discontrolface.reports import to_markdown
from discontrolface.reports.content import Cell, Report, Section, Table
from discontrolface.weights import import_diffae

NETWORKS: dict[str, dict[str, Any]] = {
    "tiny": {"image_size": 64, "model_channels": 32, "channel_mult": (1, 1, 2, 2), "enc_channel_mult": (1, 1, 2, 2, 2), "width": 64},
    "celeba64": {"image_size": 64, "model_channels": 64, "channel_mult": (1, 2, 4, 8), "enc_channel_mult": (1, 2, 4, 8, 8), "width": 512},
    "ffhq128": {
        "image_size": 128,
        "model_channels": 128,
        "channel_mult": (1, 1, 2, 3, 4),
        "enc_channel_mult": (1, 1, 2, 3, 4, 4),
        "width": 512,
    },
    "ffhq256": {
        "image_size": 256,
        "model_channels": 128,
        "channel_mult": (1, 1, 2, 2, 4, 4),
        "enc_channel_mult": (1, 1, 2, 2, 4, 4, 4),
        "width": 512,
    },
}


class Official:
    """The official networks and sampler, from a checkout."""

    def __init__(self, checkout: Path, network: dict[str, Any], steps: int) -> None:
        if not (checkout / "model" / "unet_autoenc.py").is_file():
            sys.exit(f"{checkout} is no checkout of phizaz/diffae: it has no model/unet_autoenc.py")
        sys.path.insert(0, str(checkout))
        unet, base, spaced, choices = (
            importlib.import_module(m) for m in ("model.unet_autoenc", "diffusion.base", "diffusion.diffusion", "choices")
        )
        numbers = {key: value for key, value in network.items() if key != "width"}
        self.model: nn.Module = unet.BeatGANsAutoencConfig(
            **numbers,
            embed_channels=network["width"],
            enc_out_channels=network["width"],
            enc_pool="adaptivenonzero",
            resnet_two_cond=True,
            resblock_updown=True,
        ).make_model()
        self.sampler = self.make_sampler(base, spaced, choices, steps)

    @staticmethod
    def make_sampler(base: ModuleType, spaced: ModuleType, choices: ModuleType, steps: int) -> Any:
        return spaced.SpacedDiffusionBeatGansConfig(
            gen_type=base.GenerativeType.ddim,
            betas=base.get_named_beta_schedule("linear", 1000),
            model_type=choices.ModelType.autoencoder,
            model_mean_type=base.ModelMeanType.eps,
            model_var_type=base.ModelVarType.fixed_large,
            loss_type=base.LossType.mse,
            rescale_timesteps=False,
            fp16=False,
            use_timesteps=spaced.space_timesteps(1000, f"ddim{steps}"),
        ).make_sampler()


def fill(model: nn.Module) -> None:
    """Random weights everywhere, also where the official start is zero, small enough that 20 steps stay finite."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5)


Clock = Callable[[], float]


def seconds(call: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    start = clock()
    call()
    return clock() - start


def compare(
    cases: dict[str, tuple[Callable[[], object], Callable[[], object]]], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, tuple[float, float]]:
    """Median seconds of (official, ours) per case, interleaved. clock: `time.process_time` on a machine that others use too."""
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in cases}
    for official, ours in cases.values():  # warm up
        official(), ours()
    for turn in range(rounds):
        for name, pair in cases.items():
            for which in (0, 1) if turn % 2 == 0 else (1, 0):
                times[name][which].append(seconds(pair[which], clock))
    return {name: (statistics.median(a), statistics.median(b)) for name, (a, b) in times.items()}


def in_turn(runs: dict[str, Iterator[Tensor]]) -> tuple[dict[str, Tensor], dict[str, list[float]]]:
    """The last picture of each run, and the seconds of each of its steps; the runs take turns, in the other order at every second step."""
    last: dict[str, Tensor] = {}
    paces: dict[str, list[float]] = {name: [] for name in runs}
    order = list(runs)
    while True:
        for name in order:
            start = time.perf_counter()
            picture = next(runs[name], None)
            if picture is None:
                return last, paces
            paces[name].append(time.perf_counter() - start)
            last[name] = picture
        order.reverse()


@torch.inference_mode()
def measure(args: argparse.Namespace) -> Table:
    network = NETWORKS[args.network]
    official = Official(args.checkout, network, args.steps)
    fill(official.model)
    theirs: Any = official.model.eval()
    ours: Any = import_diffae(dict(theirs.state_dict()), image_size=network["image_size"])
    control: Any = ExpFaceNet.from_backbone(ours).eval()
    fill(control)
    ours, control = (m.to(memory_format=torch.channels_last) for m in (ours, control))

    size, generator = network["image_size"], torch.Generator().manual_seed(1)
    x0 = torch.rand(1, 3, size, size, generator=generator) * 2 - 1
    noise = torch.randn(1, 3, size, size, generator=generator)
    snapshot = torch.rand(1, 6, size, size, generator=generator) * 2 - 1
    t = torch.tensor([500])
    z = ours.encode(x0)

    def official_steps() -> Iterator[Tensor]:
        kwargs = {"cond": z, "x_start": x0}
        for step in official.sampler.ddim_sample_loop_progressive(theirs, noise=noise, model_kwargs=kwargs):
            yield step["sample"]

    def our_steps(condition: Any) -> Iterator[Tensor]:
        def predict_x0(index: int, x_t: Tensor, t: Tensor) -> Tensor:
            step_z, signal = condition(index, t, x_t)
            return ours.noise_process.to_x0(ours(x_t, t, step_z, control=signal), x_t, t)

        for step in denoise(predict_x0, noise, denoising_timesteps(args.steps), ours.noise_process):
            yield step.sample

    forward: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "U-Net forward": (lambda: theirs(noise, t, cond=z).pred, lambda: ours(noise, t, z)),
        "encoder": (lambda: theirs.encoder(x0), lambda: ours.encode(x0)),
    }
    errors = {name: (a() - b()).abs().max().item() for name, (a, b) in forward.items()}
    times = compare(forward, args.rounds)
    edit = EditCondition(ours, control, x0, snapshot, args.steps, generator=torch.Generator().manual_seed(2))
    finals, paces = in_turn({"official": official_steps(), "decode": our_steps(lambda *_: (z, None)), "edit": our_steps(edit)})
    errors["decode"] = (finals["official"] - finals["decode"]).abs().max().item()
    memory = {name: [statistics.median(peak_growth(call) or 0.0 for _ in range(3)) for call in calls] for name, calls in forward.items()}

    columns = ("case", "official", "ours", "ours / official", "largest difference")
    rows: list[tuple[Cell, ...]] = []
    for name, (a, b) in times.items():
        rows.append((name, f"{a:.3f} s", f"{b:.3f} s", f"{b / a:.2f}", f"{errors[name]:.1e}"))
    for name, words in (
        ("decode", f"decode, {args.steps} steps"),
        ("edit", f"edit, {args.steps} steps, beside the official decode"),
    ):
        ratios = [mine / theirs for mine, theirs in zip(paces[name], paces["official"], strict=True)]
        a, b = (args.steps * statistics.median(paces[which]) for which in ("official", name))
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        rows.append((words, f"{a:.1f} s", f"{b:.1f} s", spread, f"{errors[name]:.1e}" if name in errors else None))
    for name, (a, b) in memory.items():
        rows.append((f"{name}, peak memory", f"{a:.0f} MB", f"{b:.0f} MB", f"{b / a:.2f}", None))
    how = f"{size} px, batch 1, float32, {args.threads} threads, torch {torch.__version__}, median of {args.rounds} interleaved runs"
    return Table(f"{args.network}: {how}", columns, tuple(rows))


def ssim(a: Tensor, b: Tensor) -> float:
    """Mean structural similarity of pictures in [-1, 1]: 11x11 Gaussian window, sigma 1.5 (Wang et al., 2004)."""
    g = torch.exp(-(torch.arange(11.0) - 5).square() / (2 * 1.5**2))
    window = (g[:, None] * g[None] / g.sum() ** 2).expand(3, 1, 11, 11)

    def blur(x: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(x, window, groups=3)

    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    return float(((2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))).mean())


@torch.inference_mode()
def quality(folder: Path, pictures: list[Path]) -> Table:
    """How close cheaper settings come to 20-step DDIM, with trained weights (the open preset's backbone) and given crops."""
    model: Any = DiffAE.from_pretrained(folder)
    model = model.eval().to(memory_format=torch.channels_last)
    size = model.image_size
    crops = [np.asarray(Image.open(p).convert("RGB").resize((size, size), Image.Resampling.LANCZOS)) for p in pictures]
    x0 = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    z = model.encode(x0)
    reference = sample(model, noise, z, 20)
    base = statistics.median(seconds(partial(sample, model, noise, z, 20)) for _ in range(3))
    settings: dict[str, dict[str, Any]] = {
        "DDIM, 10 steps": {"steps": 10},
        "DPM-Solver++, 10 steps": {"steps": 10, "solver": "dpm++"},
        "DPM-Solver++, 20 steps": {"steps": 20, "solver": "dpm++"},
        "DDIM, 20 steps, deep features every 2nd step": {"steps": 20, "deep_every": 2},
        "DDIM, 20 steps, deep features every 3rd step": {"steps": 20, "deep_every": 3},
        "DDIM, 20 steps, all but the lowest level, every 2nd step": {"steps": 20, "deep_every": 2, "deep_depth": model.unet.levels - 1},
    }
    rows = []
    for name, options in settings.items():
        cost = statistics.median(seconds(partial(sample, model, noise, z, **options)) for _ in range(3))
        rows.append((name, f"{ssim(sample(model, noise, z, **options), reference):.4f}", f"{cost / base:.2f}"))
    title = f"{folder.name}, {len(crops)} crops: similarity to the 20-step DDIM result from the same noise"
    return Table(title, ("setting", "SSIM", "time / 20-step DDIM"), tuple(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="a checkout of github.com/phizaz/diffae")
    parser.add_argument("--network", choices=NETWORKS, default="ffhq256")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--open", type=Path, help="folder of a trained DiffAE (save_pretrained): adds the quality table")
    parser.add_argument("--crops", type=Path, nargs="*", default=[], help="aligned pictures for the quality table")
    parser.add_argument("--output", type=Path, help="Markdown file; without it the table is printed only")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.open is not None and not args.crops:
        parser.error("--open needs --crops, pictures to rebuild")
    tables = [measure(args), *([] if args.open is None else [quality(args.open, args.crops)])]
    text = to_markdown(Report("", "", (Section("Beside the official code", tables=tuple(tables)),)), lambda image: None)
    print(text)
    if args.output is not None:
        write_atomically(args.output, text.encode())


if __name__ == "__main__":
    main()
