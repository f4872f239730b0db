"""`discontrolface cache`: the personal weights that are kept on disk."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from discontrolface.cli.common import CacheOption, plain_errors, say

cache_app = typer.Typer(help="Personal weights that are kept: list or clear them.", no_args_is_help=True)


@cache_app.command("list")
def list_files(cache_dir: CacheOption = None) -> None:
    """Every file with its size and when it was last used."""
    with plain_errors():
        from discontrolface.editing.editor import default_cache
        from discontrolface.editing.personal_cache import PersonalCache

        cache = PersonalCache(cache_dir or default_cache())
        files = cache.files()
        for file in files:
            say(f"{file.bytes / 1e6:7.1f} MB  {time.strftime('%Y-%m-%d %H:%M', time.localtime(file.used))}  {file.path.name}")
        say(f"{len(files)} files, {sum(f.bytes for f in files) / 1e6:.1f} MB of {cache.max_bytes / 1e6:.0f} MB in {cache.folder}")


@cache_app.command()
def clear(cache_dir: CacheOption = None) -> None:
    """Remove all of them; they are made again when a photo is personalized."""
    with plain_errors():
        from discontrolface.editing.editor import default_cache
        from discontrolface.editing.personal_cache import PersonalCache

        folder: Path = cache_dir or default_cache()
        removed = PersonalCache(folder).clear()
        say(f"removed {len(removed)} files, {sum(f.bytes for f in removed) / 1e6:.1f} MB, from {folder}")
