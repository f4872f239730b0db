"""`discontrolface inspect`: what a picture says of itself."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from discontrolface.cli.common import plain_errors, say


def inspect(
    pictures: Annotated[list[Path], typer.Argument(help="PNG, JPEG, WebP or GIF pictures.", metavar="PICTURE...")],
) -> None:
    """Print the record that this package wrote into a picture: that it was edited, what was changed, seed, weights, hash of the photo.

    Ends with 1 if one of the pictures carries no record. A record is a statement, not a proof: whoever saves the picture again can remove it.
    """
    with plain_errors():
        from discontrolface.common.credentials import credentials_of
        from discontrolface.common.provenance import read_provenance

        without = False
        for path in pictures:
            record = read_provenance(path)
            without |= record is None
            said = (
                "carries no record of this package" if record is None else json.dumps(record, indent=1, sort_keys=True, ensure_ascii=True)
            )
            say(f"{path}: {said}")
            if find_spec("c2pa") is not None:
                signed = credentials_of(path)
                if signed is not None:
                    say(f"{path}: Content Credentials, {signed['state']}: {json.dumps(signed, indent=1, ensure_ascii=True)}")
        if without:
            raise typer.Exit(1)
