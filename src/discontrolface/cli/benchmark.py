"""`discontrolface benchmark`: time and memory of every stage on this machine."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discontrolface.cli.common import DeviceOption, OverwriteOption, QuietOption, plain_errors, progress_bar
from discontrolface.cli.source import AssetsOption

if TYPE_CHECKING:
    from discontrolface.bench.benchmark import Benchmark, Plan
    from discontrolface.reports.content import Report


def benchmark(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write every time to this .json; the tables go to a .md beside it.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write one self-contained page with tables and plots (.html).")] = None,
    compare: Annotated[Path | None, typer.Option(help="An earlier run's .json: show ratios, and which differ beyond noise.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few runs and sizes: that everything works, with rough times.")] = False,
    stages: Annotated[
        str | None,
        typer.Option(
            help="Only these groups of stages, with commas: see docs/benchmark.md. [default: all but huge-photo, crowd, peers and full-size]"
        ),
    ] = None,
    full_size: Annotated[
        bool, typer.Option("--full-size", help="Also one forward of the paper's networks, random weights (4 GB of memory).")
    ] = False,
    preset: Annotated[str, typer.Option(help="'open', 'paper', 'latent', or a folder with other weights.")] = "open",
    photo: Annotated[Path | None, typer.Option(help="The photo to work on. [default: a drawn portrait, the same everywhere]")] = None,
    device: DeviceOption = "cpu",
    threads: Annotated[int | None, typer.Option(help="CPU threads. [default: PyTorch's]", min=1)] = None,
    assets_dir: AssetsOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Time and memory of every stage on this machine: reading, drawing, networks, personalizing, editing; and how they scale."""
    with plain_errors():
        from discontrolface.common.text_files import check_text_output, read_text
        from discontrolface.reports import check_installed

        tables = None if output is None else output.with_suffix(".md")
        for path, ending in ((output, ".json"), (tables, ".md"), (report, ".html")):
            if path is not None:
                check_text_output(path, overwrite, ending)
        if output is not None or report is not None:
            check_installed()
        text = None if compare is None else read_text(compare)

        import torch

        from discontrolface.bench.benchmark import FULL, QUICK, from_json
        from discontrolface.bench.groups import FULL_SIZE, group_names
        from discontrolface.bench.report import benchmark_report

        groups = tuple(dict.fromkeys((*group_names(stages), *([FULL_SIZE] if full_size else []))))
        plan = replace(QUICK if quick else FULL, groups=groups)
        others = [] if compare is None or text is None else [(compare.name, from_json(text, str(compare)))]
        if threads is not None:
            torch.set_num_threads(threads)
        measured = run_with_progress(plan, preset, device, photo, assets_dir, quiet)
        page = benchmark_report(measured, others)
        if output is not None and tables is not None:
            write_results(measured, page, output, tables, overwrite)
        if report is not None:
            from discontrolface.reports import write_html

            write_html(page, report, overwrite)
        print_report(page)


def run_with_progress(plan: Plan, preset: str, device: str, photo: Path | None, assets: Path | None, quiet: bool) -> Benchmark:
    """The benchmark, with a line that says how far it is."""
    from discontrolface.bench.benchmark import run_benchmark

    with progress_bar("measuring", quiet) as update:
        return run_benchmark(plan, preset, device, photo, assets, update)


def write_results(measured: Benchmark, page: Report, output: Path, tables: Path, overwrite: bool) -> None:
    """The JSON first: what was measured for minutes is then safe whatever happens to the rest."""
    from discontrolface.bench.benchmark import to_json
    from discontrolface.common.text_files import write_text
    from discontrolface.reports import write_markdown

    write_text(output, to_json(measured), overwrite)
    write_markdown(page, tables, overwrite)


def print_report(page: Report) -> None:
    """Words and tables on stdout."""
    from rich.console import Console
    from rich.table import Table

    from discontrolface.reports.cells import cell_text, numeric_columns
    from discontrolface.reports.layout import layout

    console = Console()
    console.print("\n".join([page.summary, *(f"not measured: {line}" for line in page.missing)]), markup=False)
    for section in page.sections:
        if section.text and section.tables:
            console.print(f"\n{section.text}", markup=False)
        for table in (piece for whole in section.tables for piece in layout(whole, math.inf).pieces):
            shown = Table(title=table.title)
            for name, numeric in zip(table.columns, numeric_columns(table), strict=True):
                shown.add_column(name, justify="right" if numeric else "left")
            for row in table.rows:
                shown.add_row(*(cell_text(cell, table.digits).replace("[", "\\[") for cell in row))
            console.print(shown)
