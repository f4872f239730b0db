"""`discontrolface ablate`: the experiments of the paper's supplement and ours, each with a labelled grid and tables."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discontrolface.cli.common import DeviceOption, OverwriteOption, QuietOption, parse_folders, plain_errors, progress_bar, say
from discontrolface.cli.source import AssetsOption
from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.evaluation.ablation_page import Entry
    from discontrolface.evaluation.ablations import Sizes


def ablate(
    name: Annotated[
        str,
        typer.Argument(
            help="start, detail, masking, oneshot, maps, patch, face-only, steps, space, several with commas, or all (that the preset can show)."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A folder for tables and pictures. To go on after a stop, run the same command.")
    ],
    photo: Annotated[
        list[Path] | None, typer.Option(help="Also show edits of this photo (may be given again); `detail` measures photos.")
    ] = None,
    pairs: Annotated[int | None, typer.Option(help="Held-out pairs. [default: 8; masking 16]", min=1)] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps. [default: 20]", min=1)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The smallest sizes: shows that it works, and nothing else.")] = False,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="For maps: another trained Exp-FaceNet of this backbone; for space: another preset, a folder or a name (may be given again).",
            metavar="NAME=FOLDER",
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="'open', 'paper', 'latent', or a folder with other weights.")] = "open",
    assets_dir: AssetsOption = None,
    device: DeviceOption = "cpu",
    report: Annotated[Path | None, typer.Option(help="Also write one HTML page.", metavar="FILE.html")] = None,
    page: Annotated[
        Path | None, typer.Option(help="Also write a Markdown page, its pictures in a folder of its name beside it.", metavar="FILE.md")
    ] = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure what matters: X_T, detail vector, masking, one-shot fine-tuning, snapshot maps, patches, steps, pixels or latents."""
    with plain_errors():
        from discontrolface.common.text_files import check_text_output
        from discontrolface.editing.editor import Editor
        from discontrolface.evaluation.ablation_page import Entry, ablation_report, write_page
        from discontrolface.evaluation.ablation_run import TAKE_WEIGHTS, checked_experiment, load_controls, load_presets, run_ablation
        from discontrolface.evaluation.ablations import NAMES, experiment
        from discontrolface.reports import check_installed, write_html

        check_installed()
        sizes = sizes_of(pairs, steps, quick)
        names = NAMES if name == "all" else tuple(dict.fromkeys(experiment(each, sizes).name for each in name.split(",")))
        for path, ending in ((report, ".html"), (page, ".md")):
            if path is not None:
                check_text_output(path, overwrite, ending)
        folders = parse_folders("--weights", weights or [], known=("open", "paper", "latent"))
        editor = Editor.load(preset, device, assets=assets_dir)
        people = [editor.read(p) for p in photo or []]
        takers = ["maps"] if name == "all" else [each for each in names if each in TAKE_WEIGHTS]
        if folders and len(takers) > 1:
            raise UserError("--weights are networks for maps and presets for space; run these two one after the other")
        others = (load_presets if takers == ["space"] else load_controls)(folders, editor)
        given: dict[str, Any] = {
            "--photo": photo,
            "--pairs": pairs,
            "--steps": steps,
            "--weights": weights,
            "--assets-dir": assets_dir,
            "--quick": quick,
        }
        given |= {"--preset": preset if preset != "open" else None, "--device": device if device != "cpu" else None, "-o": output}
        entries: list[Entry] = []
        for each in names:
            fewer = given if each in takers or len(names) == 1 else {**given, "--weights": None}
            own = others if fewer is given else {}
            command = command_of(each, fewer)
            try:
                checked_experiment(each, editor, sizes, people, own)
            except UserError as error:
                if name != "all":
                    raise
                entries.append(Entry(each, command, None, str(error)))  # what this preset cannot show is left out, and said so
                continue
            with progress_bar(each, quiet) as update:
                entries.append(Entry(each, command, run_ablation(each, editor, output, sizes, people, own, overwrite, update)))
        everything = {"preset": editor.preset.name, "weights": editor.base_id, "device": device, **versions()}
        if page is not None:
            write_page(page, entries, everything, command_of(name, {**given, "--page": page}))
        if report is not None:
            write_html(ablation_report(entries, everything, command_of(name, {**given, "--report": report})), report, overwrite)
        for entry in entries:
            say(f"{entry.name}: {entry.missing or (entry.section.text.split(chr(10))[0] if entry.section else '')}")
        say(f"wrote {output}")


def sizes_of(pairs: int | None, steps: int | None, quick: bool) -> Sizes:
    """The sizes that were asked for."""
    from discontrolface.evaluation.ablations import FULL, QUICK

    sizes = QUICK if quick else FULL
    if pairs is not None:
        sizes = replace(sizes, pairs=pairs, masking_pairs=pairs, one_shot_pairs=pairs)
    return sizes if steps is None else replace(sizes, steps=steps)


def command_of(name: str, options: dict[str, Any]) -> str:
    """The command line that repeats it. options: what was given; None, False and empty ones were not."""
    words = ["discontrolface", "ablate", name]
    for flag, value in options.items():
        if value is True:
            words.append(flag)
        elif isinstance(value, list):
            words += [word for each in value for word in (flag, str(each))]
        elif value is not None and value is not False:
            words += [flag, str(value)]
    return shlex.join(words)


def versions() -> dict[str, str]:
    """Of what computes."""
    from importlib.metadata import version

    return {name: version(name) for name in ("discontrolface", "torch", "numpy")}
