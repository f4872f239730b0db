"""`discontrolface export`: the head as a 3D model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from discontrolface.cli.common import OverwriteOption, PhotoArgument, grouped, plain_errors, say
from discontrolface.cli.controls import Controls
from discontrolface.cli.source import Source


@grouped
def export(
    photo: PhotoArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="The head: .glb, or .obj with .mtl and .png beside it.")],
    controls: Controls,
    source: Source,
    texture: Annotated[int, typer.Option(help="Side of the texture that the photo makes, texels; 0: none.", min=0, max=8192)] = 1024,
    posed: Annotated[bool, typer.Option("--posed/--at-rest", help="As in the picture, or with shape and expression only.")] = True,
    overwrite: OverwriteOption = False,
) -> None:
    """Write the head, as read or as these controls change it, as a 3D model with the photo as its texture."""
    with plain_errors():
        from discontrolface.editing.exporting import check_mesh_output, export_person

        check_mesh_output(output, overwrite)
        controls.checked_values()
        reader = source.reader()
        person = source.read(reader, photo)
        export_person(person, controls.target(person, controls.others(reader)), output, texture, posed, overwrite)
        say(f"wrote {output}")
