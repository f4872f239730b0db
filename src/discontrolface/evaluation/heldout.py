"""Edits with a known right answer: synthetic pairs with seeds that training never sees.

    python -m discontrolface.evaluation.heldout PRESET_FOLDER -o out.json --pairs 200

Each pair is one person before and after one to three edits. Every method gets the first picture and both sets of parameters and is compared with the
second picture: the photo as it was, the mesh warp, a single prediction from noise, edits from noise and from the draft. Whole crop, and the
part that the photo did not show (the preview's visibility is below 0.5). Writes out.json, out.md and a sheet of the first pairs, out.png.
To resume, run the same command.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from discontrolface.diffusion.condition import EditCondition
from discontrolface.diffusion.inversion import invert
from discontrolface.diffusion.masking import PATCH
from discontrolface.diffusion.sampling import sample
from discontrolface.diffusion.schedule import denoising_timesteps
from discontrolface.editing.geometry import Geometry
from discontrolface.editing.person import to_uint8
from discontrolface.editing.personal import weights_id
from discontrolface.editing.personalize import OPEN_ONE_SHOT, OneShot, Subject, fine_tune
from discontrolface.errors import UserError
from discontrolface.evaluation.similarity import psnr, ssim
from discontrolface.face.head import HeadModel
from discontrolface.face.parameters import FaceParameters
from discontrolface.files import write_atomic
from discontrolface.nets.exp_facenet import map_slice
from discontrolface.render.warp import render_preview
from discontrolface.training.synthetic import HELD_OUT, make_pair
from discontrolface.weights.preset import Preset, load_preset

Array = NDArray[np.float32]

BATCH = 8  # pairs denoised together; part of the randomness, so not an option
HIDDEN_BELOW = 0.5  # visibility
HIDDEN_SHARE = 0.001  # of the crop; a smaller hidden part is not measured
BEST_PSNR = 100.0  # dB, for equal pictures
SHEET_PAIRS = 8
METHODS = ("photo", "warp", "one step", "draft", "noise")
PERSONAL = ("draft, one-shot", "noise, one-shot")  # after fine-tuning on the first picture
FIGURES = ("psnr", "ssim", "mse", "hidden_psnr", "hidden_ssim", "hidden_mse")


@dataclass(frozen=True)
class Task:
    """An edit as a network sees it. Pictures (H, W, 3) in [0, 1]; visibility and mask, what may change, (H, W); snapshot (1, S, H, W)."""

    seed: int  # of its noise and masks
    kinds: tuple[str, ...]  # what the edit changes
    parameters: FaceParameters  # of the source
    target: FaceParameters
    source: Array
    warp: Array
    visibility: Array
    mask: Array
    snapshot: Tensor


@dataclass(frozen=True)
class Case(Task):
    """An edit with its known right answer, a picture like the source."""

    truth: Array


@dataclass(frozen=True)
class EditOptions:
    """What an edit can do otherwise than usual: the subjects of ablations."""

    masking: str | float = "linear"  # a schedule's name, or one ratio for every step
    patch: int = PATCH  # of the masks, pixels
    scheduler: str = "ddim"
    temperature: float = 1.0  # standard deviation of x_T, when the start is noise; 1: the paper's
    inverted: bool = False  # start from the source's own x_T (DDIM inversion), not from noise
    without: tuple[str, ...] = ()  # snapshot maps that are set to zero


USUAL = EditOptions()


def edit_kinds(before: FaceParameters, after: FaceParameters) -> tuple[str, ...]:
    """What differs: expression, head, gaze, light."""
    looks = np.array([name.startswith("eyeLook") for name in before.expression_names])
    moved = np.abs(before.expression - after.expression) > 1e-4
    changed = {
        "expression": bool((moved & ~looks).any()) or abs(before.jaw - after.jaw) > 1e-2,
        "head": bool(np.abs(before.head_rotation - after.head_rotation).max() > 1e-3),
        "gaze": bool(np.abs(before.pose[3:] - after.pose[3:]).max() > 1e-3),
        "light": bool(np.abs(before.light - after.light).max() > 1e-3),
    }
    return tuple(name for name, is_changed in changed.items() if is_changed)


def make_task(
    source: Array, before: FaceParameters, after: FaceParameters, geometry: Geometry, size: int, maps: Sequence[str], seed: int
) -> Task:
    """An edit of a crop (size, size, 3) with the face parameters `before`, with its preview and snapshot."""
    preview = render_preview(source, geometry.view(before), geometry.view(after), geometry.rig)
    snapshot = geometry.snapshot(after, size, maps, preview).image
    return Task(seed, edit_kinds(before, after), before, after, source, preview.image, preview.visibility, preview.mask, snapshot)


def make_case(seed: int, size: int, maps: Sequence[str], geometry: Geometry) -> Case:
    """The held-out pair of a seed, with the preview and the snapshot of its true parameters."""
    pair = make_pair(seed, size)
    task = make_task(pair.source, pair.source_parameters, pair.target_parameters, geometry, size, maps, seed)
    return Case(**vars(task), truth=pair.target)


def to_batch(pictures: Sequence[Array], device: str) -> Tensor:
    """(B, 3, H, W) in [-1, 1]."""
    return (torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) * 2 - 1).to(device=device, memory_format=torch.channels_last)


@torch.no_grad()
def edited(
    preset: Preset,
    cases: Sequence[Task],
    steps: int,
    strength: float,  # 1: from noise; less: from the warp
    device: str,
    control: Any = None,  # instead of the preset's
    options: EditOptions = USUAL,
    region: Tensor | None = None,  # (B, 1, H, W): mask only patches that touch this
) -> list[Array]:
    """The networks' pictures of a batch, (H, W, 3) in [0, 1]. Noise and masks follow from the first seed."""
    control = control or preset.control
    source, warp = to_batch([c.source for c in cases], device), to_batch([c.warp for c in cases], device)
    snapshot = torch.cat([c.snapshot for c in cases]).to(device)
    for name in options.without:
        snapshot[:, map_slice(control.config.snapshot_maps, name)] = 0
    generator = torch.Generator().manual_seed(cases[0].seed)
    noise = torch.randn(source.shape, generator=generator).to(device) * (options.temperature if strength == 1 else 1.0)
    if options.inverted:
        noise = invert(preset.model, source, preset.model.encode(source), steps=steps)
    taken = len(denoising_timesteps(steps, strength))
    masking = options.masking if isinstance(options.masking, str) else [options.masking] * taken
    condition = EditCondition(preset.model, control, source, snapshot, taken, masking, generator, options.patch, region=region)
    start = warp if strength < 1 else None
    x = sample(preset.model, noise, steps=steps, condition=condition, start=start, strength=strength, scheduler=options.scheduler)
    return list(((x + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy().astype(np.float32))


def pasted(cases: Sequence[Task], pictures: Sequence[Array]) -> list[Array]:
    """The networks' pictures as `edit` gives them to the user: outside the preview's mask the source stays."""
    return [c.source + c.mask[..., None] * (picture - c.source) for c, picture in zip(cases, pictures, strict=True)]


def run_methods(preset: Preset, cases: Sequence[Case], steps: int, strength: float, device: str = "cpu") -> dict[str, list[Array]]:
    """Every method's pictures of a batch, (H, W, 3) in [0, 1]."""
    return {
        "photo": [c.source for c in cases],
        "warp": [c.warp for c in cases],
        "one step": pasted(cases, edited(preset, cases, 1, 1.0, device)),
        "draft": pasted(cases, edited(preset, cases, steps, strength, device)),
        "noise": pasted(cases, edited(preset, cases, steps, 1.0, device)),
    }


def run_personal(
    preset: Preset, case: Task, geometry: Geometry, steps: int, strength: float, device: str, settings: OneShot = OPEN_ONE_SHOT
) -> dict[str, Array]:
    """The edits of one pair after one-shot fine-tuning on its first picture."""
    control = copy.deepcopy(preset.control).requires_grad_(True)
    subject = Subject(case.source, case.parameters, geometry)
    fine_tune(preset.model, control, subject, settings, "", torch.Generator().manual_seed(case.seed))
    control.requires_grad_(False)
    strengths = dict(zip(PERSONAL, (strength, 1.0), strict=True))
    return {name: pasted([case], edited(preset, [case], steps, value, device, control))[0] for name, value in strengths.items()}


def measure(picture: Array, case: Case) -> dict[str, float | None]:
    """One method's figures on one pair; None where the hidden part is too small. `mse`: x 1000, colours in [-1, 1]."""
    hidden = case.visibility < HIDDEN_BELOW
    square = 4000 * (picture - case.truth).astype(np.float64) ** 2
    whole = {
        "psnr": round(min(psnr(picture, case.truth), BEST_PSNR), 4),
        "ssim": round(ssim(picture, case.truth), 5),
        "mse": round(float(square.mean()), 4),
    }
    if hidden.mean() < HIDDEN_SHARE:
        return {**whole, "hidden_psnr": None, "hidden_ssim": None, "hidden_mse": None}
    return {
        **whole,
        "hidden_psnr": round(min(psnr(picture, case.truth, hidden), BEST_PSNR), 4),
        "hidden_ssim": round(ssim(picture, case.truth, hidden), 5),
        "hidden_mse": round(float(square[hidden].mean()), 4),
    }


def summarize(pairs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the pairs: {group: {method: {figure: mean}}} for all, single and combined edits, with the number of pairs."""
    groups = {
        "all": list(pairs),
        "single": [p for p in pairs if len(p["kinds"]) <= 1],
        "combined": [p for p in pairs if len(p["kinds"]) > 1],
        "personalized": [p for p in pairs if PERSONAL[0] in p["methods"]],
    }
    out: dict[str, Any] = {}
    for group, members in groups.items():
        if not members:
            continue
        means: dict[str, Any] = {}
        for method in (*METHODS, *PERSONAL) if group == "personalized" else METHODS:
            found = {f: [p["methods"][method][f] for p in members if p["methods"][method][f] is not None] for f in FIGURES}
            means[method] = {f: round(float(np.mean(v)), 3) if v else None for f, v in found.items()}
        out[group] = {"pairs": len(members), "methods": means}
    return out


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    settings = report["settings"]
    words = {"photo": "unedited photo", "warp": "mesh warp", "one step": "one prediction from noise"}
    words |= {"draft": f"edit from the draft (strength {settings['strength']:g})", "noise": "edit from noise"}
    words |= {f"{start}, one-shot": f"{words[start]}, after one-shot" for start in ("draft", "noise")}
    head = "| | PSNR | SSIM | error | PSNR, hidden | SSIM, hidden | error, hidden |\n|---|---|---|---|---|---|---|"
    lines = [
        f"Weights {report['weights']}, {settings['steps']} steps, held-out seeds from {HELD_OUT}. Means over the pairs. "
        f"Error: squared, colours in [-1, 1], x 1000. Hidden: what the photo did not show (visibility < {HIDDEN_BELOW}).",
        "",
    ]
    for group, values in report["summary"].items():
        lines += [f"**{group} edits** ({values['pairs']} pairs)", "", head]
        for method, figures in values["methods"].items():
            cells = ["-" if figures[f] is None else f"{figures[f]:.{3 if 'ssim' in f else 2}f}" for f in FIGURES]
            lines.append(f"| {words[method]} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def write_whole(path: Path, data: bytes) -> None:
    """All of it or nothing."""
    try:
        write_atomic(path, data)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def begin_report(path: Path, weights: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The report so far, or an empty one. UserError if the file there is of another run."""
    if not path.exists():
        return {"weights": weights, "settings": settings, "pairs": []}
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        same = report["weights"] == weights and report["settings"] == settings
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{path} is not a report of held-out pairs; choose another -o") from error
    if not same:
        raise UserError(f"{path} was measured with other weights or settings; choose another -o")
    return report


def write_report(report: dict[str, Any], output: Path) -> None:
    """The figures so far and their table."""
    report["summary"] = summarize(report["pairs"])
    write_whole(output.with_suffix(".md"), table(report).encode())
    write_whole(output, json.dumps(report, indent=1).encode())


def sheet(cases: Sequence[Case], pictures: dict[str, list[Array]]) -> bytes:
    """One row per pair: the photo, the truth, every method."""
    import io

    from PIL import Image

    from discontrolface.editing.sheet import contact_sheet

    tiles = []
    for k, case in enumerate(cases):
        named = {"photo": case.source, "truth: " + ", ".join(case.kinds): case.truth, **{m: pictures[m][k] for m in METHODS[1:]}}
        tiles += [(name, Image.fromarray(to_uint8(picture))) for name, picture in named.items()]
    out = io.BytesIO()
    contact_sheet(tiles, len(METHODS) + 1, cases[0].source.shape[0]).save(out, "PNG")
    return out.getvalue()


def evaluate(
    preset: Preset,
    output: Path,  # .json; a table (.md) and a sheet (.png) are written beside it
    pairs: int = 200,
    personal: int = 0,  # of the first so many pairs also the edits after one-shot fine-tuning (minutes each)
    steps: int | None = None,  # None: the preset's
    strength: float | None = None,  # of the draft; None: the preset's
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,  # (pairs done, of)
) -> dict[str, Any]:
    """Measure a preset; what the report holds already is not measured again."""
    steps, strength = steps or preset.steps, preset.strength if strength is None else strength
    if not 0 < strength < 1:
        raise UserError(f"strength {strength} of the draft must lie between 0 and 1")
    settings = {"steps": steps, "strength": strength, "batch": BATCH}
    report = begin_report(output, weights_id(preset.model, preset.control), settings)
    done = {p["seed"] for p in report["pairs"]}
    geometry = Geometry.of(HeadModel.open())
    config: Any = preset.control.config
    size, maps = int(config.image_size), tuple(config.snapshot_maps)
    for first in range(HELD_OUT, HELD_OUT + pairs, BATCH):
        seeds = range(first, first + BATCH)  # always whole batches, so that a longer run repeats a shorter one
        if done.issuperset(seeds):
            continue
        cases = [make_case(seed, size, maps, geometry) for seed in seeds]
        pictures = run_methods(preset, cases, steps, strength, device)
        for k, case in enumerate(cases):
            figures = {method: measure(pictures[method][k], case) for method in METHODS}
            hidden = float((case.visibility < HIDDEN_BELOW).mean())
            report["pairs"].append({"seed": case.seed, "kinds": list(case.kinds), "hidden": round(hidden, 4), "methods": figures})
        if first == HELD_OUT:
            write_whole(output.with_suffix(".png"), sheet(cases[:SHEET_PAIRS], pictures))
        write_report(report, output)
        if progress is not None:
            progress(len(report["pairs"]), pairs)
    for number, pair in enumerate(report["pairs"][:personal]):
        if PERSONAL[0] not in pair["methods"]:
            case = make_case(pair["seed"], size, maps, geometry)
            made = run_personal(preset, case, geometry, steps, strength, device)
            pair["methods"] |= {method: measure(picture, case) for method, picture in made.items()}
            write_report(report, output)
        if progress is not None:
            progress(number + 1, personal)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", type=Path, help="a folder with preset.json, diffae/ and exp_facenet/")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .json file")
    parser.add_argument("--pairs", type=int, default=200, help=f"rounded up to a multiple of {BATCH}")
    parser.add_argument("--personal", type=int, default=0, help="of so many pairs also edits after one-shot fine-tuning, minutes each")
    parser.add_argument("--steps", type=int, default=None, help="denoising steps [default: the preset's]")
    parser.add_argument("--strength", type=float, default=None, help="of the draft [default: the preset's]")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=None)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        if args.output.suffix != ".json":
            raise UserError(f"{args.output} must end in .json")
        preset = load_preset(args.preset, args.device)
        report = evaluate(
            preset,
            args.output,
            args.pairs,
            args.personal,
            args.steps,
            args.strength,
            args.device,
            lambda done, total: print(f"{done}/{total}", flush=True),
        )
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    print(table(report))


if __name__ == "__main__":
    main()
