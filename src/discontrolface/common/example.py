"""The photo that comes with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def example_photo() -> Path:
    """The example photo's file, 512 x 512 pixels: Eileen Collins, NASA, public domain (NOTICE). NASA does not endorse this project."""
    return Path(str(files("discontrolface") / "assets" / "example" / "astronaut.png"))
