"""The joints of every head model, in FLAME's order; rows of `pose`."""

from typing import Final

JOINTS: Final = ("global", "neck", "jaw", "eye_left", "eye_right")
