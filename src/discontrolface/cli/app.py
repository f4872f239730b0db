"""The command line. Thin: a file a command, each calls the rooms of the package and prints. Heavy imports happen inside the commands."""

from __future__ import annotations

import gc
import warnings
from typing import Annotated

import typer

from discontrolface.cli.ablate import ablate
from discontrolface.cli.animate import animate
from discontrolface.cli.assets import assets_app
from discontrolface.cli.attributes import attributes_app
from discontrolface.cli.benchmark import benchmark
from discontrolface.cli.cache import cache_app
from discontrolface.cli.demo import demo
from discontrolface.cli.doctor import doctor
from discontrolface.cli.edit import edit
from discontrolface.cli.evaluate import evaluate
from discontrolface.cli.export import export
from discontrolface.cli.inspect import inspect
from discontrolface.cli.interpolate import interpolate
from discontrolface.cli.personalize import personalize
from discontrolface.cli.prepare import prepare
from discontrolface.cli.read import read
from discontrolface.cli.sample import sample
from discontrolface.cli.studio import studio
from discontrolface.cli.train import train


def print_version(asked: bool) -> None:
    """`--version`: as the installed package has it."""
    if asked:
        from importlib.metadata import version

        typer.echo(version("discontrolface"))
        raise typer.Exit


app = typer.Typer(
    name="discontrolface",
    help="Edit a face photo through explicit 3D parameters: expression, head pose, gaze, light, shape.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(assets_app, name="assets")
app.add_typer(attributes_app, name="attributes")
app.add_typer(cache_app, name="cache")
for command in (
    demo,
    read,
    personalize,
    edit,
    animate,
    export,
    sample,
    interpolate,
    prepare,
    train,
    ablate,
    benchmark,
    evaluate,
    studio,
    inspect,
    doctor,
):
    app.command()(command)


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=print_version)] = False,
) -> None:
    """What stands before a command."""


def main() -> None:
    """Entry point.

    Importing PyTorch and Numba makes half a million objects that stay: looking through them for garbage every 700 new ones, and once more at
    the end, takes a fifth of the time that `read` takes. So the collector runs more rarely, and what is there at the end is left to the system.
    """
    gc.set_threshold(50_000, 20, 20)
    warnings.filterwarnings("ignore", module="PIL")  # its remarks on odd metadata
    try:
        app()
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
