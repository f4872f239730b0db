"""`discontrolface studio`: the web page with the sliders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discontrolface.cli.common import CacheOption, DeviceOption, plain_errors, say, without_native_messages
from discontrolface.cli.source import AssetsOption
from discontrolface.common.errors import UserError

if TYPE_CHECKING:
    from discontrolface.editing.editor import Editor

AUTH = "DISCONTROLFACE_STUDIO_AUTH"


def studio(
    host: Annotated[str, typer.Option(help="Address to listen on. Anything but this machine's own should have --auth.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    auth: Annotated[
        str | None,
        typer.Option(help="User and password that everybody has to give.", metavar="USER:PASSWORD", envvar=AUTH),
    ] = None,
    hostname: Annotated[list[str] | None, typer.Option(help="Another name that the page is opened by. May be repeated.")] = None,
    preset: Annotated[str, typer.Option(help="'open', 'paper', 'latent', or a folder with other weights.")] = "open",
    assets_dir: AssetsOption = None,
    device: DeviceOption = "cpu",
    cache_dir: CacheOption = None,
    keep_personal: Annotated[
        bool | None,
        typer.Option(help="Keep personal weights in the cache. [default: only while the page is for this machine alone]"),
    ] = None,
    mark: Annotated[bool, typer.Option("--mark", help="Every download has a visible mark.")] = False,
    max_upload_mb: Annotated[float, typer.Option(min=0.01, help="Largest file of a photo.")] = 30,
    max_megapixels: Annotated[float, typer.Option(min=0.01, help="Largest photo.")] = 25,
    max_sessions: Annotated[int, typer.Option(min=1, help="Browsers at a time.")] = 32,
) -> None:
    """Open the studio: a page with a slider for every control, for this machine's browser unless told otherwise. Ends with Ctrl-C."""
    with plain_errors():
        from discontrolface.common.credentials import check_signing
        from discontrolface.studio.limits import Limits
        from discontrolface.studio.server import Settings, serve
        from discontrolface.weights.manifest import preset_folder, read_description

        own = host in ("127.0.0.1", "localhost", "::1")
        keep = own if keep_personal is None else keep_personal
        if cache_dir is not None and keep_personal is False:
            raise UserError(f"--cache-dir {cache_dir} and --no-keep-personal were both given; give one of them")
        limits = replace(Limits(), upload_bytes=int(max_upload_mb * 1e6), pixels=int(max_megapixels * 1e6), sessions=max_sessions)
        settings = Settings(host, port, auth, tuple(hostname or ()), mark, limits)
        read_description(preset_folder(preset, assets_dir))  # complete? UserError before the page is there
        check_signing()
        if not own and auth is None:
            say(f"anybody who reaches {host}:{port} can use this studio; give --auth, or {AUTH}, to change that", err=True)
        say("loading ...")
        serve(
            lambda: _editor(preset, device, cache_dir, assets_dir, keep or cache_dir is not None),
            settings,
            lambda address: say(f"the studio is at {address}  (Ctrl-C ends it)"),
        )


def _editor(preset: str, device: str, cache: Path | None, assets: Path | None, keep: bool) -> Editor:
    """The editor, without a cache where personal weights are not to be kept."""
    from discontrolface.editing.editor import Editor

    with without_native_messages():
        editor = Editor.load(preset, device, cache, assets=assets)
    if not keep:
        editor.cache = None
    return editor
