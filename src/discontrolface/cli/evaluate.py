"""`discontrolface evaluate`: methods side by side on the same edits, measured alike."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discontrolface.cli.common import DeviceOption, OverwriteOption, QuietOption, grouped, parse_folders, plain_errors, progress_bar, say
from discontrolface.cli.source import AssetsOption
from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.evaluation.run import Measures, Setup
    from discontrolface.evaluation.trials import Trials


@dataclass(frozen=True)
class TrialOptions:
    """What is edited, beside the folder."""

    pairs: Annotated[
        str | None,
        typer.Option(
            help="Photos of people, with a true result: real (several photos each) or return (one each; a warp leads back to it)."
        ),
    ] = None
    people: Annotated[
        str | None, typer.Option(help="With --pairs: a CSV with the columns file and person, or 'folders', one a person.")
    ] = None
    only: Annotated[
        str | None,
        typer.Option(help="With --pairs: these people, by name with commas, or a file with one a line: who was kept out of training."),
    ] = None
    count: Annotated[int, typer.Option(help="How many drawn pairs, samples of shards, or people; of photos all are taken.")] = 200

    def find(self, folder: Path | None) -> Trials:
        """UserError for options that do not go together."""
        from discontrolface.evaluation.people_trials import people_trials
        from discontrolface.evaluation.trials import trials_of

        if self.pairs is None:
            if self.people is not None or self.only is not None:
                option = "--people" if self.people is not None else "--only"
                raise UserError(f"{option} goes with --pairs real or --pairs return; give one of them")
            return trials_of(folder, self.count)
        if folder is None or self.people is None:
            raise UserError(f"--pairs {self.pairs} needs the folder of the photos and --people, a CSV with the columns file and person")
        return people_trials(folder, self.pairs, self.people, self.only, self.count)


@dataclass(frozen=True)
class MetricWeights:
    """Weights of others that some metrics need."""

    inception: Annotated[Path | None, typer.Option(help="For FID and KID: pytorch-fid's Inception weights.")] = None
    lpips_backbone: Annotated[Path | None, typer.Option(help="For LPIPS: torchvision's AlexNet or VGG-16 weights.")] = None
    lpips_linear: Annotated[Path | None, typer.Option(help="For LPIPS: the linear layers (alex.pth or vgg.pth).")] = None
    arcface: Annotated[Path | None, typer.Option(help="For identity by ArcFace: its ONNX file (needs onnxruntime).")] = None

    def measures(self) -> Measures:
        """What can be measured with them, and with what is installed."""
        from discontrolface.evaluation.run import Measures

        return Measures(self.inception, self.lpips_backbone, self.lpips_linear, self.arcface, has_identity())


@grouped
def evaluate(
    trials: TrialOptions,
    metrics: MetricWeights,
    folder: Annotated[
        Path | None, typer.Argument(help="Photos, or shards that `prepare` wrote. [default: held-out pairs]", metavar="[FOLDER]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="OUT.json; OUT.md beside it. To go on after a stop, run the same command.")
    ] = None,
    methods: Annotated[
        str | None, typer.Option(help="Which, by name with commas: see docs/evaluation.md. [default: those without fine-tuning]")
    ] = None,
    write_inputs: Annotated[
        Path | None, typer.Option(help="Write the inputs of the edits to this folder, for methods that do not run here, and stop.")
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(help="Pictures of another method, see docs/evaluation.md; repeat it for more.", metavar="NAME=FOLDER"),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights of a peer (docs/baselines.md): its official file, or a folder that `train` wrote; without it those of `assets import`. "
            "Or, under a name of yours, a folder that `train` wrote or a preset's: our methods with these too. Repeat it for more.",
            metavar="NAME=PATH",
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="'open', 'paper', 'latent', or a folder with other weights.")] = "open",
    assets_dir: AssetsOption = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps. [default: the preset's]")] = None,
    strength: Annotated[float | None, typer.Option(help="Of the draft. [default: the preset's]")] = None,
    processes: Annotated[int | None, typer.Option(help="Processes, one core each. [default: all cores; 1 with a device]")] = None,
    report: Annotated[Path | None, typer.Option(help="Also write one HTML page.")] = None,
    device: DeviceOption = "cpu",
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure edits: drawn pairs or people's photos with their true results, a folder of photos, or shards; several methods side by side."""
    with plain_errors():
        from discontrolface.baselines.peer_weights import peer_weights
        from discontrolface.common.parallel import cores
        from discontrolface.evaluation.methods import method_names
        from discontrolface.evaluation.other_weights import other_columns, split_weights
        from discontrolface.evaluation.outputs import parse_outputs
        from discontrolface.evaluation.run import Setup, check_outputs
        from discontrolface.reports import check_installed
        from discontrolface.weights.manifest import preset_folder

        names = method_names(methods)
        own, compared = split_weights(parse_folders("--weights", weights or [], files=True))
        own |= peer_weights(names, own, assets_dir)
        setup = Setup(
            preset_folder(preset, assets_dir),
            assets_dir,
            trials.find(folder),
            names,
            tuple(parse_outputs(outputs or []).items()),
            metrics.measures(),
            steps,
            strength,
            device,
            tuple(own.items()),
            other_columns(names, compared),
        )
        if write_inputs is not None:
            say(f"{run_inputs(setup, write_inputs, quiet)} edits in {write_inputs}; put pictures NAME.png into a folder of their own")
            return
        if output is None:
            raise UserError("give -o OUT.json, where the results go, or --write-inputs FOLDER")
        check_installed()
        check_outputs(output, report, overwrite)
        run_evaluation(setup, output, report, processes or (cores() if device == "cpu" else 1), overwrite, quiet)


def run_inputs(setup: Setup, folder: Path, quiet: bool) -> int:
    """Write the inputs; returns how many edits there are."""
    from discontrolface.evaluation.outputs import write_inputs
    from discontrolface.evaluation.run import preset_bench

    with progress_bar("writing inputs", quiet) as update:
        return write_inputs(setup.trials, preset_bench(setup), folder, update)


def run_evaluation(setup: Setup, output: Path, page: Path | None, processes: int, overwrite: bool, quiet: bool) -> None:
    """Measure and write JSON, Markdown and, if wanted, the page."""
    import numpy as np

    from discontrolface.common.files import write_atomically
    from discontrolface.common.parallel import single_thread
    from discontrolface.evaluation.parts import parts_of
    from discontrolface.evaluation.report import evaluation_report
    from discontrolface.evaluation.run import evaluate as measure

    if processes == 1 and setup.device == "cpu":
        single_thread()  # the estimates do not depend on the number of processes
    with progress_bar("evaluating", quiet) as update:
        result: dict[str, Any] = measure(setup, output, processes, update, overwrite)
    write_atomically(output, json.dumps(result, indent=1).encode())
    sheet = parts_of(output) / "sheet.png"
    picture = None
    if sheet.is_file():
        from PIL import Image

        picture = np.asarray(Image.open(sheet).convert("RGB"))
    content = evaluation_report(result, picture)
    from discontrolface.reports import write_html, write_markdown

    write_markdown(content, output.with_suffix(".md"), overwrite=True)
    if page is not None:
        write_html(content, page, overwrite)
    say("\n".join([content.summary, *(f"not measured: {line}" for line in content.missing)]))
    say(f"wrote {output}, {output.with_suffix('.md')}" + (f", {page}" if page is not None else ""))


def has_identity() -> bool:
    """Whether dlib's embedding is installed; the report says so when it is not."""
    from discontrolface.evaluation.identity import model_file

    try:
        model_file()
    except UserError:
        return False
    return True
