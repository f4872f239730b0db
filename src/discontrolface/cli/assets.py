"""`discontrolface assets`: what the presets and the peers are made of, and `assets import` for the files that a user brings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discontrolface.cli.common import OverwriteOption, plain_errors, say
from discontrolface.cli.source import AssetsOption
from discontrolface.common.errors import UserError

assets_app = typer.Typer(
    help="What the presets and peers are made of: files, origin, licences, what is missing.", invoke_without_command=True
)


@assets_app.callback()
def assets(context: typer.Context, assets_dir: AssetsOption = None) -> None:
    """List every file of both presets and of the peers: what is there, where it comes from, under which licence, whether it is whole."""
    if context.invoked_subcommand is None:
        with plain_errors():
            print_open()
            say("")
            print_paper(assets_dir)
            say("")
            print_peers(assets_dir)
    else:
        context.obj = assets_dir


@assets_app.command("import")
def import_files(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Official files, or a trained exp_facenet/, by any name.", metavar="FILE...")],
    assets_dir: AssetsOption = None,
) -> None:
    """Recognise files by what is in them, check, convert and store them. Nothing in them is executed, and no pickle is kept."""
    with plain_errors():
        from discontrolface.weights.assets import import_asset, paper_missing

        folder = assets_dir or context.obj
        refused = 0
        for path in paths:
            try:
                status = import_asset(path, folder)
            except UserError as error:
                say(f"error: {error}", err=True)
                refused += 1
                continue
            say(f"{path.name}: {status.asset.what}, stored as {status.path} ({status.note})")
        missing = paper_missing(folder)
        say("the paper preset is complete" if not missing else f"the paper preset still lacks {len(missing)}: see `discontrolface assets`")
        if refused:
            raise typer.Exit(2)


@assets_app.command("latent")
def latent(
    preset: Annotated[str, typer.Option(help="The preset on pixels that it is made from: 'open' or a folder.")] = "open",
    autoencoder: Annotated[
        str | None,
        typer.Option(
            help="Folder of an autoencoder (`train autoencoder`, AutoencoderTiny, AutoencoderKL), or its name on the hub. [default: ours]"
        ),
    ] = None,
    untrained: Annotated[
        bool,
        typer.Option("--untrained", help="Without the parts that were trained for it; with another --preset or --autoencoder: always."),
    ] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="[default: where `--preset latent` looks for it]")] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make the latent preset: the networks of another one on the latents of an autoencoder, for pictures of twice its size. Takes seconds."""
    with plain_errors():
        from discontrolface.common.example import example_photo
        from discontrolface.common.folders import latent_folder
        from discontrolface.common.images import load_photo
        from discontrolface.common.pixels import to_float
        from discontrolface.common.tensors import to_network
        from discontrolface.weights.autoencoders import find_autoencoder
        from discontrolface.weights.latent_parts import shipped_parts
        from discontrolface.weights.latent_preset import make_latent_preset
        from discontrolface.weights.manifest import preset_folder

        folder = output or latent_folder()
        if folder.exists() and not overwrite:
            raise UserError(f"{folder} exists; give --overwrite, or another -o")
        found = None if autoencoder is None else find_autoencoder(autoencoder)
        picture = to_network(to_float(load_photo(example_photo()).filled))
        parts = shipped_parts() if preset == "open" and autoencoder is None and not untrained else None
        made = make_latent_preset(preset_folder(preset), folder, found, picture, parts)
        say(f"wrote {made}; edit with --preset {'latent' if output is None else made}")


def print_open() -> None:
    """The files that come with the package."""
    from discontrolface.weights.shipped import list_shipped

    say("open preset (comes with the package)")
    for status in list_shipped():
        print_entry(status.state, status.file.what, f"{status.path} ({status.note})", status.file.origin, status.file.licence)


def print_paper(folder: Path | None) -> None:
    """The files that the user brings."""
    from discontrolface.common.folders import default_folder
    from discontrolface.weights.assets import list_assets

    say(f"paper preset, in {folder or default_folder()}")
    lacking = 0
    for status in list_assets(folder):
        asset = status.asset
        wrong = status.state != "ok"
        lacking += wrong and asset.needed
        state = status.state if asset.needed or not wrong else f"{status.state} (not needed)"
        there = f"{status.path} ({status.note})" if status.path.exists() else f"bring {asset.official}"
        print_entry(state, asset.what, there, asset.source, asset.licence)
    say(f"{lacking} needed files lacking; bring them with `discontrolface assets import FILE...`" if lacking else "complete")


def print_peers(folder: Path | None) -> None:
    """The official files of the methods that `evaluate` can measure beside ours; the user brings them too."""
    from discontrolface.weights.asset_table import PEER_ASSETS
    from discontrolface.weights.assets import list_assets

    say("peers (evaluate --methods, see docs/baselines.md); needed only by who measures them")
    for status in list_assets(folder, PEER_ASSETS):
        asset = status.asset
        there = f"{status.path} ({status.note})" if status.path.exists() else f"bring {asset.official}"
        print_entry(status.state, asset.what, there, asset.source, asset.licence)


def print_entry(state: str, what: str, there: str, origin: str, licence: str) -> None:
    """One file, in four lines."""
    say(f"  {state:<8} {what}\n           {there}\n           from:    {origin}\n           licence: {licence}")
